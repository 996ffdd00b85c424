"""Find classes whose evidence lies at the border of the pictures or outside the object: what a model may have learnt
instead of the object.

What stands at the same place of every photo of a class, such as a mark, a caption or a ruler, shows in the mean of its
maps: objects vary, so their mean is strongest in the middle. Nothing but numpy.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tlkit.explain.faithfulness import measure_energy_in_box
from tlkit.outputs import Box

BORDER_SHARE = 1 / 7
"""Width of the border, as a share of the edge; it covers .49 of the picture."""
MIN_PHOTOS = 20
"""Photos of a class below which nothing is said about it."""
MIN_STRENGTH = 0.8
"""Strength of the mean map at its strongest place, in standard deviations of a map: below, the class has no usual place."""
MIN_LEAD = 0.1
"""How much stronger a place in the border has to be than any inner one that does not touch it."""
MIN_PEAK = 1.2
"""How far a place has to rise above the median of the border: an empty background speaks for a class all round."""
MIN_OUTSIDE_SHARE = 0.6
MIN_EXCESS = 0.1
"""How much above the median of all classes the share outside boxes has to be."""


@dataclass(frozen=True)
class EvidencePlaces:
    """Where the evidence for a class lies, over its photos.

    Attributes:
        class_name: The class.
        num_photos: Photos with any evidence for it.
        border: Mean share of the evidence in the border, 0..1; .49 of the picture belongs to it.
        outside: Mean share outside the box of the object; None without boxes.
        reason: Why the class is named as a possible shortcut; empty if it is not.
    """

    class_name: str
    num_photos: int
    border: float
    outside: float | None
    reason: str

    @property
    def is_suspicious(self) -> bool:
        """Whether the class may be recognized by something else than its object."""
        return bool(self.reason)

    @property
    def sentence(self) -> str:
        """What is suspicious, for a report."""
        return (
            f"The model may recognize {self.class_name} by something other than the object: over {self.num_photos} images "
            f"that it gets right, {self.reason}."
        )


def find_shortcuts(
    maps: NDArray[np.floating[Any]],
    targets: NDArray[np.int64],
    class_names: Sequence[str],
    boxes: Sequence[Box | None] | None = None,
) -> list[EvidencePlaces]:
    """Return where the evidence for each class lies, and name the classes that it speaks against.

    Args:
        maps: Evidence for the true class of photos that the model gets right, float (n, h, w), as `explain_features`
            gives it.
        targets: The classes, int64 (n,).
        class_names: All classes.
        boxes: The object of each photo in fractions of the network's input, 0..1; None where it is not known.

    Returns:
        One entry for each class with 20 photos or more, in the order of the classes.
    """
    middle = (BORDER_SHARE, BORDER_SHARE, 1 - BORDER_SHARE, 1 - BORDER_SHARE)
    centred = maps - maps.min(axis=(1, 2), keepdims=True)
    border = 1 - np.array([measure_energy_in_box(one, middle) for one in centred])
    outside = np.array(
        [
            np.nan if box is None else 1 - measure_energy_in_box(one, box)
            for one, box in zip(centred, boxes or [None] * len(maps), strict=True)
        ]
    )
    found = []
    for number, name in enumerate(class_names):
        of_class = (targets == number) & np.isfinite(border)
        if of_class.sum() < MIN_PHOTOS:
            continue
        known = outside[of_class & np.isfinite(outside)]
        share = float(known.mean()) if len(known) >= MIN_PHOTOS else None
        place = _find_place_in_border(maps[of_class])
        found.append((name, int(of_class.sum()), float(border[of_class].mean()), share, place))
    shares = [entry[3] for entry in found if entry[3] is not None]
    typical = float(np.median(shares)) if len(shares) > 1 else 0.0
    return [
        EvidencePlaces(name, count, on_border, share, _judge(place, share, typical))
        for name, count, on_border, share, place in found
    ]


def _find_place_in_border(maps: NDArray[np.floating[Any]]) -> str:
    """Return where in the border the mean map of a class is strongest; empty if that is elsewhere, or hardly so."""
    centred = maps - maps.mean(axis=(1, 2), keepdims=True)
    mean = (centred / np.maximum(centred.std(axis=(1, 2), keepdims=True), 1e-12)).mean(axis=0)
    down, across = ((np.arange(size) + 0.5) / size for size in mean.shape)
    edges = [(middles < BORDER_SHARE, middles > 1 - BORDER_SHARE) for middles in (down, across)]
    rows, columns = (low | high for low, high in edges)
    in_border = rows[:, np.newaxis] | columns
    strongest = float(mean[in_border].max())
    row, column = np.argwhere(in_border & (mean == strongest))[0]
    is_near = (abs(np.arange(mean.shape[0]) - row) <= 1)[:, np.newaxis] & (abs(np.arange(mean.shape[1]) - column) <= 1)
    elsewhere = mean[~in_border & ~is_near]
    if len(elsewhere) == 0 or strongest < max(
        MIN_STRENGTH, float(elsewhere.max()) + MIN_LEAD, float(np.median(mean[in_border])) + MIN_PEAK
    ):
        return ""
    vertical = "top" if down[row] < 1 / 3 else "bottom" if down[row] > 2 / 3 else ""
    horizontal = "left" if across[column] < 1 / 3 else "right" if across[column] > 2 / 3 else ""
    return " ".join(word for word in (vertical, horizontal) if word)


def _judge(place: str, outside: float | None, typical_outside: float) -> str:
    """Return a sentence on what is suspicious, or nothing."""
    if outside is not None:
        is_high = outside > max(MIN_OUTSIDE_SHARE, typical_outside + MIN_EXCESS)
        return f"{outside:.0%} of the evidence lies outside the object's box" if is_high else ""
    return f"the evidence is strongest at the same place in the border of the pictures: {place}" if place else ""
