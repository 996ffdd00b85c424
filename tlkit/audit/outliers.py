"""Outliers: images that resemble no other image of the data set.

An image is judged by its mean cosine to its nearest neighbours that are not its copies. Data sets differ in how alike
their images are, so the threshold is relative: far below the median, in units of the spread of the usual images.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tlkit.audit.findings import Finding
from tlkit.data.manifest import ImageRecord

NUM_NEIGHBOURS = 10
_MIN_DEVIATION = 4.0
_MIN_IMAGES = 20
_TO_DEVIATION = 1.4826
"""Times the median absolute deviation gives the standard deviation of a normal distribution."""


def find_outliers(
    records: Sequence[ImageRecord],
    nearest: NDArray[np.int64],
    cosines: NDArray[np.floating[Any]],
    groups: NDArray[np.int64],
) -> list[Finding]:
    """Return a finding for each image that is far from all others.

    Args:
        records: The images.
        nearest: Their nearest images, int64 (n, k).
        cosines: To these, float (n, k), -1..1.
        groups: Group of copies of each image, int64 (n,), -1 for none.
    """
    if len(records) < _MIN_IMAGES or nearest.shape[1] == 0:
        return []
    is_other = (groups[nearest] != groups[:, None]) | (groups[:, None] < 0)
    counts = is_other.sum(axis=1)
    similarity = np.where(counts > 0, (cosines * is_other).sum(axis=1) / np.maximum(counts, 1), np.nan)
    deviations = measure_deviations(-similarity)
    findings = []
    for place in np.flatnonzero(deviations >= _MIN_DEVIATION).tolist():
        record = records[place]
        evidence = (
            f"Its nearest images have a cosine of {similarity[place]:.2f}; the median of all images is "
            f"{np.nanmedian(similarity):.2f}."
        )
        findings.append(
            Finding(
                "outlier",
                record.path,
                record.split,
                record.answer,
                score=score_deviation(float(deviations[place]), _MIN_DEVIATION),
                evidence=evidence,
                others=tuple(records[other].path for other in nearest[place, :3]),
            )
        )
    return findings


def measure_deviations(
    values: NDArray[np.floating[Any]], *, among: NDArray[np.bool_] | None = None, min_spread: float = 0.0
) -> NDArray[np.float64]:
    """Return how far values lie above the median, float (n,), in robust standard deviations; 0 for NaN.

    Args:
        values: Float (n,).
        among: The values whose median and spread count, bool (n,); None for all.
        min_spread: The least standard deviation, for values that hardly differ; with 0 and equal values all are 0.
    """
    finite = np.isfinite(values)
    known = values[finite if among is None else finite & among].astype(np.float64)
    deviations = np.zeros(len(values))
    if not len(known):
        return deviations
    middle = float(np.median(known))
    spread = max(min_spread, _TO_DEVIATION * float(np.median(known[known >= middle] - middle)))
    if spread <= 1e-9 * max(1.0, abs(middle)):
        return deviations
    deviations[finite] = (values[finite] - middle) / spread
    return deviations


def score_deviation(deviation: float, threshold: float) -> float:
    """Return 0.5 for a deviation at the threshold, more beyond it, below 1."""
    return deviation / (deviation + threshold)
