"""Ask what inputs know of the answer: a linear probe, learnt on some images and scored on others, fold by fold.

Targets are float (n, outputs), as the task has them: one-hot classes, where the answer is the largest output; 0 and 1
for each label, where it is whether the output is above a half; or a value. Strengths are chosen within the training
images of each fold, so that no image has a say in its own prediction.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tlkit.metadata.encoding import MetadataEncoding, NumberColumn
from tlkit.metadata.numbers import parse_number
from tlkit.metrics.intervals import (
    Z_95,
    Interval,
    compute_bootstrap_interval,
    compute_paired_interval,
    compute_wilson_interval,
)
from tlkit.outputs import CLASSIFICATION, MULTILABEL, REGRESSION
from tlkit.probes.folds import MAX_FOLDS, Fold
from tlkit.probes.ridge import Matrix, RidgePath

MAX_BINS = 10
MAX_EXACT_VALUES = 20
MIN_IMAGES_OF_AN_EXACT_VALUE = 5
_MAX_COUNTED_EXACTLY = 1000
_SMALLEST = 1e-7
"""A probability below counts as this one."""


@dataclass(frozen=True, eq=False)
class Probe:
    """What a probe predicts for images that it has not learnt from.

    Attributes:
        task: One of TASKS.
        outputs: Float64 (n, outputs), as the targets are.
        each: How each image fared, float64 (n,): 1 right and 0 wrong; the part of its labels that are right; or for a
            value the squared error, where lower is better.
        spread: Float64 (n,): for a value, its squared distance from the mean of the training images; otherwise 0.
    """

    task: str
    outputs: Matrix
    each: Matrix
    spread: Matrix

    @property
    def value(self) -> float:
        """Accuracy, label accuracy, or R², which may be below 0 and is 0 where all values are equal."""
        if self.task == REGRESSION:
            return float(_compute_r2(self.each.sum(), self.spread.sum()))
        return float(self.each.mean())

    @cached_property
    def score(self) -> Interval:
        """The value with Wilson's interval for an accuracy, and one by bootstrap for the others."""
        if self.task == CLASSIFICATION:
            return compute_wilson_interval(int(self.each.sum()), len(self.each))
        if self.task == MULTILABEL:
            return compute_mean_interval(self.each)
        return compute_bootstrap_interval(
            self.value,
            lambda counts: _compute_r2(self.each @ counts, self.spread @ counts),
            num_images=len(self.each),
        )

    def score_part(self, places: NDArray[np.integer[Any]]) -> float | None:
        """Return the value for some of the images, at least one; None for an R² where their values are equal."""
        if self.task != REGRESSION:
            return float(self.each[places].mean())
        spread = float(self.spread[places].sum())
        return 1.0 - float(self.each[places].sum()) / spread if spread > 0 else None


def run_probes(
    task: str,
    targets: NDArray[np.floating[Any]],
    block: NDArray[np.floating[Any]],
    folds: Sequence[Fold],
    *,
    beside: Sequence[NDArray[np.floating[Any]] | None] = (None,),
) -> list[Probe]:
    """Probe a block of inputs by itself and beside others, which costs little more than probing it once.

    2,000 images of 1,280 features take about four seconds on one core.

    Args:
        task: One of TASKS.
        targets: Float (n, outputs); see the module.
        block: Float (n, d), d >= 1, finite.
        folds: Every image is predicted in one of them.
        beside: Second blocks, float (n, w), or None for the first block by itself.

    Returns:
        A probe for each of `beside`.
    """
    outputs = [np.zeros(targets.shape) for _ in beside]
    baseline = np.zeros(targets.shape)
    for fold in folds:
        known = targets[fold.train]
        path = RidgePath(block[fold.train], known)
        baseline[fold.test] = path.intercept
        for second, predicted in zip(beside, outputs, strict=True):
            ridge = path.fit(_chooser(task, known), None if second is None else second[fold.train])
            predicted[fold.test] = ridge.predict(block[fold.test], None if second is None else second[fold.test])
    return [score_outputs(task, targets, predicted, baseline) for predicted in outputs]


