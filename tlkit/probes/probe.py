"""Linear probes: fitted on some images and scored on others, fold by fold.

Targets are float (n, outputs): one-hot classes, predicted by the largest output; 0 and 1 for each label, predicted by
an output above 0.5; or a value. The regularization is chosen within the training images of each fold, so that no image
influences its own prediction.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tlkit.metadata.encoding import MetadataEncoding, NumberColumn
from tlkit.metadata.numbers import parse_number
from tlkit.metrics.intervals import Interval
from tlkit.metrics.ridge import Matrix, RidgePath
from tlkit.metrics.whitenings import STANDARDISED, Whitening
from tlkit.probes.folds import Fold
from tlkit.tasks import find_task
from tlkit.tasks.scored_outputs import ScoredOutputs

MAX_BINS = 10
MAX_EXACT_VALUES = 20
MIN_IMAGES_OF_AN_EXACT_VALUE = 5


def run_probes(
    task: str,
    targets: NDArray[np.floating[Any]],
    block: NDArray[np.floating[Any]],
    folds: Sequence[Fold],
    *,
    beside: Sequence[NDArray[np.floating[Any]] | None] = (None,),
    whitening: Whitening = STANDARDISED,
) -> list[ScoredOutputs]:
    """Probe a block of inputs alone and together with other blocks, at little more than the cost of one probe.

    2,000 images of 1,280 features take about four seconds on one core.

    Args:
        task: One of TASKS.
        targets: Float (n, outputs); see the module.
        block: Float (n, d), d >= 1, finite.
        folds: Folds in which every image is predicted once.
        beside: Second blocks, float (n, w), or None for the first block alone.
        whitening: What is made of the first block, fitted on the training images of each fold.

    Returns:
        The scored predictions for each of `beside`.
    """
    outputs = [np.zeros(targets.shape) for _ in beside]
    baseline = np.zeros(targets.shape)
    for fold in folds:
        known = targets[fold.train]
        path = RidgePath(block[fold.train], known, whitening)
        baseline[fold.test] = path.intercept
        for second, predicted in zip(beside, outputs, strict=True):
            ridge = path.fit(_chooser(task, known), None if second is None else second[fold.train])
            predicted[fold.test] = ridge.predict(block[fold.test], None if second is None else second[fold.test])
    return [find_task(task).score_outputs(targets, predicted, baseline) for predicted in outputs]


def run_majority(task: str, targets: NDArray[np.floating[Any]], folds: Sequence[Fold]) -> ScoredOutputs:
    """Predict the majority class, the majority of each label, or the mean value of the fold's training images."""
    means = np.zeros(targets.shape)
    for fold in folds:
        means[fold.test] = targets[fold.train].astype(np.float64).mean(axis=0)
    return find_task(task).score_outputs(targets, means, means)


def describe_gain(task: str, gain: Interval) -> str:
    """Format a gain of the score with its interval: accuracies in points, R² as a number."""
    scale, write, unit = (100, "{:+z.1f}", " points") if find_task(task).has_names else (1, "{:+z.3f}", "")
    value, low, high = (write.format(scale * figure) for figure in (gain.value, gain.low, gain.high))
    return f"{value}{unit} (95% interval {low} to {high})"


def probe_features(encoding: MetadataEncoding, rows: Sequence[Sequence[str]]) -> NDArray[np.float32]:
    """Return the metadata inputs of a linear probe: the model's encoding, plus bins and frequent values.

    A numeric column adds up to 10 quantile bins, and up to 20 most frequent values with at least 5 images each, all
    one-hot: an image width of exactly 512 may reveal everything. Targets are not used.

    Args:
        encoding: The columns.
        rows: The texts of the images, one per column.

    Returns:
        Float32 (n, width), starting with the encoding.
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
    """Return the ranking of leave-one-out predictions: by squared error, for classes by accuracy first."""
    labels = targets.argmax(axis=1)

    def rank(left_out: Matrix) -> tuple[float, ...]:
        closeness = -float(((left_out - targets) ** 2).sum())
        if not find_task(task).is_exclusive:
            return (closeness,)
        return (float((left_out.argmax(axis=1) == labels).mean()), closeness)

    return rank
