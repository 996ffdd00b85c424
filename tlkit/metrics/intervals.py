"""Confidence intervals of measured values."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Z_95 = 1.959963984540054
MIN_RESAMPLES, MAX_RESAMPLES = 200, 2000
_NO_WIDTH = 1e-6
_MAX_DRAWS = 100_000_000
_MAX_COUNTS_AT_ONCE = 2**22


@dataclass(frozen=True)
class Interval:
    """A value with its 95 % confidence interval, low <= value <= high."""

    value: float
    low: float
    high: float

    def in_words(self, write: Callable[[float], str] = "{:z.3f}".format) -> str:
        """Return "0.895 (95% interval 0.860 to 0.922)", with numbers formatted by `write`."""
        return f"{write(self.value)} (95% interval {write(self.low)} to {write(self.high)})"

    def in_brief(self, write: Callable[[float], str] = "{:z.3f}".format) -> str:
        """Return "0.895 (0.860 to 0.922)", with numbers formatted by `write`."""
        return f"{write(self.value)} ({write(self.low)} to {write(self.high)})"


def compute_wilson_interval(num_right: float, num_images: int) -> Interval:
    """Return the fraction right with its 95 % Wilson score interval.

    It stays within 0..1 and keeps its coverage for few images and for accuracies near 1, unlike the normal
    approximation (Wilson 1927; Brown, Cai and DasGupta 2001, "Interval Estimation for a Binomial Proportion").

    Args:
        num_right: 0..num_images; a fraction if images are right in part.
        num_images: At least 1.

    Examples:
        >>> compute_wilson_interval(9, 10)
        Interval(value=0.9, low=0.5958499732047615, high=0.9821237869049271)
    """
    value = num_right / num_images
    shrink = 1 + Z_95**2 / num_images
    centre = (value + Z_95**2 / (2 * num_images)) / shrink
    half = Z_95 / shrink * math.sqrt(value * (1 - value) / num_images + Z_95**2 / (4 * num_images**2))
    # At 0 and 1 the formula equals the bound exactly; only rounding could go past the measured value.
    return Interval(value, low=min(value, max(0.0, centre - half)), high=max(value, min(1.0, centre + half)))


def compute_paired_interval(num_won: int, num_lost: int, num_images: int) -> Interval:
    """Return the difference in accuracy of two predictions on the same images, with its 95 % interval.

    This is the adjusted Wald interval, which adds one image to the wins and one to the losses, so that it has a
    positive width even if two predictions agree on all images (Bonett and Price 2012, "Adjusted Wald Confidence
    Interval for a Difference of Binomial Proportions Based on Paired Data").

    Args:
        num_won: Images on which only the first prediction is right.
        num_lost: Images on which only the second is right.
        num_images: All images, at least 1.

    Examples:
        >>> compute_paired_interval(12, 2, 50).in_words("{:.4f}".format)
        '0.2000 (95% interval 0.0509 to 0.3337)'
    """
    won, lost = (num_won + 1) / (num_images + 2), (num_lost + 1) / (num_images + 2)
    half = Z_95 * math.sqrt((won + lost - (won - lost) ** 2) / (num_images + 2))
    value = (num_won - num_lost) / num_images
    return Interval(value, low=min(value, won - lost - half), high=max(value, won - lost + half))


def compute_bootstrap_interval(
    value: float,
    compute: Callable[[NDArray[np.float64]], NDArray[np.floating[Any]]],
    num_images: int,
    *,
    num_passes: int = 1,
    is_biased: bool = False,
) -> Interval:
    """Return a value with its 95 % percentile bootstrap interval over images.

    Each resample draws as many images as there are, with replacement (Efron and Tibshirani 1993, "An Introduction to
    the Bootstrap", chapter 13). The draws are the same in every call. There are 2000, or as few as 200 if more would
    take several seconds.

    Args:
        value: The value on the images themselves; the interval is widened to include it.
        compute: Takes float64 (images, r), how often each of r resamples contains an image, and returns the value of
            each, float (r,); undefined values are NaN and left out.
        num_images: At least 1.
        num_passes: Number of passes of `compute` over the images, at least 1.
        is_biased: Whether resamples have larger or smaller values than the images themselves, as sums of absolute
            differences have; the interval is then moved by the mean difference.
    """
    num_resamples = _count_resamples(num_images, num_passes)
    figures = np.concatenate([compute(counts) for counts in _iterate_resamples(num_images, num_resamples)])
    return _enclose(value, figures, num_shifts=int(is_biased))


def compute_bootstrap_intervals(
    values: Sequence[float],
    compute: Callable[[NDArray[np.float64]], NDArray[np.floating[Any]]],
    num_images: int,
    *,
    num_passes: int = 1,
) -> list[Interval]:
    """Return several fractions with their intervals, as `compute_bootstrap_interval` does, from the same resamples.

    The values are taken to exceed those of the population as much as resamples exceed the images, as maxima do. Each
    interval lies around the value less this bias (Efron and Tibshirani 1993, chapter 10), but includes the value.

    Args:
        values: The values on the images themselves, 0..1.
        compute: As there, but returns float (values, r).
        num_images: At least 1.
        num_passes: As there.
    """
    num_resamples = _count_resamples(num_images, num_passes)
    parts = [compute(counts) for counts in _iterate_resamples(num_images, num_resamples)]
    intervals = [
        _enclose(value, figures, num_shifts=2)
        for value, figures in zip(values, np.concatenate(parts, axis=1), strict=True)
    ]
    return [Interval(each.value, max(0.0, each.low), min(1.0, each.high)) for each in intervals]


def widen_interval(interval: Interval, num_images: int) -> Interval:
    """Return a fraction's interval; if resamples agree, the Wilson interval of as large a share of the images instead.

    Args:
        interval: Of a value 0..1.
        num_images: The images that the value is measured on, at least 1.
    """
    if interval.high - interval.low > _NO_WIDTH:
        return interval
    return compute_wilson_interval(interval.value * num_images, num_images)


def compute_mean_interval(values: NDArray[np.floating[Any]]) -> Interval:
    """Return the mean of a value of each image, float (n,), with its 95 % bootstrap interval."""
    return compute_bootstrap_interval(float(values.mean()), lambda counts: values @ counts / len(values), len(values))


def _count_resamples(num_images: int, num_passes: int) -> int:
    return max(MIN_RESAMPLES, min(MAX_RESAMPLES, _MAX_DRAWS // (num_images * num_passes)))


def _enclose(value: float, figures: NDArray[np.floating[Any]], *, num_shifts: int) -> Interval:
    """Return a value with the interval that holds 95 % of its resampled figures, but moved.

    Args:
        value: The value itself.
        figures: Float (r,); undefined ones are NaN.
        num_shifts: How many times the interval is moved by the difference of the value from their mean: once to lie
            around the value, twice to lie as far below it as they are above.
    """
    defined = figures[~np.isnan(figures)]
    low, high = np.percentile(defined, [2.5, 97.5]) if len(defined) else (value, value)
    shift = num_shifts * (value - float(defined.mean())) if num_shifts and len(defined) else 0.0
    return Interval(value, low=min(value, float(low) + shift), high=max(value, float(high) + shift))


def _iterate_resamples(num_images: int, num_resamples: int) -> Iterator[NDArray[np.float64]]:
    at_once = max(1, _MAX_COUNTS_AT_ONCE // num_images)
    if num_resamples <= at_once:
        yield _draw_once(num_images, num_resamples)
        return
    rng = np.random.default_rng(0)
    for start in range(0, num_resamples, at_once):
        yield _draw_resamples(rng, num_images, min(at_once, num_resamples - start))


@functools.lru_cache(maxsize=1)
def _draw_once(num_images: int, num_resamples: int) -> NDArray[np.float64]:
    """Return cached resamples, because drawing them takes ten times as long as using them."""
    return _draw_resamples(np.random.default_rng(0), num_images, num_resamples)


def _draw_resamples(rng: np.random.Generator, num_images: int, num_resamples: int) -> NDArray[np.float64]:
    """Return how often each resample contains each image, float64 (num_images, num_resamples)."""
    places = rng.integers(num_images, size=(num_resamples, num_images)) * num_resamples
    places += np.arange(num_resamples)[:, None]
    counts = np.bincount(places.ravel(), minlength=num_images * num_resamples)
    return counts.reshape(num_images, num_resamples).astype(np.float64)
