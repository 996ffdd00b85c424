"""Gather evidence for a plan: a probe of frozen features, a learning curve, and a trial of deeper training."""

from __future__ import annotations

import dataclasses
import time

import numpy as np
from numpy.typing import NDArray

from tlkit.backbones.catalogue import TOP
from tlkit.data.manifest import Manifest
from tlkit.data.splits import limit_records
from tlkit.data.views import ViewPlan
from tlkit.features.cache import FeatureCache
from tlkit.features.ensure import ensure_features
from tlkit.features.request import FeatureRequest
from tlkit.features.trunks import take_trunk
from tlkit.models.classifier import Classifier
from tlkit.probes.advice import Evidence
from tlkit.probes.images import Questions, make_probe_targets, make_questions
from tlkit.probes.learning_curve import MIN_IMAGES, measure_learning_curve
from tlkit.probes.plan_trial import MAX_VIEWS, MIN_TRIED, TriedFeatures, choose_size, estimate_seconds, run_trial
from tlkit.probes.probe import run_majority, run_probes
from tlkit.probes.strategies import Strategy
from tlkit.reports.console import format_duration
from tlkit.tasks import find_task
from tlkit.training.run import Run

MAX_IMAGES = 1000
_ROWS_AT_ONCE = 256


def gather_evidence(
    run: Run,
    classifier: Classifier,
    strategy: Strategy,
    *,
    epoch_seconds: float,
) -> Evidence | None:
    """Probe the features of at most about 1,000 images outside the test split, and try both depths on some of them.

    Args:
        run: The data set and the caches.
        classifier: The model to train; it is not changed.
        strategy: The strategy that trains the last groups.
        epoch_seconds: Time of one epoch of its last stage on all training images.

    Returns:
        The evidence; None if there are too few images or distinct targets.

    Raises:
        DataError: An image has changed in the meantime.
    """
    run = dataclasses.replace(run, recipe=strategy.plan.recipe, backbone=strategy.plan.backbone)
    manifest, console, seed = run.manifest, run.console, run.recipe.training.seed
    part = _take_part(manifest.for_training(), MAX_IMAGES, seed)
    duplicates = [record.sha256 for record in part.records]
    targets = make_probe_targets(part, part.records, strategy.plan.recipe.data)
    if len(set(duplicates)) < MIN_IMAGES or len(np.unique(targets, axis=0)) < 2:
        return None
    console.say(f"Evidence from {len(duplicates):,} images:")
    questions = make_questions(part, strategy.plan.recipe.data, seed)
    cache, positions = _find_features(questions.manifest, run.request_features(TOP), classifier, run)
    block = _read_pooled(cache, positions[:, 0])
    task, num_train = manifest.task, len(manifest.in_split("train"))
    whitening = strategy.plan.recipe.head.whitening
    (probe,) = run_probes(task, questions.targets, block, questions.folds, whitening=whitening)
    curve = measure_learning_curve(
        task,
        questions.targets,
        block,
        num_now=num_train,
        duplicates=duplicates,
        seed=seed,
        whitening=whitening,
    )
    evidence = Evidence(
        task=task,
        num_images=num_train,
        majority=run_majority(task, questions.targets, questions.folds),
        probe=probe,
        curve=curve,
        trial=None,
    )
    everything = manifest.for_training()
    seconds_an_image = epoch_seconds / num_train
    num_tried = choose_size(len(everything.records), seconds_an_image=seconds_an_image)
    if num_tried < MIN_TRIED:
        is_slow = len(everything.records) >= MIN_TRIED
        reason = "it would take minutes on this machine." if is_slow else f"{len(duplicates):,} images are too few."
        return dataclasses.replace(evidence, why_no_trial=reason)
    asked = make_questions(_take_part(everything, num_tried, seed), strategy.plan.recipe.data, seed)
    seconds = estimate_seconds(num_tried, seconds_an_image)
    console.say(
        f"The trial holds out each of {len(asked.manifest.records):,} images once. Training from {strategy.unfreeze} "
        f"upwards takes at most {format_duration(seconds)} of it."
    )
    return _add_trial(evidence, asked, strategy, classifier, run)


def _add_trial(evidence: Evidence, asked: Questions, strategy: Strategy, classifier: Classifier, run: Run) -> Evidence:
    """Return the evidence with a trial, or with the reason for skipping it."""
    started = time.perf_counter()
    stage = strategy.plan.stages[-1].stage
    views = ViewPlan(stage.policy, min(stage.views, MAX_VIEWS), asked.seed)
    top, inner = (
        TriedFeatures(*_find_features(asked.manifest, run.request_features(each, views), classifier, run))
        for each in (TOP, strategy.plan.stages[-1].boundary)
    )
    trial = run_trial(
        asked,
        top,
        inner,
        strategy=strategy,
        num_train=evidence.num_images,
        classifier=classifier,
        console=run.console,
    )
    if trial is None:
        return dataclasses.replace(evidence, why_no_trial="there are too few images of a class.")
    return dataclasses.replace(evidence, trial=dataclasses.replace(trial, seconds=time.perf_counter() - started))


def _take_part(manifest: Manifest, at_most: int, seed: int) -> Manifest:
    records = limit_records(list(manifest.records), find_task(manifest.task), seed, at_most=at_most)
    return dataclasses.replace(manifest, records=tuple(records))


def _find_features(
    manifest: Manifest, request: FeatureRequest, classifier: Classifier, run: Run
) -> tuple[FeatureCache, NDArray[np.int64]]:
    """Return the cache with the features of all images, and the row of each view, int64 (n, num_views)."""
    features = ensure_features(
        manifest,
        take_trunk(classifier.backbone, request),
        request,
        cache_root=run.cache_root,
        console=run.console,
    )
    return features.cache, features.locate(manifest.records)


def _read_pooled(cache: FeatureCache, positions: NDArray[np.int64]) -> NDArray[np.float32]:
    """Return the spatial mean of each feature map, float32 (n, channels)."""
    parts = []
    for start in range(0, len(positions), _ROWS_AT_ONCE):
        rows = cache.read(positions[start : start + _ROWS_AT_ONCE]).astype(np.float32)
        parts.append(rows.mean(axis=(1, 2)) if rows.ndim == 4 else rows)
    return np.concatenate(parts)
