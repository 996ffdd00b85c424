"""What a trained model still has to learn before it is saved: how sure it may be, and what it does not know.

All of it is chosen on the validation images: the threshold of each label, the temperature of the probabilities, and
the distance from the training images above which a picture counts as unknown.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tlkit.backbones.openvino_runtime import has_openvino
from tlkit.bundle import NEVER, choose_unknown_above, cool, fit_novelty, pool_features
from tlkit.data.manifest import Manifest
from tlkit.data.views import ViewPlan
from tlkit.errors import NumericsError
from tlkit.evaluation.calibration import fit_temperature
from tlkit.outputs import CLASSIFICATION
from tlkit.recipes import Recipe
from tlkit.reports.console import Console
from tlkit.workflows.precompute import ensure_features
from tlkit.workflows.run_report import score_validation
from tlkit.workflows.scoring import Scores, load_record
from tlkit.workflows.task_report import choose_task_thresholds, list_targets

if TYPE_CHECKING:
    import openvino

    from tlkit.bundle import Classifier
    from tlkit.bundle.openvino_model import OpenvinoClassifier

NUM_COMPARED_IMAGES = 4
MOST_SPANNING_IMAGES = 500


def finish_model(
    classifier: Classifier, manifest: Manifest, recipe: Recipe, *, cache_root: Path, console: Console
) -> tuple[Scores, openvino.Model | None]:
    """Complete a classifier's spec and novelty.

    Returns:
        Its scores on the validation images, as prediction will give them; and the network for OpenVINO by which they
        were computed, or None where Keras did it.

    Args:
        classifier: The trained model; what an earlier run chose for it is forgotten.
        manifest: The run's images.
        recipe: The seed, the false alarms that are allowed, and how features are computed.
        cache_root: Where the caches lie.
        console: Shows progress.
    """
    training = recipe.training
    _fit_novelty(classifier, manifest, recipe, cache_root, console)
    classifier.spec = dataclasses.replace(classifier.spec, thresholds=(), temperature=1.0, unknown_above=NEVER)
    converted = _convert(classifier, manifest, recipe, console)
    scores = score_validation(converted or classifier, manifest, console)
    spec = dataclasses.replace(classifier.spec, thresholds=choose_task_thresholds(classifier.spec, scores))
    if spec.task == CLASSIFICATION and len(spec.class_names) > 1:
        temperature = fit_temperature(list_targets(spec, scores.records).astype(np.int64), scores.answers)
        spec = dataclasses.replace(spec, temperature=temperature)
        scores = dataclasses.replace(scores, answers=cool(scores.answers, temperature))
        console.detail(f"Probabilities are calibrated on the validation images: temperature {temperature:.2f}.")
    assert scores.distances is not None, "the model measures distances by now"
    unknown_above = choose_unknown_above(scores.distances, training.false_alarms)
    if unknown_above == NEVER and training.false_alarms > 0:
        console.say(
            f"With {len(scores.distances)} validation images no picture will be called unknown: "
            f"at {training.false_alarms:g} false alarms it takes {round(1 / training.false_alarms) - 1}."
        )
    classifier.spec = dataclasses.replace(spec, unknown_above=unknown_above)
    return scores, converted.model if converted else None


def _convert(classifier: Classifier, manifest: Manifest, recipe: Recipe, console: Console) -> OpenvinoClassifier | None:
    """Return the classifier run by OpenVINO; None where there is none, or none is wanted, or it gives other answers."""
    if recipe.backbone.engine == "keras" or not has_openvino():
        return None
    from tlkit.bundle import convert_classifier

    records = manifest.in_split("validation")[:NUM_COMPARED_IMAGES]
    metadata = classifier.spec.metadata.encode([record.metadata for record in records])
    try:
        return convert_classifier(classifier, np.stack([load_record(r, classifier.spec) for r in records]), metadata)
    except (NumericsError, RuntimeError) as error:
        console.warn(f"The model is saved without its network for OpenVINO: {error}")
        return None


def _fit_novelty(
    classifier: Classifier, manifest: Manifest, recipe: Recipe, cache_root: Path, console: Console
) -> None:
    """Let some of the training images span what the model knows; their features may be in the cache."""
    train = manifest.in_split("train")
    chosen = np.random.default_rng(recipe.training.seed).permutation(len(train))[:MOST_SPANNING_IMAGES]
    features = ensure_features(
        dataclasses.replace(manifest, records=tuple(train[number] for number in sorted(chosen))),
        classifier.backbone,
        boundary="top",
        views=ViewPlan(),
        settings=recipe.backbone,
        cache_root=cache_root,
        console=console,
    )
    rows = features.cache.read(features.splits["train"].positions[:, 0])
    classifier.novelty = fit_novelty(pool_features(rows))