def run_majority(task: str, targets: NDArray[np.floating[Any]], folds: Sequence[Fold]) -> Probe:
    """Predict for every image what most training images of its fold have: class, each label; or their mean value."""
    means = np.zeros(targets.shape)
    for fold in folds:
        means[fold.test] = targets[fold.train].astype(np.float64).mean(axis=0)
    return score_outputs(task, targets, means, means)


def is_better(probe: Probe, other: Probe) -> bool:
    """Tell whether one probe does better than another on the same images, at 95% and two-sided.

    Classes are compared by McNemar's test, exact up to 1,000 images on which the two differ; labels and values by the
    bootstrap of the mean difference.
    """
    gain = other.each - probe.each if probe.task == REGRESSION else probe.each - other.each
    if probe.task == CLASSIFICATION:
        return _passes_mcnemar(int((gain > 0).sum()), int((gain < 0).sum()))
    return compute_mean_interval(gain).low > 0


def compute_gain(probe: Probe, other: Probe) -> Interval:
    """Return by how much the score of one probe is above that of another on the same images, with its 95 % interval."""
    if probe.task == CLASSIFICATION:
        gains = probe.each - other.each
        return compute_paired_interval(int((gains > 0).sum()), int((gains < 0).sum()), len(gains))
    if probe.task == MULTILABEL:
        return compute_mean_interval(probe.each - other.each)
    return compute_bootstrap_interval(
        probe.value - other.value,
        lambda counts: (
            _compute_r2(probe.each @ counts, probe.spread @ counts)
            - _compute_r2(other.each @ counts, other.spread @ counts)
        ),
        num_images=len(probe.each),
    )


def compute_losses(
    task: str, targets: NDArray[np.floating[Any]], outputs: NDArray[np.floating[Any]]
) -> NDArray[np.float64]:
    """Return the loss of each image, float64 (n,): of its class or the mean of its labels in nats, or the squared error.

    Args:
        task: One of TASKS.
        targets: Float (n, outputs); see the module.
        outputs: Probabilities, 0..1, or values, float (n, outputs).
    """
    losses: NDArray[np.float64]
    if task == REGRESSION:
        losses = ((targets - outputs) ** 2).sum(axis=1, dtype=np.float64)
    elif task == CLASSIFICATION:
        losses = -np.log(np.maximum((targets * outputs).sum(axis=1, dtype=np.float64), _SMALLEST))
    else:
        likelihoods = np.where(targets > 0.5, outputs, 1.0 - outputs).astype(np.float64)
        losses = -np.log(np.maximum(likelihoods, _SMALLEST)).mean(axis=1)
    return losses


def compute_mean_interval(values: Matrix) -> Interval:
    """Return the mean of a value for each image, float64 (n,), with its 95 % bootstrap interval."""
    return compute_bootstrap_interval(
        float(values.mean()), lambda counts: values @ counts / len(values), num_images=len(values)
    )


