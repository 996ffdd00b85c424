"""Heat maps for the images that a report shows: what speaks for the output that went wrong."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
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
    from tlkit.explain.explainer import Explainer
    from tlkit.explain.records import ExplainedRecords
    from tlkit.models.classifier import Classifier

HEAT_MAPS = "The heat maps of mistakes"


@dataclass(frozen=True)
class HeatMaps:
    """Makes heat maps; a failure is noted, and gives none.

    Attributes:
        open_model: Returns the model and how its features are computed. It is called once, for the first maps.
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
        """Return what speaks for one output of each image, over the whole upright picture.

        Args:
            records: The images; one that cannot be read any more has no map.
            outputs: Class or label of each, int64 (n,); 0 for a value.

        Returns:
            float32 (h, w), NaN where the network does not see the picture; by path. Empty after a failure.
        """
        maps: dict[Path, NDArray[np.float32]] = {}
        with self.steps.step(HEAT_MAPS):
            explained = self.explain_inputs(records, outputs)
            from tlkit.explain.records import place_map

            spec = self._model[0].classifier.spec
            for record, evidence in zip(explained.records, explained.maps, strict=True):
                size = (record.height, record.width)
                maps[record.path] = place_map(evidence, picture_size=size, image_size=spec.image_size, fit=spec.fit)
        return maps

    def explain_inputs(self, records: Sequence[ImageRecord], outputs: NDArray[np.int64]) -> ExplainedRecords:
        """Return what speaks for one output of each image, over the network's input; feature maps are cached.

        Args:
            records: As for `explain`.
            outputs: As for `explain`.

        Raises:
            TlkitError: The model cannot be opened, or its features cannot be computed or stored.
        """
        explainer, backbone = self._model
        from tlkit.explain.records import MapSource, explain_records

        spec = explainer.classifier.spec
        manifest = Manifest(self.root, spec.class_names, tuple(records), task=spec.task, grey=spec.grey)
        source = MapSource(backbone, self.cache_root, self.console.for_details())
        return explain_records(explainer, manifest, outputs, source)

    @cached_property
    def _model(self) -> tuple[Explainer, ResolvedBackbone]:
        classifier, backbone = self.open_model()
        from tlkit.explain.explainer import Explainer

        return Explainer(classifier), backbone


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
