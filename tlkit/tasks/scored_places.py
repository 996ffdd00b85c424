"""Objects and masks scored against what is true, image by image; see `tlkit.tasks.scored_outputs`.

Their scores are no means over images, so intervals and comparisons resample images and compute the scores anew.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from tlkit.metrics.detection_intervals import PrecisionResampling
from tlkit.metrics.intervals import Interval, compute_bootstrap_interval, widen_interval
from tlkit.metrics.segmentation import measure_each_image
from tlkit.segmentation.confusion import compute_iou, compute_mean_of_classes
from tlkit.tasks.scored_outputs import ScoredOutputs


class _Resampled(ScoredOutputs):
    """Outputs whose score is computed anew for every resample of the images."""

    def resample(self, counts: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the score of resamples, float64 (r,), from how often each has an image, float64 (n, r)."""
        raise NotImplementedError

    @property
    def num_passes(self) -> int:
        """How much work a resample is, in passes over the images."""
        raise NotImplementedError

    @property
    def value(self) -> float:
        """The score."""
        return float(np.nan_to_num(self.resample(np.ones((len(self.each), 1)))[0]))

    @cached_property
    def score(self) -> Interval:
        """The score with its bootstrap interval; Wilson's if all resamples agree."""
        number = len(self.each)
        drawn = compute_bootstrap_interval(
            self.value, self.resample, number, num_passes=self.num_passes, is_biased=True
        )
        return widen_interval(Interval(drawn.value, max(0.0, drawn.low), min(1.0, drawn.high)), number)

    def score_part(self, images: NDArray[Any]) -> float | None:
        """Return the score of some images; None if nothing is to be found in them."""
        part = self.select(images)
        value = float(part.resample(np.ones((len(part.each), 1)))[0])
        return None if np.isnan(value) else value

    def compute_gain(self, other: Self) -> Interval:
        """Return the difference of the scores, from the same resamples."""
        return compute_bootstrap_interval(
            self.value - other.value,
            lambda counts: self.resample(counts) - other.resample(counts),
            len(self.each),
            num_passes=self.num_passes + other.num_passes,
            is_biased=True,
        )


@dataclass(frozen=True, eq=False)
class ScoredObjects(_Resampled):
    """Objects, scored by the mean average precision at an IoU of 0.5.

    Attributes:
        outputs: Detections, float (n, k, 6); see `tlkit.metrics.detection_matches.match_detections`.
        each: The average precision of each image by itself, float64 (n,).
        targets: Likewise, float (n, m, 6).
    """

    targets: NDArray[np.floating[Any]]

    def select(self, images: NDArray[Any]) -> Self:
        """Select images by positions or a mask."""
        return dataclasses.replace(super().select(images), targets=self.targets[images])

    @cached_property
    def _precision(self) -> PrecisionResampling:
        return PrecisionResampling.of(self.targets, self.outputs)

    @property
    def num_passes(self) -> int:
        """As there."""
        return self._precision.num_passes

    def resample(self, counts: NDArray[np.float64]) -> NDArray[np.float64]:
        """As there; NaN without objects."""
        return self._precision.resample(counts)


@dataclass(frozen=True, eq=False)
class ScoredMasks(_Resampled):
    """Masks, scored by the mean IoU of the classes without background.

    Attributes:
        outputs: The counts of `tlkit.segmentation.confusion.count_confusions`, float64 (n, classes + 1, classes + 1).
        each: The mean IoU of each image by itself, float64 (n,).
    """

    @classmethod
    def of(cls, counts: NDArray[np.integer]) -> Self:
        """Score the counts of images, integers (n, classes + 1, classes + 1)."""
        return cls(counts.astype(np.float64), measure_each_image(counts))

    @property
    def num_passes(self) -> int:
        """As there."""
        return int(self.outputs[0].size)

    def resample(self, counts: NDArray[np.float64]) -> NDArray[np.float64]:
        """As there; NaN if no class occurs."""
        drawn = counts.T @ self.outputs.reshape(len(self.outputs), -1)
        return compute_mean_of_classes(compute_iou(drawn.reshape(-1, *self.outputs.shape[1:])))
