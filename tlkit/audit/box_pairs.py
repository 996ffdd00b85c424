"""The boxes of an image beside what is found in it: which detection is about which box, and what is wrong with them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tlkit.detection.overlaps import compute_iou_matrix
from tlkit.metrics.detection_thresholds import apply_detection_thresholds
from tlkit.tasks.objects import read_objects

MISSING, CLASS, PLACE, DOUBTFUL, DOUBLE = "missing", "class", "place", "doubtful", "double"
SAME_OBJECT = 0.5
"""IoU from which a detection and a box are about the same object and agree on its place."""
NEAR = 0.15
"""IoU from which they may be about the same object."""
DRAWN_TWICE = 0.8
"""IoU of two boxes from which they are about the same object."""
UNSEEN_BELOW = 0.1
"""What has a lower score is not found at all."""


@dataclass(frozen=True, eq=False)
class Scene:
    """The boxes of an image, and what is found in it by a detector that never saw it.

    Attributes:
        boxes: Its objects, as `tlkit.tasks.objects.make_object_rows` returns them: float32 (m, 6).
        found: The detections, without padding, the highest score first: left, top, right, bottom in pixels, score 0..1,
            class: float32 (d, 6).
        features: What each box shows, float (m, c); None if classes are judged by detections alone.
        group: Group of copies of the image; -1 for none.
    """

    boxes: NDArray[np.float32]
    found: NDArray[np.float32]
    features: NDArray[np.floating[Any]] | None = None
    group: int = -1


@dataclass(frozen=True)
class Doubt:
    """What is wrong with a box, or where one is missing.

    Attributes:
        kind: MISSING, CLASS, PLACE, DOUBTFUL or DOUBLE.
        image: Number of the image.
        score: 0..1; the higher, the more probable.
        box: Number of the box in the image; None where one is missing.
        detection: Number of the detection that contradicts it, if there is one.
        other: Of a box drawn twice, number of the one that stays.
        label: Of a wrong class, the one that is suggested.
        measure: IoU for PLACE and DOUBLE.
    """

    kind: str
    image: int
    score: float
    box: int | None = None
    detection: int | None = None
    other: int | None = None
    label: int | None = None
    measure: float = 0.0


def match_objects(answer: str, other: str) -> bool:
    """Return whether two texts of objects say the same: for each object one of its class, at nearly the same place.

    Args:
        answer: As `tlkit.tasks.objects.write_objects` writes it.
        other: Likewise.
    """
    ours, theirs = (
        sorted(read_objects(text), key=lambda each: (each.name, each.is_ignored)) for text in (answer, other)
    )
    if [(each.name, each.is_ignored) for each in ours] != [(each.name, each.is_ignored) for each in theirs]:
        return False
    names = np.array([each.name for each in ours])
    corners, others = (np.array([each.corners for each in some]).reshape(-1, 4) for some in (ours, theirs))
    is_near = (compute_iou_matrix(corners, others) >= DRAWN_TWICE) & (names[:, None] == names)
    return bool(is_near.any(axis=0).all() and is_near.any(axis=1).all())


@dataclass(eq=False)
class Pairing:
    """Which detection is about which box of a scene, and what has been said already.

    Attributes:
        scene: Boxes and detections.
        is_sure: Which detections reach the threshold of their class, bool (d,).
        overlaps: IoU of detections and boxes; part of the detection that lies inside ignored ones: float32 (d, m).
        partner: The detection of the same class that is about each box, int64 (m,), -1 for none: pairs with the highest score
            times IoU are made first.
        is_told: Of which boxes a doubt, or that they are ignored, has been told, bool (m,).
        is_used: Which detections are about a box, bool (d,).
    """

    scene: Scene
    is_sure: NDArray[np.bool_]
    overlaps: NDArray[np.float32]
    partner: NDArray[np.int64]
    is_told: NDArray[np.bool_]
    is_used: NDArray[np.bool_]

    @classmethod
    def of(cls, scene: Scene, thresholds: Sequence[float]) -> Pairing:
        """Pair the boxes and detections of a scene; a detection counts as sure from the threshold of its class on."""
        boxes, found = scene.boxes, scene.found
        is_ignored = boxes[:, 5] > 0
        overlaps = compute_iou_matrix(found[:, :4], boxes[:, :4], crowd=is_ignored)
        partner = np.full(len(boxes), -1)
        is_used = np.asarray((overlaps[:, is_ignored] >= SAME_OBJECT).any(axis=1))
        same = overlaps * (found[:, 5, None] == boxes[None, :, 4] - 1) * ~is_ignored
        supports = np.where(same >= NEAR, same, 0) * found[:, 4, None]
        while supports.max(initial=0) > 0:
            detection, box = np.unravel_index(supports.argmax(), supports.shape)
            partner[box], is_used[detection] = detection, True
            supports[detection], supports[:, box] = 0, 0
        is_sure = apply_detection_thresholds(found, thresholds)
        return cls(scene, is_sure, overlaps, partner, is_ignored.copy(), is_used)

    @property
    def is_ignored(self) -> NDArray[np.bool_]:
        """Which boxes are neither judged nor missed, bool (m,)."""
        return self.scene.boxes[:, 5] > 0

    @property
    def areas(self) -> NDArray[np.float64]:
        """Areas of the boxes in square pixels, float64 (m,)."""
        sides = self.scene.boxes[:, 2:4].astype(np.float64) - self.scene.boxes[:, :2]
        return np.asarray(sides.prod(axis=1))

    @property
    def open_boxes(self) -> list[int]:
        """The boxes of which nothing has been told."""
        return np.flatnonzero(~self.is_told).tolist()

    @property
    def found_boxes(self) -> list[int]:
        """The boxes that are found surely where they are."""
        return [
            box
            for box, partner in enumerate(self.partner.tolist())
            if partner >= 0 and self.is_sure[partner] and self.overlaps[partner, box] >= SAME_OBJECT
        ]

    @property
    def supports(self) -> NDArray[np.float32]:
        """The score of the detection of its own class at each box, float32 (m,); 0 without one."""
        scores = np.append(self.scene.found[:, 4], np.float32(0))
        return scores[self.partner]

    def find_doubles(self, image: int) -> Iterator[Doubt]:
        """Yield the boxes that another one nearly covers; the one that is found better stays.

        Two classes may both be there, one behind the other, if both are found.
        """
        corners, labels, supports = self.scene.boxes[:, :4], self.scene.boxes[:, 4], self.supports
        overlaps = compute_iou_matrix(corners, corners)
        overlaps[(labels[:, None] != labels) & (supports >= UNSEEN_BELOW) & (supports[:, None] >= UNSEEN_BELOW)] = 0
        order = sorted(self.open_boxes, key=lambda box: (-supports[box], box))
        kept: list[int] = []
        for box in order:
            twins = [other for other in kept if overlaps[box, other] >= DRAWN_TWICE]
            if not twins:
                kept.append(box)
                continue
            other = max(twins, key=lambda each: float(overlaps[box, each]))
            self.is_told[box] = True
            iou = float(overlaps[box, other])
            yield Doubt(DOUBLE, image, iou, box, other=other, measure=iou)

    def score_classes(self, box: int, num_classes: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Return the highest score of each class at a box, and the detection that has it, -1 for none; (num_classes,)."""
        found, scores, which = self.scene.found, np.zeros(num_classes), np.full(num_classes, -1)
        for detection in np.flatnonzero(self.overlaps[:, box] >= SAME_OBJECT)[::-1]:  # the highest score comes last
            if not self.is_used[detection] or self.partner[box] == detection:
                label = int(found[detection, 5])
                scores[label], which[label] = found[detection, 4], detection
        return scores, which

    def find_missing(self, image: int) -> Iterator[Doubt]:
        """Yield the sure detections that are about no box, of several in one place the surest.

        The more of one lies inside a box, the more it may be a part of an object.
        """
        found, boxes = self.scene.found, self.scene.boxes
        inside = compute_iou_matrix(found[:, :4], boxes[:, :4], crowd=np.ones(len(boxes), bool))
        kept: list[int] = []
        for detection in np.flatnonzero(self.is_sure & ~self.is_used).tolist():
            again = compute_iou_matrix(found[[detection], :4], found[kept, :4])
            if max(self.overlaps[detection].max(initial=0), again.max(initial=0)) >= SAME_OBJECT:
                continue
            kept.append(detection)
            score = float(found[detection, 4]) * (1 - float(inside[detection].max(initial=0)))
            yield Doubt(MISSING, image, score, None, detection)
