"""Detections from their thresholds on: which objects are found, how well they are counted, and what scores are worth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tlkit.metrics.calibration import Calibration, CalibrationBin
from tlkit.metrics.detection_matches import DetectionMatches
from tlkit.metrics.intervals import (
    Interval,
    compute_bootstrap_interval,
    compute_mean_interval,
    compute_wilson_interval,
    widen_interval,
)

MIN_CALIBRATED_SCORE = 0.05
NUM_BINS = 10


@dataclass(frozen=True, eq=False)
class DetectionCounts:
    """Numbers of objects and of shown detections by image and class, int64 (images, classes).

    Attributes:
        right: Shown detections that are right.
        shown: Shown detections, without those of ignored objects.
        objects: Objects that are to be found.
    """

    right: NDArray[np.int64]
    shown: NDArray[np.int64]
    objects: NDArray[np.int64]

    @property
    def missed(self) -> NDArray[np.int64]:
        """Objects that no shown detection finds, likewise."""
        return self.objects - self.right

    @property
    def false(self) -> NDArray[np.int64]:
        """Shown detections that are wrong, likewise."""
        return self.shown - self.right

    def of_class(self, label: int) -> tuple[int, int, int]:
        """Return the numbers of right and shown detections and of objects of a class."""
        right, shown, objects = (int(part[:, label].sum()) for part in (self.right, self.shown, self.objects))
        return right, shown, objects

    def totals(self) -> tuple[int, int, int]:
        """Return the numbers of right and shown detections and of objects of all classes."""
        return int(self.right.sum()), int(self.shown.sum()), int(self.objects.sum())


def count_detections(matches: DetectionMatches, is_shown: NDArray[np.bool_]) -> DetectionCounts:
    """Count objects and shown detections at the lowest overlap, by image and class.

    A detection is matched with regard to those with higher scores only, so what is not shown changes nothing about it.

    Args:
        matches: The matches.
        is_shown: Which detections are shown, bool (d,).
    """
    shape = matches.num_images, matches.num_classes
    keys = matches.detected.images * matches.num_classes + matches.detected.labels
    true_keys = matches.true.images * matches.num_classes + matches.true.labels
    parts = (
        keys[is_shown & matches.find_right()],
        keys[is_shown & ~matches.find_neutral()],
        true_keys[matches.find_counted()],
    )
    right, shown, objects = (np.bincount(part, minlength=shape[0] * shape[1]).reshape(shape) for part in parts)
    return DetectionCounts(right, shown, objects)


def measure_shown(counts: DetectionCounts) -> dict[str, Interval]:
    """Return "precision", "recall" and "f1" of all shown detections with their 95 % bootstrap intervals over images.

    Those that are undefined are left out. All right or all wrong have the Wilson interval of as many images.
    """
    right, shown, objects = (
        part.sum(axis=1).astype(np.float64) for part in (counts.right, counts.shown, counts.objects)
    )
    measured = {}
    for name, numerators, denominators in (
        ("precision", right, shown),
        ("recall", right, objects),
        ("f1", 2 * right, shown + objects),
    ):
        if denominators.sum():
            measured[name] = _measure_ratio(numerators, denominators)
    return measured


@dataclass(frozen=True)
class CountingScores:
    """How well the number of shown detections is the number of objects, with 95 % intervals over images.

    Attributes:
        error: Mean absolute difference an image, in objects.
        right: Share of the images with no difference.
        excess: Mean difference, above 0 if there are more detections than objects.
    """

    error: Interval
    right: Interval
    excess: Interval


def measure_counting(counts: DetectionCounts) -> CountingScores:
    """Compare the numbers of shown detections and of objects of an image, of all classes together."""
    excess = (counts.shown.sum(axis=1) - counts.objects.sum(axis=1)).astype(np.float64)
    return CountingScores(
        error=compute_mean_interval(np.abs(excess)),
        right=compute_wilson_interval(int((excess == 0).sum()), len(excess)),
        excess=compute_mean_interval(excess),
    )


def measure_undisturbed(matches: DetectionMatches, counts: DetectionCounts) -> Interval | None:
    """Return the share of the images without any object on which nothing is shown; None without such images."""
    is_empty = np.ones(matches.num_images, bool)
    is_empty[matches.true.images] = False
    if not is_empty.any():
        return None
    return compute_wilson_interval(int((counts.shown[is_empty].sum(axis=1) == 0).sum()), int(is_empty.sum()))


@dataclass(frozen=True)
class DetectionCalibration:
    """Whether the score of a detection is the probability that it is right.

    Attributes:
        calibration: Bins of detections by score, and the expected calibration error.
        error: The expected calibration error with its interval over images.
    """

    calibration: Calibration
    error: Interval


def measure_detection_calibration(matches: DetectionMatches) -> DetectionCalibration | None:
    """Compare scores with the share of detections that are right at the lowest overlap; None without detections.

    Detections below 0.05 are left out: there are many, and nobody looks at them. Each bin spans a tenth of the scores,
    since most scores are low (Küppers et al. 2020, "Multivariate Confidence Calibration for Object Detection").
    """
    taken = ~matches.find_neutral() & (matches.detected.scores >= MIN_CALIBRATED_SCORE)
    if not taken.any():
        return None
    scores, is_right = matches.detected.scores[taken].astype(np.float64), matches.find_right()[taken]
    places = np.minimum((scores * NUM_BINS).astype(np.int64), NUM_BINS - 1)
    bins = tuple(
        CalibrationBin(float(scores[own].mean()), float(is_right[own].mean()), len(own))
        for place in range(NUM_BINS)
        if len(own := np.flatnonzero(places == place))
    )
    calibration = Calibration(
        sum(each.num_images * abs(each.confidence - each.accuracy) for each in bins) / len(scores), bins
    )
    images = matches.detected.images[taken]
    gaps = np.zeros((NUM_BINS, matches.num_images))
    np.add.at(gaps, (places, images), scores - is_right)
    numbers = np.bincount(images, minlength=matches.num_images)

    def compute(drawn: NDArray[np.float64]) -> NDArray[np.float64]:
        errors: NDArray[np.float64] = np.abs(gaps @ drawn).sum(axis=0) / np.maximum(1, numbers @ drawn)
        return errors

    error = compute_bootstrap_interval(calibration.error, compute, matches.num_images, is_biased=True)
    return DetectionCalibration(calibration, Interval(error.value, max(0.0, error.low), error.high))


def _measure_ratio(numerators: NDArray[np.float64], denominators: NDArray[np.float64]) -> Interval:
    value = float(numerators.sum() / denominators.sum())

    def compute(drawn: NDArray[np.float64]) -> NDArray[np.float64]:
        number = denominators @ drawn
        ratios: NDArray[np.float64] = (numerators @ drawn) / np.where(number > 0, number, np.nan)
        return ratios

    return widen_interval(compute_bootstrap_interval(value, compute, len(numerators)), int((denominators > 0).sum()))
