"""Thresholds of scores: the best F1 on plain cases, and what few objects and empty images do to them."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from tlkit.metrics.detection_thresholds import apply_detection_thresholds, choose_detection_thresholds


def make_set(
    images: list[list[tuple[int, float, bool]]], *, missed: int = 0
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return targets and detections: of each image (class, score, whether it is right), and missed objects of class 0."""
    size = max(1, max(len(image) for image in images) + missed)
    targets, detections = np.zeros((len(images), size, 6), np.float32), np.zeros((len(images), size, 6), np.float32)
    for number, image in enumerate(images):
        for place, (label, score, is_right) in enumerate(sorted(image, key=lambda each: -each[1])):
            box = (20 * place, 0, 20 * place + 10, 10)
            detections[number, place] = (*box, score, label)
            if is_right:
                targets[number, place] = (*box, label + 1, 0)
    for place in range(missed):
        targets[0, size - 1 - place] = (0, 100 + 20 * place, 10, 110 + 20 * place, 1, 0)
    return targets, detections


def test_the_threshold_is_midway_below_the_last_box_that_is_worth_showing() -> None:
    targets, detections = make_set([[(0, 0.9, True), (0, 0.8, True), (0, 0.4, False)], [(0, 0.3, False)]])
    assert choose_detection_thresholds(targets, detections, 1) == (0.6,)


def test_a_right_box_below_a_wrong_one_is_shown_if_f1_gains() -> None:
    targets, detections = make_set([[(0, 0.9, True), (0, 0.8, False), (0, 0.7, True), (0, 0.1, False)]])
    assert choose_detection_thresholds(targets, detections, 1) == (0.4,)


def test_nothing_right_gives_one_half() -> None:
    targets, detections = make_set([[(0, 0.9, False)], [(1, 0.8, False)]], missed=1)
    assert choose_detection_thresholds(targets, detections, 2) == (0.5, 0.5)
    assert choose_detection_thresholds(targets, detections * 0, 2) == (0.5, 0.5)
    assert choose_detection_thresholds(targets * 0, detections * 0, 2) == (0.5, 0.5)


def draw_classes(num_common: int, num_rare: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return a class with right scores above 0.6 and wrong ones below, and one where 0.3 divides them."""
    rng = np.random.default_rng(0)
    images = []
    for label, number, divide in ((0, num_common, 0.6), (1, num_rare, 0.3)):
        right, wrong = rng.uniform(divide, 1, number), rng.uniform(0.05, divide, number)
        images += [[(label, float(a), True), (label, float(b), False)] for a, b in zip(right, wrong, strict=True)]
    return make_set(images)


def test_a_class_with_many_objects_has_its_own_threshold_and_one_with_few_that_of_all() -> None:
    common, rare = choose_detection_thresholds(*draw_classes(300, 300), 2)
    assert [common, rare] == pytest.approx([0.6, 0.3], abs=0.02)
    common, rare = choose_detection_thresholds(*draw_classes(300, 2), 2)
    assert [common, rare] == pytest.approx([0.6, 0.6], abs=0.02)


def test_a_class_without_objects_has_the_threshold_of_all() -> None:
    targets, detections = draw_classes(300, 0)
    (only,) = choose_detection_thresholds(targets, detections, 1)
    assert choose_detection_thresholds(targets, detections, 3) == (only, only, only)


def test_wrong_boxes_of_a_class_without_objects_raise_its_threshold() -> None:
    targets, detections = draw_classes(300, 0)
    wrong_targets, wrong = make_set([[(1, 0.8, False)]] * 100)
    size = targets.shape[1]
    both = np.concatenate([targets, np.zeros((100, size, 6), np.float32)])
    found = np.concatenate([detections, np.pad(wrong, ((0, 0), (0, size - 1), (0, 0)))])
    assert not wrong_targets.any()
    common, rare = choose_detection_thresholds(both, found, 2)
    assert common == pytest.approx(0.6, abs=0.02)
    assert rare > 0.8


def test_a_hundredth_of_f1_is_given_for_fewer_wrong_boxes() -> None:
    # The boxes at 0.5 find two of 200 objects more: F1 is 0.9975 with them, 0.995 without. The one at 0.6 is wrong.
    targets, detections = make_set([[(0, 0.9, True)]] * 198 + [[(0, 0.5, True)]] * 2 + [[(0, 0.6, False)]])
    (threshold,) = choose_detection_thresholds(targets, detections, 1)
    assert threshold == pytest.approx(0.75)
    assert not apply_detection_thresholds(detections, (threshold,))[-1].any()


def test_right_boxes_are_not_given_for_nothing() -> None:
    targets, detections = make_set([[(0, 0.9, True)]] * 198 + [[(0, 0.3, True)]] * 2 + [[(0, 0.1, False)]])
    assert choose_detection_thresholds(targets, detections, 1) == pytest.approx((0.2,))


def test_much_f1_is_not_given_for_fewer_wrong_boxes() -> None:
    images = [[(0, 0.9, True)]] * 10 + [[(0, 0.5, True)]] * 10 + [[(0, 0.6, False)]]
    assert choose_detection_thresholds(*make_set(images), 1) == (0.25,)


def test_boxes_on_ignored_objects_do_not_count() -> None:
    targets, detections = make_set([[(0, 0.9, True)], [(0, 0.8, True)], [(0, 0.7, True)]])
    targets[1, 0, 5] = 1
    detections[2, 0, 0] = 8
    assert choose_detection_thresholds(targets, detections, 1) == pytest.approx((0.8,))


def test_a_box_is_shown_from_its_threshold_on_and_padding_never() -> None:
    detections = np.zeros((1, 4, 6), np.float32)
    detections[0, :, 4] = (0.7, 0.7, 0.2, 0.0)
    detections[0, :, 5] = (0, 1, 2, 2)
    assert apply_detection_thresholds(detections, (0.7, 0.70001, 0.0)).tolist() == [[True, False, True, False]]
    assert apply_detection_thresholds(detections[0], (0.7, 0.70001, 0.3)).tolist() == [True, False, False, False]


def test_thresholds_survive_their_text() -> None:
    rng = np.random.default_rng(0)
    images = [[(0, float(score), bool(score > 0.4))] for score in rng.uniform(0.1, 1, 60).astype(np.float32)]
    targets, detections = make_set(images)
    thresholds = choose_detection_thresholds(targets, detections, 1)
    shown = apply_detection_thresholds(detections, tuple(float(f"{np.float32(each)!s}") for each in thresholds))
    assert np.array_equal(shown, apply_detection_thresholds(detections, thresholds))
    assert np.array_equal(shown, (detections[..., 4] > 0.4))
