"""A request for the features of a data set."""

from __future__ import annotations

from dataclasses import dataclass

from tlkit.data.views import PICTURE_ITSELF, ViewPlan
from tlkit.recipes import ResolvedBackbone


@dataclass(frozen=True)
class FeatureRequest:
    """The features to compute, and how.

    Attributes:
        backbone: The network; how images are resized, and how features are computed and stored.
        boundary: Where the network is cut; not `pixels`.
        views: The views of the training images.
        is_pooled: Whether to average over the positions of the feature map.
        is_part: Whether other processes compute other images for the same cache, and choose their engine by themselves.
    """

    backbone: ResolvedBackbone
    boundary: str
    views: ViewPlan = PICTURE_ITSELF
    is_pooled: bool = False
    is_part: bool = False
