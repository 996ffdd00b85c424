"""Boxes that held-out detections contradict: missing, of another class, badly placed, around nothing, or drawn twice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tlkit.audit.box_classes import judge_classes
from tlkit.audit.box_pairs import DOUBTFUL, PLACE, UNSEEN_BELOW, Doubt, Pairing, Scene
from tlkit.audit.findings import Estimate

DOUBTFUL_FROM = 0.5
"""Boxes are listed as doubtful from this score on."""
MISPLACED_BELOW = 0.75
"""Boxes are listed as badly placed if their IoU with what is found is below this part of the usual one."""
_NUM_ALIKE = 30


@dataclass(frozen=True)
class BoxAudit:
    """What held-out detections say about the boxes of a data set.

    Attributes:
        doubts: What is wrong, in no order.
        wrong_classes: Estimated number of boxes of a wrong class; None with one class, or too few boxes that are found.
        num_judged: Number of boxes whose class was judged.
        num_boxes: Number of boxes that are not ignored.
        num_found: Number of those that are found, with their class.
    """

    doubts: tuple[Doubt, ...]
    wrong_classes: Estimate | None
    num_judged: int
    num_boxes: int
    num_found: int


def audit_boxes(scenes: Sequence[Scene], thresholds: Sequence[float]) -> BoxAudit:
    """Compare the boxes of a data set with held-out detections.

    Each box and each detection is about one thing at most: what is found where a box is says something about that box
    alone, and what is found beside all boxes is an object that is missing.

    Args:
        scenes: The images.
        thresholds: Score from which a detection counts as found, for each class.
    """
    pairings = [Pairing.of(scene, thresholds) for scene in scenes]
    num_boxes = sum(len(pairing.open_boxes) for pairing in pairings)
    num_found = sum(len(pairing.found_boxes) for pairing in pairings)
    doubts: list[Doubt] = []
    for image, pairing in enumerate(pairings):
        doubts += pairing.find_doubles(image)
    wrong, num_judged, estimate = judge_classes(pairings, len(thresholds))
    doubts += wrong
    doubts += _judge_places(pairings)
    doubts += _judge_unseen(pairings)
    for image, pairing in enumerate(pairings):
        doubts += pairing.find_missing(image)
    return BoxAudit(tuple(doubts), estimate, num_judged, num_boxes, num_found)


def _judge_places(pairings: Sequence[Pairing]) -> list[Doubt]:
    """Return boxes whose object is found surely, but fits them far worse than others fit boxes of about their size."""
    found = [
        (image, box, int(pairing.partner[box]))
        for image, pairing in enumerate(pairings)
        for box in pairing.open_boxes
        if pairing.partner[box] >= 0
    ]
    overlaps = np.array([pairings[image].overlaps[detection, box] for image, box, detection in found], np.float64)
    usual = compute_usual([pairings[image].areas[box] for image, box, _ in found], overlaps)
    doubts = []
    for (image, box, detection), iou, expected in zip(found, overlaps.tolist(), usual.tolist(), strict=True):
        pairing = pairings[image]
        if pairing.is_sure[detection] and iou < MISPLACED_BELOW * expected:
            pairing.is_told[box] = True
            score = float(pairing.scene.found[detection, 4]) * (1 - iou / expected)
            doubts.append(Doubt(PLACE, image, score, box, detection, measure=iou))
    return doubts


def _judge_unseen(pairings: Sequence[Pairing]) -> list[Doubt]:
    """Return boxes at which far less is found, of whatever class, than at others of about their size."""
    places = [
        (image, box) for image, pairing in enumerate(pairings) for box in np.flatnonzero(~pairing.is_ignored).tolist()
    ]
    at_boxes = [(pairing.overlaps * pairing.scene.found[:, 4, None]).max(axis=0, initial=0) for pairing in pairings]
    supports = np.array([at_boxes[image][box] for image, box in places], np.float64)
    usual = compute_usual([pairings[image].areas[box] for image, box in places], supports)
    doubts = []
    for (image, box), support, expected in zip(places, supports.tolist(), usual.tolist(), strict=True):
        if pairings[image].is_told[box] or expected < UNSEEN_BELOW or support > (1 - DOUBTFUL_FROM) * expected:
            continue
        pairings[image].is_told[box] = True
        doubts.append(Doubt(DOUBTFUL, image, 1 - support / expected, box))
    return doubts


def compute_usual(areas: Sequence[float], values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the median value of the 30 other boxes whose areas are next to that of each, float64 (n,); 0 without others.

    Args:
        areas: Of the boxes, in any unit.
        values: Of the boxes, float64 (n,).
    """
    if len(values) < 2:
        return np.zeros(len(values))
    order = np.argsort(areas, kind="stable")
    size = min(_NUM_ALIKE + 1, len(values))
    starts = np.clip(np.arange(len(values)) - size // 2, 0, len(values) - size)
    windows = values[order][starts[:, None] + np.arange(size)]
    windows[np.arange(len(values)), np.arange(len(values)) - starts] = np.nan
    usual = np.empty(len(values))
    usual[order] = np.nanmedian(windows, axis=1)
    return usual
