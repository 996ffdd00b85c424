"""Lists of boxes from answers: exact places, and non-maximum suppression against a slow loop."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from tlkit.detection.candidates import find_candidates
from tlkit.detection.decoding import SOFT_SIGMA, activate_answers, choose_detections, decode_answers
from tlkit.detection.grid import Grid, encode_boxes

GRID = Grid(((13, 13), (6, 6), (3, 3)))


def measure_iou(box: Any, other: Any) -> float:
    """Return the IoU of two boxes."""
    width, height = (min(box[2 + k], other[2 + k]) - max(box[k], other[k]) for k in (0, 1))
    shared = max(0.0, width) * max(0.0, height)
    area, other_area = ((each[2] - each[0]) * (each[3] - each[1]) for each in (box, other))
    return float(shared / (area + other_area - shared))


def suppress_slowly(found: list[tuple[float, int, Any]], max_iou: float) -> list[tuple[float, int, Any]]:
    """Keep each box, best first, that overlaps none of its class kept before it by more than `max_iou`."""
    kept: list[tuple[float, int, Any]] = []
    for score, label, box in sorted(found, key=lambda row: -row[0]):
        if all(label != other or measure_iou(box, kept_box) <= max_iou for _, other, kept_box in kept):
            kept.append((score, label, box))
    return kept


def soften_slowly(found: list[tuple[float, int, Any]], sigma: float, least: float) -> list[tuple[float, int, Any]]:
    """Take the best box again and again, and lower the scores of its class around it."""
    live, taken = list(found), []
    while live:
        best = max(range(len(live)), key=lambda index: live[index][0])
        score, label, box = live.pop(best)
        if score < least:
            break
        taken.append((score, label, box))
        live = [
            (other * math.exp(-(measure_iou(box, place) ** 2) / sigma) if name == label else other, name, place)
            for other, name, place in live
        ]
    return taken


def draw_answers(seed: int, *, num_classes: int, num_images: int = 3) -> np.ndarray:
    """Return answers of crowded boxes with scores around a half at some locations."""
    rng = np.random.default_rng(seed)
    centre = rng.uniform(0.2, 0.8, (num_images, GRID.num_locations, 2))
    size = rng.uniform(0.2, 0.5, centre.shape)
    boxes = encode_boxes(np.concatenate((centre - size / 2, centre + size / 2), axis=-1), GRID)
    logits = np.where(
        rng.random((*centre.shape[:2], num_classes)) < 0.3, rng.normal(0, 2, (*centre.shape[:2], num_classes)), -9
    )
    return np.concatenate((boxes, logits), axis=-1).astype(np.float32)


def list_candidates(answer: np.ndarray, least: float) -> list[tuple[float, int, Any]]:
    """Return score, label and box of every location and class."""
    boxes, scores = activate_answers(answer[None], GRID)
    return [
        (float(score), label, box)
        for box, row in zip(boxes[0], scores[0], strict=True)
        for label, score in enumerate(row)
        if score >= least
    ]


def assert_rows(rows: np.ndarray, expected: list[tuple[float, int, Any]]) -> None:
    """Assert that detections are those of a list, padded by zeros."""
    expected = expected[: len(rows)]
    np.testing.assert_allclose(rows[: len(expected), 4], [score for score, _, _ in expected], rtol=1e-5)
    assert rows[: len(expected), 5].tolist() == [label for _, label, _ in expected]
    np.testing.assert_allclose(rows[: len(expected), :4], [box for _, _, box in expected], atol=1e-6)
    assert not rows[len(expected) :].any()


@pytest.mark.parametrize("sizes", [((40, 40), (20, 20), (10, 10)), ((39, 39), (19, 19), (9, 9))])
@pytest.mark.parametrize("level", [0, 1, 2])
def test_a_box_told_by_any_level_comes_back_exactly(sizes: tuple[tuple[int, int], ...], level: int) -> None:
    grid = Grid(sizes)
    box = np.array([-0.1, 0.213, 0.377, 1.05])
    answers = np.full((1, grid.num_locations, 7), -20, np.float32)
    answers[..., :4] = encode_boxes(box, grid)
    place = np.flatnonzero(grid.levels == level)[5]
    answers[0, place, 4 + 2] = 3
    detections = decode_answers(answers, grid)
    assert detections.shape == (1, 100, 6)
    assert detections.dtype == np.float32
    np.testing.assert_allclose(detections[0, 0], [*box, 1 / (1 + math.exp(-3)), 2], atol=1e-5)
    assert not detections[0, 1:].any()


@pytest.mark.parametrize("num_classes", [1, 4])
@pytest.mark.parametrize("max_iou", [0.3, 0.6])
def test_suppression_keeps_what_a_loop_keeps(num_classes: int, max_iou: float) -> None:
    answers = draw_answers(num_classes, num_classes=num_classes)
    rows = decode_answers(
        answers, GRID, max_iou=max_iou, soft_sigma=None, vote_iou=1, min_score=0.05, max_detections=60
    )
    for image, answer in zip(rows, answers, strict=True):
        expected = suppress_slowly(list_candidates(answer, 0.05), max_iou)
        assert len(expected) > 5
        assert_rows(image, expected)


@pytest.mark.parametrize("num_classes", [1, 4])
def test_soft_suppression_lowers_what_a_loop_lowers(num_classes: int) -> None:
    answers = draw_answers(num_classes, num_classes=num_classes)
    rows = decode_answers(answers, GRID, soft_sigma=0.5, vote_iou=1, min_score=0.05, max_detections=40)
    for image, answer in zip(rows, answers, strict=True):
        assert_rows(image, soften_slowly(list_candidates(answer, 0.05), 0.5, 0.05))


def test_a_kept_box_is_the_average_of_those_that_agree_with_it() -> None:
    boxes = np.array([(0.2, 0.2, 0.6, 0.6), (0.22, 0.2, 0.62, 0.6), (0.2, 0.2, 0.6, 0.6), (0.2, 0.45, 0.6, 0.85)])
    answers = np.full((1, GRID.num_locations, 6), -20, np.float32)
    for place, (box, label, score) in enumerate(zip(boxes, (0, 0, 1, 0), (0.8, 0.4, 0.7, 0.6), strict=True)):
        answers[0, place, :4] = encode_boxes(box, GRID)[place]
        answers[0, place, 4 + label] = math.log(score / (1 - score))
    rows = decode_answers(answers, GRID, vote_iou=0.6, soft_sigma=None)[0]
    np.testing.assert_allclose(rows[0], [0.2 + 0.02 / 3, 0.2, 0.6 + 0.02 / 3, 0.6, 0.8, 0], atol=1e-5)
    np.testing.assert_allclose(rows[1:3], [[*boxes[2], 0.7, 1], [*boxes[3], 0.6, 0]], atol=1e-5)
    assert not rows[3:].any()


def test_rows_are_sorted_and_as_many_as_asked_for() -> None:
    rows = decode_answers(draw_answers(0, num_classes=2), GRID, max_detections=7)
    assert rows.shape == (3, 7, 6)
    assert (np.diff(rows[..., 4], axis=1) <= 0).all()
    assert (rows[..., 4] > 0).all()


def test_an_image_without_candidates_and_no_images_give_no_boxes() -> None:
    nothing = np.full((2, GRID.num_locations, 5), -9, np.float32)
    assert not decode_answers(nothing, GRID).any()
    assert not decode_answers(nothing, GRID, soft_sigma=None).any()
    assert decode_answers(nothing[:0], GRID).shape == (0, 100, 6)


def test_the_best_candidates_give_what_all_answers_give() -> None:
    grid = Grid(((8, 8), (4, 4)))
    answers = np.random.default_rng(0).normal(size=(3, grid.num_locations, 4 + 2)).astype(np.float32)
    answers[2, :, 4:] = -9.0  # nothing is found
    for number in (300, 100):
        found = np.asarray(find_candidates(answers, grid, num_candidates=number)).reshape(3, number, 6)
        assert (np.diff(found[:, :, 4], axis=1) <= 0).all()
        if number == 300:
            assert not found[:, 2 * grid.num_locations :].any()
            for sigma in (SOFT_SIGMA, None):
                np.testing.assert_allclose(
                    choose_detections(found, soft_sigma=sigma),
                    decode_answers(answers, grid, soft_sigma=sigma),
                    atol=1e-5,
                )
            assert choose_detections(found)[:2, 0, 4].all()
