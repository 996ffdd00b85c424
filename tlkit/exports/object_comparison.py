"""Compare the objects that an exported detector finds with the bundle's, place by place and image by image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tlkit.detection.decoding import MAX_DETECTIONS, MIN_SCORE, NUM_DETECTION_VALUES
from tlkit.detection.overlaps import compute_iou_matrix
from tlkit.exports.paired_scores import Score, compare_scores
from tlkit.metrics.detection_precision import compute_map50
from tlkit.metrics.detection_thresholds import apply_detection_thresholds
from tlkit.tasks.detection import MAX_COMPARED

SAME_IOU = 0.9
"""Two boxes that overlap so much are the same for who looks at them."""

Places = tuple[NDArray[np.float32], NDArray[np.float32]]
"""Boxes (P, 4), as fractions of the input, and scores (P, classes), 0..1, at every place of an image."""


def read_detections(rows: Sequence[Mapping[str, Any]]) -> NDArray[np.float32]:
    """Return what an export's reader found, float32 (n, 100, 6): corners in pixels, score and class index."""
    detections = np.zeros((len(rows), MAX_DETECTIONS, NUM_DETECTION_VALUES), np.float32)
    for place, row in enumerate(rows):
        found = np.array(row["detections"], np.float32).reshape(-1, NUM_DETECTION_VALUES)
        detections[place, : len(found)] = found
    return detections


def compare_places(rows: Sequence[Mapping[str, Any]], places: Sequence[Places]) -> dict[str, Any]:
    """Return the largest and mean difference of a score, and the largest of an edge where there may be an object.

    Args:
        rows: The reader's rows; the first ones have `boxes` and `scores`.
        places: Those of the bundle's network, for the first images.
    """
    scores, edges = [np.zeros(1)], [np.zeros(1)]
    for row, (ours, our_scores) in zip(rows, places, strict=False):
        theirs, their_scores = np.array(row["boxes"]), np.array(row["scores"])
        scores.append(np.abs(their_scores - our_scores).ravel())
        is_seen = (np.maximum(their_scores, our_scores) >= MIN_SCORE).any(axis=1)
        within = [np.clip(boxes[is_seen], 1 - MAX_COMPARED, MAX_COMPARED) for boxes in (theirs, ours)]
        edges.append(np.abs(within[0] - within[1]).ravel())
    found = np.concatenate(scores)
    return {
        "largest_difference": float(found.max()),
        "mean_difference": float(found.mean()),
        "box_difference": float(np.concatenate(edges).max()),
    }


def compare_objects(
    theirs: NDArray[np.float32],
    ours: NDArray[np.float32],
    thresholds: Sequence[float],
    targets: NDArray[np.floating[Any]] | None,
) -> dict[str, Any]:
    """Compare what is found in each image, and the scores against the true objects, if they are known.

    Args:
        theirs: The export's detections, float32 (n, 100, 6).
        ours: The bundle's.
        thresholds: The score from which an object of each class is shown.
        targets: True objects, float (n, M, 6).
    """
    shown = [
        [found[mask] for found, mask in zip(each, apply_detection_thresholds(each, thresholds), strict=True)]
        for each in (theirs, ours)
    ]
    facts: dict[str, Any] = {
        "same_answer": float(np.mean([_are_same(one, other) for one, other in zip(*shown, strict=True)]))
    }
    if targets is None or not ((targets[..., 4] > 0) & (targets[..., 5] == 0)).any():
        return facts
    return facts | compare_scores(_score(targets, ours), _score(targets, theirs), len(targets))


def _score(targets: NDArray[np.floating[Any]], found: NDArray[np.float32]) -> Score:
    """Return what gives the mAP@.5 of some images."""
    return lambda numbers: compute_map50(targets[numbers], found[numbers])


def _are_same(one: NDArray[np.float32], other: NDArray[np.float32]) -> bool:
    """Return whether two lists of detections, (k, 6), are the same objects."""
    if sorted(one[:, 5]) != sorted(other[:, 5]):
        return False
    overlaps = compute_iou_matrix(one[:, :4], other[:, :4])
    overlaps[one[:, None, 5] != other[:, 5]] = 0
    return bool(
        (overlaps.max(axis=0, initial=0) >= SAME_IOU).all() and (overlaps.max(axis=1, initial=0) >= SAME_IOU).all()
    )
