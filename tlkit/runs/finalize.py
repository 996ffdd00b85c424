"""Finalize a trained model: calibration, thresholds and novelty detection.

All are chosen on the validation images: the threshold of each label, the temperature of the probabilities, and the
distance from the training images above which an image is unknown. The model works without them and without its networks,
so each is an optional step.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tlkit.backbones.catalogue import TOP
from tlkit.data.image_file import ImageFile
from tlkit.data.manifest import ImageRecord, Manifest
from tlkit.data.views import PICTURE_ITSELF
from tlkit.errors import DataError, NumericsError
from tlkit.features.allowed_engines import choose_batch_size
from tlkit.features.ensure import ensure_features
from tlkit.features.extract import Loaded, run_batches
from tlkit.features.trunks import take_trunk
from tlkit.inference.scoring import Scores, reasons, render_views
from tlkit.inference.task_report import choose_task_thresholds, list_targets
from tlkit.metrics.calibration import fit_temperature
from tlkit.models.networks import NETWORK_FORMATS, find_network_format
from tlkit.models.novelty import NEVER, Novelty, choose_unknown_above, fit_novelty, pool_features
from tlkit.models.predictor import cool
from tlkit.models.spec import BundleSpec
from tlkit.reports.console import Console
from tlkit.reports.optional_steps import OptionalSteps
from tlkit.runs.heat_maps import HeatMaps
from tlkit.runs.model import read_golden_samples
from tlkit.runs.report import score_validation
from tlkit.tasks import find_task
from tlkit.training.run import Run

if TYPE_CHECKING:
    from tlkit.models.classifier import Classifier
    from tlkit.models.networks.classifier import NetworkClassifier

MAX_SPANNING_IMAGES = 500
UNCHOSEN_THRESHOLD = 0.5
DISTANCE = "The distance from the training images"
SCORES = "The scores on the validation images"


def finish_model(
    classifier: Classifier, run: Run, steps: OptionalSteps
) -> tuple[Scores | None, list[NetworkClassifier]]:
    """Complete a classifier's spec and novelty detector.

    Returns:
        Its scores on the validation images, computed as in prediction, or None if none can be read; and the same model
        in network formats, the fastest first.

    Args:
        classifier: The trained model; values chosen by an earlier run are discarded.
        run: Its images and settings.
        steps: Collects failures of optional steps.
    """
    classifier.spec, classifier.novelty = forget_choices(classifier.spec), None
    with steps.step(DISTANCE):
        classifier.novelty = _fit_novelty(classifier, run)
    if classifier.novelty is not None:
        classifier.spec = dataclasses.replace(classifier.spec, unknown_above=NEVER)
    converted = [] if run.backbone.engine == "keras" else _convert(classifier, run.manifest, steps)
    predictor = converted[0] if converted else classifier
    heat_maps = HeatMaps(predictor, classifier.copy_head_weights, steps, run.console)
    scores = score_validation(predictor, run.manifest, run.console, heat_maps.explain_maps)
    if scores.records:
        scores = _choose_limits(classifier, scores, run.recipe.training.false_alarms, run.console)
    else:
        steps.fail(SCORES, f"none of the {len(scores.failures):,} images can be read")
    for each in converted:
        each.spec = classifier.spec
    return scores if scores.records else None, converted


def forget_choices(spec: BundleSpec) -> BundleSpec:
    """Return a spec without the values chosen on validation images."""
    thresholds = (UNCHOSEN_THRESHOLD,) * len(spec.class_names) if find_task(spec.task).has_thresholds else ()
    return dataclasses.replace(spec, thresholds=thresholds, temperature=1.0, unknown_above=None)


def _choose_limits(classifier: Classifier, scores: Scores, false_alarms: float, console: Console) -> Scores:
    """Choose thresholds, temperature and the limit of the distance; return the scores at that temperature."""
    spec = dataclasses.replace(classifier.spec, thresholds=choose_task_thresholds(classifier.spec, scores))
    if find_task(spec.task).is_exclusive and len(spec.class_names) > 1:
        temperature = fit_temperature(list_targets(spec, scores.records).astype(np.int64), scores.answers)
        spec = dataclasses.replace(spec, temperature=temperature)
        scores = dataclasses.replace(scores, answers=cool(scores.answers, temperature))
        console.detail(f"Probabilities are calibrated on the validation images: temperature {temperature:.2f}.")
    if scores.distances is not None:
        unknown_above = choose_unknown_above(scores.distances, false_alarms)
        if unknown_above == NEVER and false_alarms > 0:
            console.say(
                f"With {len(scores.distances)} validation images, no picture will be flagged as unknown: "
                f"false_alarms = {false_alarms:g} needs at least {round(1 / false_alarms) - 1}."
            )
        spec = dataclasses.replace(spec, unknown_above=unknown_above)
    classifier.spec = spec
    return scores


def _convert(classifier: Classifier, manifest: Manifest, steps: OptionalSteps) -> list[NetworkClassifier]:
    """Convert the classifier to every format available here."""
    from tlkit.models.networks.classifier import convert_classifier

    converted = []
    for network_format in [each for each in map(find_network_format, NETWORK_FORMATS) if each.is_available]:
        with steps.step(f"The network for {network_format.title}"):
            samples = read_golden_samples(manifest, classifier.spec)
            converted.append(convert_classifier(network_format, classifier, samples.images, samples.metadata))
    return converted


def _fit_novelty(classifier: Classifier, run: Run) -> Novelty | None:
    """Fit the novelty detector on some training images; None, with a warning, if they are all alike.

    Raises:
        TlkitError: The features cannot be computed.
    """
    train = run.manifest.in_split("train")
    chosen = np.random.default_rng(run.recipe.training.seed).permutation(len(train))[:MAX_SPANNING_IMAGES]
    some = dataclasses.replace(run.manifest, records=tuple(train[number] for number in sorted(chosen)))
    if all(stage.unfreeze == "none" for stage in run.recipe.stages):
        rows = _read_features(classifier, some, run)
    else:
        rows = _compute_features(classifier, some.records, run.console)
    if not len(rows):
        raise DataError(
            "None of the training images can be read any more.",
            expected="images unchanged since the run began",
            fix="restore them, then run the same command with --resume.",
        )
    novelty = fit_novelty(pool_features(rows))
    if novelty is None:
        run.console.warn(
            "The training images all look the same to the backbone, so the model cannot learn from them or detect "
            "unknown images."
        )
    return novelty


def _read_features(classifier: Classifier, manifest: Manifest, run: Run) -> NDArray[np.floating[Any]]:
    """Return features of a frozen backbone, which are in the cache from training the head: (n, ...); the last map."""
    request = run.request_features(TOP)
    trunk = take_trunk(classifier.backbone, request)
    features = ensure_features(manifest, trunk, request, cache_root=run.cache_root, console=run.console)
    rows = features.cache.read(features.splits["train"].positions[:, 0])
    layout = classifier.backbone.map_layout(TOP)
    return rows[:, layout.parts[-1]].reshape(-1, *layout.shapes[-1]) if layout else rows


def _compute_features(
    classifier: Classifier, records: Sequence[ImageRecord], console: Console
) -> NDArray[np.floating[Any]]:
    """Return pooled features of a backbone that this run has trained: float32 (n, channels).

    They are not cached, because no other run has these weights.

    Raises:
        NumericsError: A feature is not finite.
    """
    from tlkit.backbones.engines.base import make_keras_engine

    trunk = classifier.backbone.pooled_trunk(TOP)
    spec = classifier.spec
    engine = make_keras_engine(trunk, precision="float32", batch_size=choose_batch_size("keras", spec.image_size))
    rows: list[NDArray[np.float32]] = []

    def load(record: ImageRecord) -> Loaded[None]:
        with reasons():
            image = ImageFile.read(record.path, spec.grey, expected_sha256=record.sha256)
            return Loaded([(pixels,) for pixels in render_views(image, spec, PICTURE_ITSELF)])

    with console.progress("Features", len(records)) as advance:
        for results in run_batches(records, load, engine.compute, batch_size=engine.batch_size):
            rows += [row for result in results for row in result.outputs]
            advance(len(results))
    features = np.stack(rows) if rows else np.empty((0, *trunk.output.shape[1:]), np.float32)
    if not np.isfinite(features).all():
        raise NumericsError(
            "The trained backbone gives features that are not finite.",
            expected="a finite number for every feature of every image",
            fix="train with a lower learning rate.",
        )
    return features
