"""The context that all steps of a training share."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tlkit.data.manifest import Manifest
from tlkit.data.views import PICTURE_ITSELF, ViewPlan
from tlkit.features.request import FeatureRequest
from tlkit.recipes import Recipe, ResolvedBackbone
from tlkit.reports.console import Console
from tlkit.training.stage_plan import StagePlan


@dataclass(frozen=True)
class Run:
    """A training run on a data set.

    Attributes:
        recipe: The settings, with defaults filled in.
        backbone: The backbone that they name.
        manifest: The images.
        cache_root: The folder of the caches.
        console: Where progress is printed.
    """

    recipe: Recipe
    backbone: ResolvedBackbone
    manifest: Manifest
    cache_root: Path
    console: Console

    def request_stage_features(self, plan: StagePlan) -> FeatureRequest:
        """Return a request for the features that a stage trains on, below the pixels."""
        views = ViewPlan(plan.stage.policy, plan.stage.views, self.recipe.training.seed)
        return self.request_features(plan.boundary, views)

    def request_features(self, boundary: str, views: ViewPlan = PICTURE_ITSELF) -> FeatureRequest:
        """Return a request for features at a boundary; `auto` engines stay those of the recorded run."""
        return FeatureRequest(self.backbone.at(boundary, self.recipe.made_by), boundary, views)
