"""What the steps of a training share."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tlkit.data.manifest import Manifest
from tlkit.data.views import PICTURE_ITSELF, ViewPlan
from tlkit.features.request import FeatureRequest
from tlkit.recipes import Recipe, ResolvedBackbone
from tlkit.reports.console import Console


@dataclass(frozen=True)
class Run:
    """A training on a data set.

    Attributes:
        recipe: Its settings; resolved.
        backbone: Its backbone.
        manifest: Its images.
        cache_root: Where the caches lie.
        console: Tells the story.
    """

    recipe: Recipe
    backbone: ResolvedBackbone
    manifest: Manifest
    cache_root: Path
    console: Console

    def request_features(self, boundary: str, views: ViewPlan = PICTURE_ITSELF) -> FeatureRequest:
        """Return the features that the run wants at a boundary."""
        return FeatureRequest(self.backbone.at(boundary, self.recipe.made_by), boundary, views)
