"""What became of each image with a mask: how well each class agrees, and how to say so."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from tlkit.metrics.segmentation import measure_each_image
from tlkit.segmentation.confusion import compute_iou, count_all_confusions
from tlkit.tasks.verdicts import NONE, CommonMistake, Verdict, Verdicts, sort_mistakes

GOOD_IOU = 0.5
"""A class agrees in an image from this intersection over union on."""


@dataclass(frozen=True, eq=False)
class SegmentationVerdicts(Verdicts):
    """Of images with a mask each; the loss of an image is 1 minus the mean IoU of its classes.

    Attributes:
        ious: Float (n, classes): of each class in each image; NaN where it is in neither mask.
        is_true: bool (n, classes): which classes are in the true masks.
        is_given: bool (n, classes): which are in the predicted ones.
        class_names: Name of each class.
    """

    ious: NDArray[np.float64] = field(kw_only=True)
    is_true: NDArray[np.bool_] = field(kw_only=True)
    is_given: NDArray[np.bool_] = field(kw_only=True)
    class_names: tuple[str, ...] = field(kw_only=True)
    facets: ClassVar[Mapping[str, str]] = {
        "mistake": "Mistake",
        "true": "True class",
        "predicted": "Predicted class",
    }
    worst_title: ClassVar[str] = "Classes that agree by less than half, the lowest IoU first"

    def kind_of(self, row: int) -> Hashable:
        """Return the mistakes of an image, or its true classes."""
        return tuple(self._list_mistakes(row)) or tuple(self._name(self.is_true[row]))

    def describe(self, row: int) -> Verdict:
        """Return the IoU of each class, the lowest first."""
        numbers = [n for n in np.argsort(self.ious[row]) if not np.isnan(self.ious[row, n])]
        lines = tuple(f"{self.class_names[n]} IoU {self.ious[row, n]:.2f}" for n in numbers)
        mistakes = self._list_mistakes(row)
        facets = {
            "mistake": mistakes or [NONE],
            "true": self._name(self.is_true[row]) or [NONE],
            "predicted": self._name(self.is_given[row]) or [NONE],
        }
        badge = f"mIoU {1 - self.losses[row]:.2f}" if lines else "right"
        return Verdict(lines or ("background, rightly",), badge, " ".join(mistakes), facets)

    def find_output(self, row: int) -> int:
        """Return the class with the lowest IoU; 0 without any."""
        return 0 if np.isnan(self.ious[row]).all() else int(np.nanargmin(self.ious[row]))

    def find_behind(self, column: str, row_name: str) -> Mapping[str, str]:
        """Return those with the class in the predicted mask for precision, those with it in the true one for all else."""
        if row_name not in self.class_names:
            return {}
        return {"predicted" if column == "precision" else "true": row_name}

    def list_common_mistakes(self) -> list[CommonMistake]:
        """Return the mistakes by class."""
        rows_of: dict[str, list[int]] = {}
        assert self.is_right is not None
        for row in self.rank(np.flatnonzero(~self.is_right)).tolist():
            for title in self._list_mistakes(row):
                rows_of.setdefault(title, []).append(row)
        return sort_mistakes([CommonMistake(title, {"mistake": title}, rows) for title, rows in rows_of.items()])

    def _list_mistakes(self, row: int) -> list[str]:
        mistakes = []
        for number, name in enumerate(self.class_names):
            if self.ious[row, number] < GOOD_IOU:
                kind = "poor" if self.is_true[row, number] and self.is_given[row, number] else None
                mistakes.append(f"{name} {kind or ('missed' if self.is_true[row, number] else 'where it is not')}")
        return mistakes

    def _name(self, has: NDArray[np.bool_]) -> list[str]:
        return [self.class_names[number] for number in np.flatnonzero(has)]


def judge_masks(
    targets: NDArray[np.uint8], masks: NDArray[np.uint8], class_names: Sequence[str]
) -> SegmentationVerdicts:
    """Return what became of each image; arguments as for `compute_segmentation_report`.

    The margin of an image is the least distance of an IoU from that of a class that agrees, 1 without classes.
    """
    counts = count_all_confusions(targets, masks, len(class_names))
    ious = compute_iou(counts)[:, 1:]
    defined = ~np.isnan(ious)
    return SegmentationVerdicts(
        losses=1.0 - measure_each_image(counts),
        is_right=np.asarray(~(defined & (ious < GOOD_IOU)).any(axis=1)),
        margins=np.where(defined, np.abs(np.where(defined, ious, 0.0) - GOOD_IOU) / GOOD_IOU, 1.0).min(
            axis=1, initial=1.0
        ),
        ious=ious,
        is_true=counts.sum(axis=2)[:, 1:] > 0,
        is_given=counts.sum(axis=1)[:, 1:] > 0,
        class_names=tuple(class_names),
    )
