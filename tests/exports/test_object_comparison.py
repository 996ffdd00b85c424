"""How the objects that an export finds are compared with the bundle's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tlkit.exports.asking import Question
from tlkit.exports.comparison import Comparison, Reference, compare
from tlkit.models.spec import BundleSpec
from tlkit.recipes import HeadSettings

SPEC = BundleSpec(
    "tiny",
    (64, 64),
    "squash",
    2,
    "maps",
    HeadSettings("detector"),
    ("cat", "dog"),
    task="detection",
    thresholds=(0.5, 0.4),
)
NUM_IMAGES = 20


def draw_objects() -> NDArray[np.float32]:
    """Return a cat, and in every second image a dog."""
    targets = np.zeros((NUM_IMAGES, 2, 6), np.float32)
    targets[:, 0] = (10, 20, 50, 60, 1, 0)
    targets[::2, 1] = (60, 10, 90, 40, 2, 0)
    return targets


def find(targets: NDArray[np.float32], score: float = 0.9) -> NDArray[np.float32]:
    """Return detections of all objects."""
    found = np.zeros((len(targets), 100, 6), np.float32)
    found[:, :2, :4], found[:, :2, 4] = targets[..., :4], np.where(targets[..., 4] > 0, score, 0)
    found[:, :2, 5] = np.maximum(targets[..., 4] - 1, 0)
    return found


def ask(found: NDArray[np.float32], *, boxes: Any = None, scores: Any = None) -> list[dict[str, Any]]:
    """Return the rows of a reader; the first image has its places."""
    rows: list[dict[str, Any]] = [
        {"image": "x", "seconds": 0.002, "detections": each[each[:, 4] > 0].tolist()} for each in found
    ]
    rows[0] |= {"boxes": (PLACES[0] if boxes is None else boxes).tolist()}
    rows[0] |= {"scores": (PLACES[1] if scores is None else scores).tolist()}
    return rows


PLACES = (
    np.array([(0.1, 0.2, 0.5, 0.6), (-40.0, 0.2, 50.0, 0.6)], np.float32),
    np.array([(0.9, 0.1), (0.001, 0.0001)], np.float32),
)


def compare_with(rows: list[dict[str, Any]], targets: NDArray[np.float32] | None = None) -> Comparison:
    true = draw_objects()
    questions = [Question(Path(f"{number}.jpg")) for number in range(NUM_IMAGES)]
    sizes = [(64, 100)] * NUM_IMAGES
    reference = Reference("tests", questions, find(true), sizes, targets=true if targets is None else targets)
    return compare(SPEC, reference, rows, [PLACES])


def test_the_same_objects_have_no_fault() -> None:
    found = compare_with(ask(find(draw_objects())))
    assert (found.largest_difference, found.box_difference, found.same_answer) == (0.0, 0.0, 1.0)
    assert found.score is not None
    assert found.gain is not None
    assert (found.score.value, found.gain.value, found.is_worse, found.latency_ms) == (1.0, 0.0, False, 2.0)
    assert [found.find_fault(precision) for precision in ("float32", "float16", "int8")] == ["", "", ""]


def test_scores_and_edges_may_differ_by_rounding_only() -> None:
    scores = compare_with(ask(find(draw_objects()), scores=PLACES[1] + np.float32(0.002)))
    assert scores.find_fault("float32") == "a probability differs by 0.002, more than 0.001"
    edges = compare_with(ask(find(draw_objects()), boxes=PLACES[0] + np.float32(0.003)))
    assert edges.find_fault("float32") == "an edge of a box differs by 0.003, more than 0.001"


def test_boxes_of_places_that_see_nothing_may_lie_anywhere() -> None:
    boxes = PLACES[0].copy()
    boxes[1] += 7
    assert compare_with(ask(find(draw_objects()), boxes=boxes)).find_fault("float32") == ""


@pytest.mark.parametrize(
    ("change", "share"),
    [
        (lambda found: found[:, :2, :4].__iadd__(0.3), 1.0),  # too little to see
        (lambda found: found[:10, 0, :4].__iadd__(20), 0.5),
        (lambda found: found[:5, 0].fill(0), 0.75),
        (lambda found: found[:5, 0, 5:].fill(1), 0.75),
        (lambda found: found[:5, 0, 4:5].fill(0.3), 0.75),
    ],
    ids=["a little", "elsewhere", "gone", "of another class", "below the threshold"],
)
def test_an_answer_is_the_same_if_the_same_objects_are_shown_at_the_same_places(change: Any, share: float) -> None:
    found = find(draw_objects())
    change(found)
    assert compare_with(ask(found)).same_answer == pytest.approx(share)


def test_a_quantised_export_that_misses_objects_is_worse_beyond_chance() -> None:
    found = find(draw_objects())
    found[:12, 0, 4] = 0
    worse = compare_with(ask(found))
    assert worse.is_worse
    assert worse.find_fault("int8").startswith("the score is worse beyond chance: by -")
    assert worse.gain is not None
    assert worse.gain.low <= worse.gain.value <= worse.gain.high < 0


def test_images_without_any_object_give_no_score() -> None:
    found = compare_with(ask(find(draw_objects())), np.zeros((NUM_IMAGES, 1, 6), np.float32))
    assert found.score is None
    assert found.same_answer == 1.0
