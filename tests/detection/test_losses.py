"""The loss of dense answers: what it is zero for, what it leaves alone, and that a head learns places by it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tlkit.detection.assignment import assign_locations
from tlkit.detection.grid import Grid, count_answer_values, decode_boxes, encode_boxes
from tlkit.detection.losses import compute_detection_losses, compute_giou, decode_box_tensors

GRID = Grid(((8, 8), (4, 4), (2, 2)))
NUM_CLASSES = 3
LARGE, SMALL, HIDDEN = (0.1, 0.2, 0.7, 0.9), (0.8, 0.1, 0.83, 0.13), (0.75, 0.5, 1.2, 1.1)


def make_targets(*images: list[tuple[Any, int, int]], num_rows: int = 4) -> np.ndarray:
    """Return targets of images, each a list of (box, class index, ignored)."""
    targets = np.zeros((len(images), num_rows, 6), np.float32)
    for row, objects in zip(targets, images, strict=True):
        for place, (box, label, ignored) in enumerate(objects):
            row[place] = (*box, label + 1, ignored)
    return targets


def draw_answers(num_images: int = 1, *, seed: int = 0) -> np.ndarray:
    """Return answers of an unsure head."""
    rng = np.random.default_rng(seed)
    shape = (num_images, GRID.num_locations, count_answer_values(NUM_CLASSES))
    return rng.normal(0, 0.7, shape).astype(np.float32)


def compute(targets: np.ndarray, answers: np.ndarray) -> np.ndarray:
    """Return the losses as an array."""
    return np.asarray(compute_detection_losses(targets, answers, GRID))


def answer_perfectly(targets: np.ndarray) -> np.ndarray:
    """Return answers with exact boxes and a sure class at each location of an object of one image."""
    answers = np.full((1, GRID.num_locations, count_answer_values(NUM_CLASSES)), -25, np.float32)
    assigned = assign_locations(targets, GRID)
    for place in np.flatnonzero(np.asarray(assigned.is_assigned)[0]):
        box = targets[0, int(assigned.objects[0, place])]
        answers[0, place, :4] = encode_boxes(box[:4], GRID)[place]
        answers[0, place, 4 + int(box[4]) - 1] = 25
    return answers


def test_a_perfect_answer_costs_nothing() -> None:
    targets = make_targets([(LARGE, 1, 0), (SMALL, 2, 0)])
    perfect = answer_perfectly(targets)
    assert compute(targets, perfect)[0] == pytest.approx(0, abs=1e-3)
    wrong_class = perfect.copy()
    wrong_class[..., [5, 6]] = perfect[..., [6, 5]]
    moved = perfect.copy()
    moved[..., :2] += 0.5
    silent = np.where(perfect == 25, -25, perfect)
    invented = perfect.copy()
    invented[0, 7, 4] = 3
    for worse in (wrong_class, moved, silent, invented):
        assert compute(targets, worse)[0] > 0.1


def test_an_image_without_objects_is_background() -> None:
    targets = make_targets([])
    silent = np.full_like(draw_answers(), -20)
    assert compute(targets, silent)[0] == pytest.approx(0, abs=1e-5)
    silent[0, 3, 4] = 4
    assert compute(targets, silent)[0] > 0.3


@pytest.mark.parametrize(
    "objects", [[], [(LARGE, 0, 1)], [(LARGE, 0, 0)], [(SMALL, 0, 0)], [(LARGE, 0, 0), (LARGE, 0, 0), (LARGE, 1, 0)]]
)
@pytest.mark.parametrize("scale", [0.0, 1.0, 1e3])
def test_the_slope_is_finite_with_and_without_objects(objects: list[tuple[Any, int, int]], scale: float) -> None:
    answers = tf.Variable(draw_answers() * scale)
    with tf.GradientTape() as tape:
        losses = compute_detection_losses(make_targets(objects), answers, GRID)
    slope = np.asarray(tape.gradient(losses, answers))
    assert np.isfinite(np.asarray(losses)).all()
    assert np.isfinite(slope).all()
    assert slope.any() or scale == 1e3


def test_ignored_objects_are_neither_learnt_nor_punished() -> None:
    objects, answers = [(LARGE, 0, 0)], draw_answers()
    targets = make_targets([*objects, (HIDDEN, 1, 1)])
    inside = (GRID.centres > HIDDEN[:2]).all(axis=1)
    assert inside.sum() > 4
    changed = answers.copy()
    changed[0, inside] = 5
    assert compute(targets, changed) == pytest.approx(compute(targets, answers), rel=1e-5)
    assert compute(make_targets(objects), changed)[0] > compute(make_targets(objects), answers)[0] + 1
    variable = tf.Variable(answers)
    with tf.GradientTape() as tape:
        losses = compute_detection_losses(targets, variable, GRID)
    slope = np.asarray(tape.gradient(losses, variable))
    assert not slope[0, inside].any()
    assert slope[0, ~inside].any()


def test_an_object_within_an_ignored_region_is_still_learnt() -> None:
    answers = draw_answers()
    alone, within = make_targets([(LARGE, 0, 0)]), make_targets([(LARGE, 0, 0), ((-1, -1, 2, 2), 1, 1)])
    variable = tf.Variable(answers)
    with tf.GradientTape() as tape:
        losses = compute_detection_losses(within, variable, GRID)
    assert 0 < compute(within, answers)[0] < compute(alone, answers)[0]
    assert np.asarray(tape.gradient(losses, variable))[..., :4].any()


def test_rows_that_fill_up_and_the_order_of_objects_change_nothing() -> None:
    objects = [(LARGE, 0, 0), (SMALL, 2, 0), (HIDDEN, 1, 1)]
    answers = draw_answers()
    expected = compute(make_targets(objects), answers)
    assert compute(make_targets(objects, num_rows=9), answers) == pytest.approx(expected, rel=1e-5)
    assert compute(make_targets(objects[::-1]), answers) == pytest.approx(expected, rel=1e-5)


def test_the_loss_of_an_image_does_not_depend_on_the_others() -> None:
    images = [[(LARGE, 0, 0), (SMALL, 1, 0)], [], [(HIDDEN, 2, 0)]]
    answers = draw_answers(3)
    together = compute(make_targets(*images), answers)
    alone = [compute(make_targets(image), answer[None])[0] for image, answer in zip(images, answers, strict=True)]
    np.testing.assert_allclose(together, alone, rtol=1e-5)


def test_what_lies_beyond_the_input_is_not_to_be_guessed() -> None:
    answers = draw_answers()
    cut = tuple(np.clip(HIDDEN, 0, 1))
    assert compute(make_targets([(HIDDEN, 1, 0)]), answers) == pytest.approx(
        compute(make_targets([(cut, 1, 0)]), answers), rel=1e-6
    )


def test_tensors_are_decoded_as_arrays_are() -> None:
    values = np.random.default_rng(0).normal(0, 4, (2, GRID.num_locations, 4)).astype(np.float32)
    np.testing.assert_allclose(np.asarray(decode_box_tensors(values, GRID)), decode_boxes(values, GRID), rtol=1e-5)


@pytest.mark.parametrize(
    ("other", "giou"), [((0, 0, 2, 2), 1), ((1, 0, 2, 2), 0.5), ((2, 0, 4, 2), 0), ((4, 0, 6, 2), -1 / 3)]
)
def test_generalised_iou_also_tells_how_far_apart_boxes_lie(other: tuple[float, ...], giou: float) -> None:
    square = np.array([0, 0, 2, 2], np.float32)
    assert float(compute_giou(square, np.array(other, np.float32))) == pytest.approx(giou)
