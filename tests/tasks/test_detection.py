"""Detection as a task: which suppression its answers go through."""

from __future__ import annotations

import numpy as np
import pytest

from tlkit.detection.grid import Grid, encode_boxes
from tlkit.outputs import DETECTION
from tlkit.tasks import Outputs

GRID = Grid(((4, 4),))
FISH, NEIGHBOUR = (0.2, 0.2, 0.6, 0.6), (0.25, 0.2, 0.65, 0.6)  # of IoU 7 / 9


def make_answers() -> np.ndarray:
    """Return answers in which two of sixteen places name boxes of one class that overlap, with scores 0.9 and 0.8."""
    answers = np.full((1, GRID.num_locations, 5), -20, np.float32)
    for place, (box, score) in enumerate(((FISH, 0.9), (NEIGHBOUR, 0.8))):
        answers[0, place, :4] = encode_boxes(np.array(box), GRID)[place]
        answers[0, place, 4] = np.log(score / (1 - score))
    return answers


@pytest.mark.parametrize(("nms", "scores"), [("soft", [0.9, 0.8 * np.exp(-2 * (7 / 9) ** 2)]), ("hard", [0.9])])
def test_a_model_suppresses_as_its_description_says(nms: str, scores: list[float]) -> None:
    task = Outputs(DETECTION, 5, map_sizes=GRID.map_sizes, nms=nms).find_task()

    (found,) = task.activate(make_answers()).reshape(1, 100, 6)

    np.testing.assert_allclose(found[found[:, 4] > 0, 4], scores, rtol=1e-5)


@pytest.mark.parametrize("nms", ["soft", "hard"])
def test_the_score_of_an_epoch_is_of_the_same_suppression(nms: str) -> None:
    task = Outputs(DETECTION, 5, map_sizes=GRID.map_sizes, nms=nms).find_task()
    candidates = np.zeros((1, 300, 6), np.float32)
    candidates[0, :2] = [(*FISH, 0.9, 0), (*NEIGHBOUR, 0.8, 0)]
    true = np.array([[(*FISH, 1, 0), (0.35, 0.2, 0.75, 0.6, 1, 0)]])

    score, each = task.score_found({"candidates": candidates.reshape(1, -1)}, true)

    # With hard suppression the second fish is missed: precision is 1 up to a recall of 1 / 2, at 51 of 101 points.
    assert score == each[0] == pytest.approx({"soft": 1.0, "hard": 51 / 101}[nms])
