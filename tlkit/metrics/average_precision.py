"""Average precision: how well a label's scores rank the images that have it before those that do not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tlkit.metrics.intervals import Interval, compute_bootstrap_interval


def mean_of_defined(values: Sequence[float | None]) -> float | None:
    """Return the mean of the values that are not None, or None if there are none."""
    defined = [value for value in values if value is not None]
    return sum(defined) / len(defined) if defined else None


def compute_average_precisions(
    labels: NDArray[np.bool_], scores: NDArray[np.floating[Any]]
) -> tuple[float | None, ...]:
    """Return the average precision of each label; None if no image has it.

    It is the area under the precision-recall steps: the sum over descending thresholds of the gain in recall times the
    precision. Images with equal scores form one step, as in scikit-learn's `average_precision_score`.

    Args:
        labels: Bool (n, labels), n >= 1.
        scores: Finite float (n, labels).
    """
    once = np.ones((len(labels), 1))
    areas = [float(_compute_areas(*column, once)[0]) for column in zip(labels.T, scores.T, strict=True)]
    return tuple(None if np.isnan(area) else area for area in areas)


def measure_mean_average_precision(labels: NDArray[np.bool_], scores: NDArray[np.floating[Any]]) -> Interval | None:
    """Return the mean average precision with its bootstrap interval; None if no image has a label.

    A label without images in a resample is left out of that resample's mean.

    Args:
        labels: Bool (n, labels), n >= 1.
        scores: Finite float (n, labels).
    """
    value = mean_of_defined(compute_average_precisions(labels, scores))
    if value is None:
        return None
    borne = np.flatnonzero(labels.any(axis=0))

    def compute(counts: NDArray[np.float64]) -> NDArray[np.float64]:
        areas = np.stack([_compute_areas(labels[:, label], scores[:, label], counts) for label in borne])
        is_defined = ~np.isnan(areas)
        num_defined = is_defined.sum(axis=0)
        means: NDArray[np.float64] = np.where(is_defined, areas, 0).sum(axis=0) / np.where(
            num_defined, num_defined, np.nan
        )
        return means

    return compute_bootstrap_interval(value, compute, len(labels), num_passes=len(borne))


def _compute_areas(
    is_true: NDArray[np.bool_], scores: NDArray[np.floating[Any]], counts: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return one label's average precision in resamples, float64 (r,); NaN if a resample has no image with it.

    Args:
        is_true: Bool (n,).
        scores: Float (n,).
        counts: float64 (n, r), how often each resample contains each image.
    """
    if not is_true.any():
        return np.full(counts.shape[1], np.nan)
    order = np.argsort(-scores, kind="stable")
    last_of_equals = np.append(scores[order][1:] != scores[order][:-1], True)
    group_of = np.append(0, np.cumsum(last_of_equals)[:-1])
    # Recall grows only at groups with a positive image: the images down to each of them form one step.
    ends = np.flatnonzero(last_of_equals)[np.unique(group_of[is_true[order]])]
    starts = np.append(0, ends[:-1] + 1)
    taken = order[: ends[-1] + 1]
    drawn = counts[taken]
    num_taken = np.cumsum(np.add.reduceat(drawn, starts, axis=0), axis=0)
    gained = np.add.reduceat(drawn * is_true[taken, None], starts, axis=0)
    found = np.cumsum(gained, axis=0)
    areas: NDArray[np.float64] = (gained * found / np.maximum(num_taken, 1)).sum(axis=0)
    areas /= np.where(found[-1] > 0, found[-1], np.nan)
    return areas
