"""The score of an export beside that of its bundle where it belongs to all images together, with intervals by resampling."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tlkit.metrics.intervals import Interval

NUM_RESAMPLES = 200

Score = Callable[[NDArray[np.int64]], float]
"""Returns a score of some images, given their numbers, some of them perhaps twice."""


def compare_scores(ours: Score, theirs: Score, num_images: int) -> dict[str, Any]:
    """Return the scores of a bundle and its export on the same images as fields of a `Comparison`.

    Args:
        ours: The bundle's.
        theirs: The export's.
        num_images: Number of images.
    """
    random = np.random.Generator(np.random.PCG64(0))
    draws = random.integers(num_images, size=(NUM_RESAMPLES, num_images))
    drawn = np.array([(ours(draw), theirs(draw)) for draw in draws])
    drawn = drawn[~np.isnan(drawn).any(axis=1)]
    everything = np.arange(num_images)
    values = ours(everything), theirs(everything)
    gain = _make_interval(values[1] - values[0], drawn[:, 1] - drawn[:, 0])
    return {
        "bundle_score": _make_interval(values[0], drawn[:, 0]),
        "score": _make_interval(values[1], drawn[:, 1]),
        "gain": gain,
        "is_worse": gain.high < 0,
    }


def _make_interval(value: float, drawn: NDArray[np.float64]) -> Interval:
    low, high = np.quantile(drawn, [0.025, 0.975]) if len(drawn) else (value, value)
    return Interval(value, min(value, float(low)), max(value, float(high)))
