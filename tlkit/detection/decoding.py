"""From a head's answers to a list of boxes for each image, in numpy: exported models are read by the same code."""

from __future__ import annotations

import math
from collections.abc import Iterable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tlkit.detection.grid import NUM_BOX_VALUES, Grid, decode_boxes
from tlkit.detection.overlaps import compute_iou_matrix

MAX_DETECTIONS = 100
"""Boxes kept for each image, as in COCO's evaluation."""

NUM_DETECTION_VALUES = 6
"""Of a box that is kept: its corners, score and class."""

MIN_SCORE = 0.01
"""Boxes with lower scores are dropped before anything else."""

MAX_IOU = 0.55
"""Where nothing is lowered: of two boxes of a class that overlap more, the one with the higher score is kept."""

SOFT_SIGMA = 0.5
"""The score of a box that overlaps a better one of its class is multiplied by exp(-IoU² / sigma)."""

VOTE_IOU = 0.6
"""A box is averaged with those of its class that overlap it so much, weighted by their scores."""

MAX_CANDIDATES = 300
"""Boxes of an image of which those to keep are chosen."""


def activate_answers(answers: NDArray[np.float32], grid: Grid) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the box and the class scores at each location.

    Args:
        answers: From the head, float32 (n, P, 4 + classes).
        grid: Its locations.

    Returns:
        Boxes x0, y0, x1, y1 in fractions of the input, float32 (n, P, 4), not clipped; and scores, float32
        (n, P, classes), 0..1.
    """
    return decode_boxes(answers[..., :NUM_BOX_VALUES], grid), _sigmoid(answers[..., NUM_BOX_VALUES:])


def decode_answers(
    answers: NDArray[np.float32],
    grid: Grid,
    *,
    max_detections: int = MAX_DETECTIONS,
    max_iou: float = MAX_IOU,
    min_score: float = MIN_SCORE,
    soft_sigma: float | None = SOFT_SIGMA,
    vote_iou: float = VOTE_IOU,
) -> NDArray[np.float32]:
    """Return the boxes of each image after non-maximum suppression within each class, best first.

    Args:
        answers: From the head, float32 (n, P, 4 + classes).
        grid: Its locations.
        max_detections: Rows for each image.
        max_iou: Without `soft_sigma`: of two boxes of a class that overlap more, the one with the lower score is
            dropped, 0..1.
        min_score: Lower scores are dropped, 0 < min_score < 1.
        soft_sigma: The score of a box that overlaps a better one of its class is multiplied by exp(-IoU² / sigma) (Bodla
            et al. 2017, arXiv:1704.04503); None to drop the box instead.
        vote_iou: A box that is kept becomes the average, weighted by score, of the candidates of its class that overlap
            it so much (Gidaris and Komodakis 2015, arXiv:1505.01749), 0..1; 1 for its own place.

    Returns:
        x0, y0, x1, y1 in fractions of the input, not clipped; score, 0..1; class index. float32 (n, max_detections, 6),
        padded by rows of zeros.
    """
    suppress = partial(
        _suppress_and_average,
        max_detections=max_detections,
        max_iou=max_iou,
        min_score=min_score,
        soft_sigma=soft_sigma,
        vote_iou=vote_iou,
    )
    found = (suppress(_find_candidates(answer, grid, min_score)) for answer in answers)
    return _fill(found, len(answers), max_detections)


def choose_detections(candidates: NDArray[np.float32], *, soft_sigma: float | None = SOFT_SIGMA) -> NDArray[np.float32]:
    """Return what `decode_answers` does, by its other defaults, given the best candidates of each image.

    Args:
        candidates: From `tlkit.detection.candidates.find_candidates`, float32 (n, k, 6).
        soft_sigma: As there.

    Returns:
        float32 (n, 100, 6).
    """
    found = (_suppress_and_average(each[each[:, 4] >= MIN_SCORE], soft_sigma=soft_sigma) for each in candidates)
    return _fill(found, len(candidates), MAX_DETECTIONS)


def _fill(found: Iterable[NDArray[np.float32]], num_images: int, max_detections: int) -> NDArray[np.float32]:
    """Return the rows of each image, filled up with zeros: float32 (num_images, max_detections, 6)."""
    detections = np.zeros((num_images, max_detections, NUM_DETECTION_VALUES), np.float32)
    for rows, kept in zip(detections, found, strict=True):
        rows[: len(kept)] = kept
    return detections


def _suppress_and_average(
    candidates: NDArray[np.float32],
    *,
    max_detections: int = MAX_DETECTIONS,
    max_iou: float = MAX_IOU,
    min_score: float = MIN_SCORE,
    soft_sigma: float | None,
    vote_iou: float = VOTE_IOU,
) -> NDArray[np.float32]:
    """Return the rows that are kept of those of an image, (k, 6), best first."""
    boxes, scores, labels = candidates[:, :4], candidates[:, 4], candidates[:, 5]
    overlaps = compute_iou_matrix(boxes, boxes)
    overlaps[labels[:, None] != labels] = 0.0
    factors = overlaps <= max_iou if soft_sigma is None else np.exp(-np.square(overlaps) / soft_sigma)
    kept, kept_scores = _suppress(scores, factors, min_score=min_score, max_detections=max_detections)
    places = _average(boxes, np.where(overlaps[kept] >= vote_iou, scores, 0.0)) if vote_iou < 1 else boxes[kept]
    return np.column_stack((places, kept_scores, labels[kept]))


def _average(boxes: NDArray[np.float32], weights: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return averages (k, 4) of boxes (a, 4) by weights (k, a)."""
    average: NDArray[np.float32] = weights @ boxes / weights.sum(axis=1, keepdims=True)
    return average


def _find_candidates(answer: NDArray[np.float32], grid: Grid, min_score: float) -> NDArray[np.float32]:
    """Return box, score and label, (k, 6), above the lowest score, best first; a location may give several classes."""
    logits = answer[:, NUM_BOX_VALUES:]
    places, labels = np.nonzero(logits >= math.log(min_score / (1 - min_score)))
    found = logits[places, labels]
    order = np.argsort(-found, kind="stable")[:MAX_CANDIDATES]
    boxes = decode_boxes(answer[:, :NUM_BOX_VALUES], grid)[places[order]]
    return np.column_stack((boxes, _sigmoid(found[order]), labels[order].astype(np.float32)))


def _suppress(
    scores: NDArray[np.float32], factors: NDArray[Any], *, min_score: float, max_detections: int
) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
    """Take the best box again and again, and multiply the scores of the others by their factors.

    Args:
        scores: Float (k,).
        factors: What taking the box of a row does to each other one, 0..1, (k, k).
        min_score: Lower ones are not taken.
        max_detections: As many as that at most.

    Returns:
        Which boxes are taken, in order, and their scores at that moment.
    """
    live = scores.copy()
    taken: list[int] = []
    found: list[float] = []
    while len(taken) < min(max_detections, len(scores)):
        best = int(np.argmax(live))
        if live[best] < min_score:
            break
        taken.append(best)
        found.append(live[best])
        live *= factors[best]
        live[best] = -1.0
    return np.array(taken, np.intp), np.array(found, np.float32)


def _sigmoid(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    scores: NDArray[np.float32] = (1 / (1 + np.exp(-np.clip(logits, -80, 80)))).astype(np.float32)
    return scores
