"""The objects that a detector finds, as something to be explained: which of them, by which outputs, and how sure it stays."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tlkit.detection.decoding import NUM_DETECTION_VALUES, activate_answers
from tlkit.detection.grid import NUM_BOX_VALUES, Grid
from tlkit.detection.overlaps import compute_iou_matrix
from tlkit.metrics.detection_thresholds import apply_detection_thresholds
from tlkit.models.spec import BundleSpec

MAX_OBJECTS = 5
"""Objects of a photo that are explained, the surest first."""
SAME_OBJECT_IOU = 0.5
"""Boxes of a class that overlap so much are of the same object."""


def choose_objects(
    answers: NDArray[np.floating[Any]], spec: BundleSpec, label: int | None
) -> tuple[NDArray[np.floating[Any]], bool]:
    """Return the objects of a photo to explain, and whether they are found.

    Args:
        answers: Detections, the best first, with edges in fractions of the input, flattened: float (600,).
        spec: The model's.
        label: Only objects of this class; None: of all.

    Returns:
        At most 5 of those at or above the thresholds of their classes, float (k, 6), and True; where there is none, the one
        with the highest score, k <= 1, and False. What lies beside the input is left out, as in predictions.
    """
    found = answers.reshape(-1, NUM_DETECTION_VALUES)
    seen = np.clip(found[:, :4], 0.0, 1.0)
    is_wanted = (found[:, 4] > 0) & (seen[:, 2:] > seen[:, :2]).all(axis=1)
    if label is not None:
        is_wanted &= found[:, 5] == label
    is_shown = apply_detection_thresholds(found, spec.thresholds) & is_wanted
    if is_shown.any():
        return found[is_shown][:MAX_OBJECTS], True
    return found[is_wanted][:1], False


def name_objects(chosen: NDArray[np.floating[Any]], spec: BundleSpec) -> list[str]:
    """Return the class of each object, with a number where there are several of it."""
    names = [spec.class_names[int(label)] for label in chosen[:, 5]]
    totals, seen = Counter(names), Counter[str]()
    numbered = []
    for name in names:
        seen[name] += 1
        numbered.append(f"{name} {seen[name]}" if totals[name] > 1 else name)
    return numbered


def list_object_outputs(
    found: NDArray[np.floating[Any]], logits: NDArray[np.float32], spec: BundleSpec
) -> NDArray[np.int64]:
    """Return the output that gives an object its score: the logit of its class at one location, int64 (1, 1).

    Of the locations whose boxes are of the same object, it is the one with the highest product of score and overlap.

    Args:
        found: The object, float (6,), as `choose_objects` gives it.
        logits: The head's numbers at all locations, flattened, float32 (num_outputs,).
        spec: The model's.
    """
    num_answers, label = spec.outputs.num_answers, int(found[5])
    boxes, scores = activate_answers(logits.reshape(1, -1, num_answers), Grid(spec.outputs.map_sizes))
    overlaps = compute_iou_matrix(found[np.newaxis, :4].astype(np.float32), boxes[0])[0]
    is_same = overlaps >= min(SAME_OBJECT_IOU, overlaps.max())
    candidates = np.where(is_same, scores[0, :, label] * overlaps, -1.0)
    return np.array([[int(candidates.argmax()) * num_answers + NUM_BOX_VALUES + label]])


def measure_object(answers: NDArray[np.floating[Any]], found: NDArray[np.floating[Any]]) -> NDArray[np.floating[Any]]:
    """Return how sure the model is of an object in other answers: the highest score of its class at its place, (m,).

    Args:
        answers: Detections in versions of the photo, float (m, 600), as for `choose_objects`.
        found: The object, float (6,).

    Returns:
        float (m,), 0..1; 0 where nothing of its class overlaps it by half.
    """
    scores = np.zeros(len(answers))
    for number, rows in enumerate(answers.reshape(len(answers), -1, NUM_DETECTION_VALUES)):
        overlaps = compute_iou_matrix(found[np.newaxis, :4].astype(np.float32), rows[:, :4])[0]
        is_same = (overlaps >= SAME_OBJECT_IOU) & (rows[:, 5] == found[5])
        scores[number] = rows[is_same, 4].max(initial=0.0)
    return scores


def map_class_scores(logits: NDArray[np.float32], spec: BundleSpec, label: int) -> NDArray[np.float32]:
    """Return the score of a class at each place, 0..1, float32 (h, w): the highest of all maps, on the finest one's grid.

    Args:
        logits: As for `list_object_outputs`.
        spec: The model's.
        label: The class.
    """
    grid = Grid(spec.outputs.map_sizes)
    _, scores = activate_answers(logits.reshape(1, -1, spec.outputs.num_answers), grid)
    finest = grid.map_sizes[0]
    levels = []
    for number, (height, width) in enumerate(grid.map_sizes):
        level = scores[0, grid.levels == number, label].reshape(height, width)
        rows, columns = np.arange(finest[0]) * height // finest[0], np.arange(finest[1]) * width // finest[1]
        levels.append(level[rows][:, columns])
    highest: NDArray[np.float32] = np.max(levels, axis=0)
    return highest
