"""Which features are wanted."""

from __future__ import annotations

from dataclasses import dataclass

from tlkit.data.views import PICTURE_ITSELF, ViewPlan
from tlkit.recipes import ResolvedBackbone


@dataclass(frozen=True)
class FeatureRequest:
    """Which features of a data set are wanted, and how they are computed.

    Attributes:
        backbone: How a picture is made square, how features are stored, and what computes them.
        boundary: Where the network is cut; not `pixels`.
        views: Which views of the training images.
        is_pooled: Whether the mean over places is wanted instead of a map.
    """

    backbone: ResolvedBackbone
    boundary: str
    views: ViewPlan = PICTURE_ITSELF
    is_pooled: bool = False