def make_strata(task: str, targets: NDArray[np.floating[Any]]) -> list[Hashable]:
    """Return what folds are to have in proportion: classes, sets of labels, or ten ranges of values.

    Sets of labels that fewer than 5 images have count as the most frequent one.
    """
    if task == CLASSIFICATION:
        return [int(label) for label in targets.argmax(axis=1)]
    if task == REGRESSION:
        ranks = targets[:, 0].argsort(kind="stable").argsort(kind="stable")
        num_bins = max(1, min(MAX_BINS, len(targets) // MAX_FOLDS))
        return [int(rank) * num_bins // len(targets) for rank in ranks]
    sets = [tuple(row) for row in (targets > 0.5).tolist()]
    counts = Counter(sets)
    usual = counts.most_common(1)[0][0]
    return [each if counts[each] >= MAX_FOLDS else usual for each in sets]


def probe_features(encoding: MetadataEncoding, rows: Sequence[Sequence[str]]) -> NDArray[np.float32]:
    """Return what a linear probe takes of metadata: a model's numbers, and beside them steps and exact values.

    A number column adds up to 10 bins with equally many images each, and up to 20 most frequent values that 5 images or
    more have, a 1 in its place for each: an image width of just 512 may tell everything. No targets are looked at.

    Args:
        encoding: The columns.
        rows: The texts of the images, one a column.

    Returns:
        Float32 (n, width), the encoding's numbers first.
    """
    texts = list(zip(*rows, strict=True)) if rows else []
    added = [
        _mark_steps_and_values(column_texts)
        for column, column_texts in zip(encoding.columns, texts, strict=False)
        if isinstance(column, NumberColumn)
    ]
    return np.concatenate([encoding.encode(rows), *added], axis=1)


def _mark_steps_and_values(texts: Sequence[str]) -> NDArray[np.float32]:
    values = np.array([parse_number(text) for text in texts], np.float64)
    known = values[~np.isnan(values)]
    if not len(known):
        return np.zeros((len(texts), 0), np.float32)
    edges = np.unique(np.quantile(known, np.linspace(0, 1, MAX_BINS + 1)[1:-1]))
    bins = np.where(np.isnan(values), -1, np.searchsorted(edges, values, side="right"))
    exact, counts = np.unique(known, return_counts=True)
    frequent = np.argsort(-counts, kind="stable")[:MAX_EXACT_VALUES]
    exact = exact[frequent[counts[frequent] >= MIN_IMAGES_OF_AN_EXACT_VALUE]]
    marks = [bins[:, None] == np.arange(len(edges) + 1), values[:, None] == exact]
    return np.concatenate(marks, axis=1).astype(np.float32)


def _chooser(task: str, targets: NDArray[np.floating[Any]]) -> Callable[[Matrix], tuple[float, ...]]:
    """Return what ranks predictions of left-out images: the squared error, for classes behind the accuracy."""
    labels = targets.argmax(axis=1)

    def rank(left_out: Matrix) -> tuple[float, ...]:
        closeness = -float(((left_out - targets) ** 2).sum())
        if task != CLASSIFICATION:
            return (closeness,)
        return (float((left_out.argmax(axis=1) == labels).mean()), closeness)

    return rank


def score_outputs(task: str, targets: NDArray[np.floating[Any]], outputs: Matrix, baseline: Matrix) -> Probe:
    """Return how predictions of images fare.

    Args:
        task: One of TASKS.
        targets: Float (n, outputs); see the module.
        outputs: What is predicted, float64 (n, outputs).
        baseline: What would be said without looking at the image, float64 (n, outputs): a value's spread is from there.
    """
    spread = np.zeros(len(targets))
    if task == CLASSIFICATION:
        each = (outputs.argmax(axis=1) == targets.argmax(axis=1)).astype(np.float64)
    elif task == MULTILABEL:
        each = ((outputs > 0.5) == (targets > 0.5)).mean(axis=1)
    else:
        each = ((targets - outputs) ** 2).sum(axis=1)
        spread = ((targets - baseline) ** 2).sum(axis=1)
    return Probe(task, outputs, each, spread)


def _compute_r2(errors: Any, spreads: Any) -> NDArray[np.float64]:
    """Return R² from sums of squares; 0 where the values do not differ."""
    defined = np.asarray(spreads) > 0
    return np.where(defined, 1.0 - np.asarray(errors) / np.where(defined, spreads, 1.0), 0.0)


def _passes_mcnemar(num_won: int, num_lost: int) -> bool:
    """Tell whether one of two answers is right where the other is wrong more often than a fair coin explains."""
    number = num_won + num_lost
    if num_won <= num_lost:
        return False
    if number > _MAX_COUNTED_EXACTLY:
        return (num_won - num_lost - 1) / math.sqrt(number) > Z_95
    # The coin's chance of so few losses is tail / 2**number; it must not exceed a fortieth.
    tail = sum(math.comb(number, lost) for lost in range(num_lost + 1))
    return bool(tail * 40 <= 2**number)
