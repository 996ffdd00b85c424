"""Heat maps for the images that a report shows: what speaks for the output that went wrong."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tlkit.backbones.catalogue import TOP
from tlkit.data.manifest import ImageRecord, Manifest
from tlkit.models.predictor import Predictor
from tlkit.recipes import ResolvedBackbone, read_recipe, resolve_backbone
from tlkit.recipes.reading import RECIPE_FILE
from tlkit.reports.console import Console
from tlkit.reports.optional_steps import OptionalSteps
from tlkit.runs.recipe import check_engines
from tlkit.runtime import start_keras

if TYPE_CHECKING:
    from tlkit.models.classifier import Classifier

HEAT_MAPS = "The heat maps of mistakes"


@dataclass(frozen=True)
class HeatMaps:
    """Makes heat maps; a failure is noted, and gives none.

    Attributes:
        open_model: Returns the model and how its features are computed. It is called when the first map is asked for.
        root: The folder of the images.
        cache_root: Where the caches lie.
        steps: Keeps account of a failure.
        console: Shows progress.
    """

    open_model: Callable[[], tuple[Classifier, ResolvedBackbone]]
    root: Path
    cache_root: Path
    steps: OptionalSteps
    console: Console

    def explain(self, records: Sequence[ImageRecord], outputs: NDArray[np.int64]) -> dict[Path, NDArray[np.float32]]:
        """Return what speaks for one output of each image; feature maps are cached.

        Args:
            records: The images; one that cannot be read any more has no map.
            outputs: Class or label of each, int64 (n,); 0 for a value.

        Returns:
            float32 (h, w) over the whole upright picture, NaN where the network does not see it; by path.
        """
        maps: dict[Path, NDArray[np.float32]] = {}
        with self.steps.step(HEAT_MAPS):
            maps.update(self._explain(records, outputs))
        return maps

    def _explain(self, records: Sequence[ImageRecord], outputs: NDArray[np.int64]) -> dict[Path, NDArray[np.float32]]:
        classifier, backbone = self.open_model()
        from tlkit.explain.explainer import Explainer
        from tlkit.explain.records import MapSource, explain_records, place_map

        spec = classifier.spec
        manifest = Manifest(self.root, spec.class_names, tuple(records), task=spec.task, grey=spec.grey)
        source = MapSource(backbone, self.cache_root, self.console)
        explained = explain_records(Explainer(classifier), manifest, outputs, source)
        return {
            record.path: place_map(
                evidence, picture_size=(record.height, record.width), image_size=spec.image_size, fit=spec.fit
            )
            for record, evidence in zip(explained.records, explained.maps, strict=True)
        }


def reopen_model(
    folder: Path, predictor: Predictor, *, loader_version: int, console: Console
) -> tuple[Classifier, ResolvedBackbone]:
    """Return a run's model as Keras has it, and how its features are computed.

    Args:
        folder: The run.
        predictor: Its model, by any engine.
        loader_version: The version of this tlkit's image loader.
        console: Shows which engines of the run are not there.

    Raises:
        TlkitError: The recipe or the bundle is damaged.
    """
    recipe = check_engines(read_recipe(folder / RECIPE_FILE), console)
    start_keras()
    from tlkit.models.classifier import Classifier
    from tlkit.models.saving import read_bundle

    classifier = predictor if isinstance(predictor, Classifier) else read_bundle(folder, loader_version=loader_version)
    return classifier, resolve_backbone(recipe.backbone).at(TOP, recipe.made_by)
