"""Kinds of mistakes on constructed images, and what each repair gains, by hand."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.metrics.test_detection_precision import draw_set
from tlkit.metrics.detection_errors import (
    BACKGROUND,
    BOTH,
    CLASS,
    DUPLICATE,
    KINDS,
    MISSED,
    NEUTRAL,
    PLACE,
    RIGHT,
    DetectionErrors,
    count_errors,
    find_errors,
    find_missed,
    measure_gains,
)
from tlkit.metrics.detection_matches import DetectionMatches, match_detections
from tlkit.metrics.detection_precision import compute_map50

CAT, DOG = 0, 1
Row = tuple[float, float, float, float, float, float]


def make_object(left: float, label: int, *, ignored: int = 0) -> Row:
    return left, 0, left + 10, 10, label + 1, ignored


def make_box(left: float, label: int, score: float, *, width: float = 10) -> Row:
    return left, 0, left + width, 10, score, label


def stack(*images: list[Row]) -> NDArray[np.float32]:
    rows = np.zeros((len(images), max(1, *map(len, images)), 6), np.float32)
    for number, image in enumerate(images):
        rows[number, : len(image)] = np.array(image, np.float32).reshape(-1, 6)
    return rows


def find(targets: NDArray[np.float32], detections: NDArray[np.float32]) -> tuple[DetectionMatches, DetectionErrors]:
    matches = match_detections(targets, detections, 2)
    return matches, find_errors(matches)


def name_kinds(errors: DetectionErrors) -> list[str]:
    return [{RIGHT: "right", NEUTRAL: "neutral"}.get(kind) or KINDS[kind] for kind in errors.kinds.tolist()]


ONE_OF_EACH = (
    stack([make_object(0, CAT), make_object(100, CAT), make_object(200, DOG), make_object(300, CAT)]),
    stack(
        [
            make_box(0, CAT, 0.9),
            make_box(1, CAT, 0.8),
            make_box(104, CAT, 0.7),
            make_box(200, CAT, 0.6),
            make_box(500, CAT, 0.5),
            make_box(304, DOG, 0.4),
        ]
    ),
)


def test_each_kind_of_mistake_is_recognized() -> None:
    matches, errors = find(*ONE_OF_EACH)
    assert name_kinds(errors) == ["right", DUPLICATE, PLACE, CLASS, BACKGROUND, BOTH]
    assert errors.objects.tolist() == [0, 0, 1, 2, -1, 3]
    np.testing.assert_allclose(errors.overlaps, [1, 9 / 11, 6 / 14, 1, 0, 6 / 14])
    everything = np.ones(6, bool)
    # The object of a mistake of class or place is not missed; that of a box with both wrong is.
    assert find_missed(matches, errors, everything).tolist() == [False, False, False, True]
    assert count_errors(matches, errors, everything) == dict.fromkeys(KINDS, 1)


def test_only_shown_boxes_are_counted_and_what_is_not_shown_is_missed() -> None:
    matches, errors = find(*ONE_OF_EACH)
    is_shown = matches.detected.scores >= 0.75
    assert count_errors(matches, errors, is_shown) == {
        CLASS: 0, PLACE: 0, BOTH: 0, DUPLICATE: 1, BACKGROUND: 0, MISSED: 3,
    }  # fmt: skip
    assert count_errors(matches, errors, ~is_shown)[MISSED] == 2


@pytest.mark.parametrize(
    ("left", "label", "kind"),
    [
        (0, CAT, "right"),
        (3.3, CAT, "right"),
        (3.4, CAT, PLACE),
        (8.1, CAT, PLACE),
        (8.3, CAT, BACKGROUND),
        (0, DOG, CLASS),
        (3.3, DOG, CLASS),
        (3.4, DOG, BOTH),
        (8.1, DOG, BOTH),
        (8.3, DOG, BACKGROUND),
    ],
)
def test_the_kind_follows_overlap_and_class(left: float, label: int, kind: str) -> None:
    # IoU of boxes of 10 px that are x px apart: (10 - x) / (10 + x), 0.5 at 3.33 and 0.1 at 8.18.
    _, errors = find(stack([make_object(0, CAT)]), stack([make_box(left, label, 0.9)]))
    assert name_kinds(errors) == [kind]


def test_boxes_on_ignored_objects_are_no_mistakes_and_those_are_not_missed() -> None:
    matches, errors = find(
        stack([make_object(0, CAT, ignored=1), make_object(50, CAT)]),
        stack([make_box(0, CAT, 0.9), make_box(0.5, CAT, 0.8), make_box(0, DOG, 0.7)]),
    )
    assert name_kinds(errors) == ["neutral", "neutral", BACKGROUND]
    assert find_missed(matches, errors, np.ones(3, bool)).tolist() == [False, True]


def measure(targets: NDArray[np.float32], detections: NDArray[np.float32]) -> dict[str, float]:
    return measure_gains(*find(targets, detections))


def test_without_mistakes_nothing_is_gained() -> None:
    targets, detections = stack([make_object(0, CAT), make_object(50, DOG)]), stack([make_box(0, CAT, 0.9)])
    detections = stack([make_box(0, CAT, 0.9), make_box(50, DOG, 0.3)])
    assert measure(targets, detections) == dict.fromkeys(KINDS, 0.0)
    assert measure(targets * 0, detections) == dict.fromkeys(KINDS, 0.0)


# The precision at the right box is 1/2 in all of these, and 1 when the wrong box before it is gone.
BEFORE_THE_RIGHT_ONE = {
    BACKGROUND: (stack([make_object(0, CAT)]), stack([make_box(500, CAT, 0.9), make_box(0, CAT, 0.8)]), 0.5),
    BOTH: (
        stack([make_object(0, CAT), make_object(104, DOG, ignored=0)]),
        # Dogs: the only one is not found.
        stack([make_box(100, CAT, 0.9), make_box(0, CAT, 0.8)]),
        0.25,
    ),
}


@pytest.mark.parametrize("kind", BEFORE_THE_RIGHT_ONE)
def test_a_wrong_box_that_is_removed_raises_the_precision_of_those_after_it(kind: str) -> None:
    targets, detections, gain = BEFORE_THE_RIGHT_ONE[kind]
    gains = measure(targets, detections)
    assert gains[kind] == pytest.approx(gain)


def test_a_duplicate_that_is_removed_raises_the_precision_after_it() -> None:
    targets = stack([make_object(0, CAT), make_object(100, CAT)])
    detections = stack([make_box(0, CAT, 0.9), make_box(0.5, CAT, 0.8), make_box(100, CAT, 0.7)])
    # Precision 1 at the 51 recalls up to 0.5, and 2/3 at the other 50.
    gains = measure(targets, detections)
    assert gains[DUPLICATE] == pytest.approx(50 / 101 * (1 - 2 / 3))
    assert all(gains[kind] == 0 for kind in KINDS if kind != DUPLICATE)


def test_a_misplaced_box_finds_its_object_when_it_is_put_right() -> None:
    targets = stack([make_object(0, CAT)])
    gains = measure(targets, stack([make_box(4, CAT, 0.9), make_box(5, CAT, 0.95)]))
    # Two boxes about one object: the one with the higher score is put right, the other one removed.
    assert gains == {**dict.fromkeys(KINDS, 0.0), PLACE: 1.0}


def test_the_surest_of_several_misplaced_boxes_is_put_right() -> None:
    targets = stack([make_object(0, CAT), make_object(100, CAT)])
    others = [make_box(100, CAT, 0.7), make_box(500, CAT, 0.6)]
    # Put right, the box at 0.9 finds its object before the wrong box at 0.6; that at 0.5 would find it after.
    before = compute_map50(targets, stack([make_box(4, CAT, 0.9), *others, make_box(5, CAT, 0.5)]))
    gains = measure(targets, stack([make_box(4, CAT, 0.9), *others, make_box(5, CAT, 0.5)]))
    assert gains[PLACE] == pytest.approx(1 - before)


def test_a_misplaced_box_of_a_found_object_is_only_removed() -> None:
    targets = stack([make_object(0, CAT), make_object(100, CAT)])
    detections = stack([make_box(4, CAT, 0.9), make_box(0, CAT, 0.8)])
    # One of two objects is found, at a precision of 1/2: 51 recalls are reached.
    gains = measure(targets, detections)
    assert gains[PLACE] == pytest.approx(51 / 101 / 2)
    # Without the missed object, all 101 recalls are reached, at 1/2.
    assert gains[MISSED] == pytest.approx(50 / 101 / 2)


def test_a_box_of_the_wrong_class_becomes_one_of_the_right_class() -> None:
    targets = stack([make_object(0, CAT), make_object(100, DOG)])
    detections = stack([make_box(100, CAT, 0.9), make_box(0, CAT, 0.8)])
    # Cats: 1/2 becomes 1. Dogs: 0 becomes 1.
    gains = measure(targets, detections)
    assert gains[CLASS] == pytest.approx((0.5 + 1) / 2)
    assert gains[MISSED] == 0


def test_a_class_with_all_objects_missed_has_1_without_them() -> None:
    targets = stack([make_object(0, CAT), make_object(100, DOG)])
    assert measure(targets, stack([make_box(0, CAT, 0.8)]))[MISSED] == pytest.approx(0.5)


@pytest.mark.parametrize("case", ["plain", "crowds", "many of one class", "without objects"])
def test_the_kinds_divide_the_wrong_detections_of_random_sets(case: str) -> None:
    targets, detections, num_classes = draw_set(case, num_images=30)
    matches = match_detections(targets, detections, num_classes)
    errors = find_errors(matches)
    is_wrong = ~matches.find_right() & ~matches.find_neutral()
    assert np.array_equal(errors.kinds >= 0, is_wrong)
    assert np.array_equal(errors.kinds == RIGHT, matches.find_right())
    gains = measure_gains(matches, errors)
    before = compute_map50(targets, detections)
    assert all(0 <= gain <= 1 - before for gain in gains.values())
    # Removing all background boxes from the arrays is removing them by kind.
    kept = detections.copy()
    gone = errors.find(BACKGROUND)
    kept[matches.detected.images[gone], matches.detected.places[gone]] = 0
    assert compute_map50(targets, kept) - before == pytest.approx(gains[BACKGROUND])
