"""Boxes of a wrong class, by what is found there and by what boxes of other images show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tlkit.audit.box_pairs import CLASS, UNSEEN_BELOW, Doubt, Pairing
from tlkit.audit.findings import Estimate
from tlkit.audit.held_out import predict_held_out
from tlkit.audit.noise import measure_label_noise

LISTED_FROM = 0.2
"""Boxes are listed if their class is wrong with at least this probability."""
_MIN_BOXES = 30


def judge_classes(pairings: Sequence[Pairing], num_classes: int) -> tuple[list[Doubt], int, Estimate | None]:
    """Return boxes whose class is probably wrong, the number of boxes judged, and an estimate of the wrong ones.

    Those at which nothing is found are not judged.
    """
    if num_classes < 2:
        return [], 0, None
    views = [
        _BoxView(image, box, *pairing.score_classes(box, num_classes))
        for image, pairing in enumerate(pairings)
        for box in pairing.open_boxes
    ]
    views = [view for view in views if view.scores.max() >= UNSEEN_BELOW]
    labels = np.array([int(pairings[view.image].scene.boxes[view.box, 4]) - 1 for view in views], np.int64)
    if len(views) < _MIN_BOXES or len(np.unique(labels)) < 2:
        return [], 0, None
    noise = measure_label_noise(_predict_classes(pairings, views, labels, num_classes), labels)
    doubts = []
    for number in np.flatnonzero(noise.wrong >= LISTED_FROM).tolist():
        view, label = views[number], int(noise.suggested[number])
        pairings[view.image].is_told[view.box] = True
        detection = int(view.detections[label])
        wrong, seen = float(noise.wrong[number]), None if detection < 0 else detection
        doubts.append(Doubt(CLASS, view.image, wrong, view.box, seen, label=label))
    return doubts, len(views), noise.estimate


@dataclass(frozen=True, eq=False)
class _BoxView:
    """A box, the highest score of each class there, float64 (num_classes,), and the detections that have them, -1 for none."""

    image: int
    box: int
    scores: NDArray[np.float64]
    detections: NDArray[np.int64]


def _predict_classes(
    pairings: Sequence[Pairing], views: Sequence[_BoxView], labels: NDArray[np.int64], num_classes: int
) -> list[NDArray[np.floating[Any]]]:
    """Return scores of the classes of boxes by what is found there, and by what other images' boxes show, (n, classes)."""
    predictions: list[NDArray[np.floating[Any]]] = [np.array([view.scores for view in views])]
    features = [pairings[view.image].scene.features for view in views]
    if all(each is not None for each in features):
        shown = np.array([each[view.box] for each, view in zip(features, views, strict=True) if each is not None])
        groups = np.array(
            [
                len(pairings) + pairings[view.image].scene.group
                if pairings[view.image].scene.group >= 0
                else view.image
                for view in views
            ]
        )
        predictions += predict_held_out(shown, np.eye(num_classes)[labels], groups)
    return predictions
