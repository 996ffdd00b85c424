from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from tlkit.detection.grid import Grid, encode_boxes
from tlkit.explain.objects import (
    choose_objects,
    list_object_outputs,
    map_class_scores,
    measure_object,
    name_objects,
)
from tlkit.explain.subjects import choose_subjects
from tlkit.models.spec import BundleSpec
from tlkit.outputs import DETECTION
from tlkit.recipes import HeadSettings

SIZES = ((4, 4), (2, 2))
CAT, DOG = 0, 1
SPEC = BundleSpec(
    "tiny",
    (32, 32),
    "squash",
    1,
    "maps",
    HeadSettings("detector", units=8),
    ("cat", "dog"),
    task=DETECTION,
    thresholds=(0.5, 0.6),
    map_sizes=SIZES,
)
Corners = tuple[float, float, float, float]
LEFT: Corners = (0.1, 0.2, 0.4, 0.6)
RIGHT: Corners = (0.6, 0.2, 0.9, 0.6)


def list_detections(*found: tuple[Corners, float, int]) -> NDArray[np.float32]:
    rows = np.zeros((100, 6), np.float32)
    for row, (box, score, label) in zip(rows, found, strict=False):
        row[:] = (*box, score, label)
    return rows.ravel()


def make_logits(at: dict[int, tuple[Corners, float, float]]) -> NDArray[np.float32]:
    """Return a head's numbers, flattened: at some locations a box and the logits of cat and dog, elsewhere nothing."""
    numbers = np.full((20, 6), -6, np.float32)
    for location, (box, *logits) in at.items():
        numbers[location, :4] = encode_boxes(np.array([box] * 20), Grid(SIZES))[location]
        numbers[location, 4:] = logits
    return numbers.ravel()


def test_the_surest_objects_above_their_thresholds_are_explained() -> None:
    answers = list_detections((LEFT, 0.9, CAT), (RIGHT, 0.7, DOG), (RIGHT, 0.55, DOG), (RIGHT, 0.52, CAT))
    chosen, is_found = choose_objects(answers, SPEC, None)
    assert is_found
    np.testing.assert_allclose(chosen[:, 4], [0.9, 0.7, 0.52])
    assert name_objects(chosen, SPEC) == ["cat 1", "dog", "cat 2"]
    many = list_detections(*[(LEFT, 0.9, CAT)] * 9)
    assert len(choose_objects(many, SPEC, None)[0]) == 5


def test_where_none_is_sure_enough_the_likeliest_is_explained_and_said_not_to_be_found() -> None:
    answers = list_detections((LEFT, 0.9, CAT), (RIGHT, 0.4, DOG), (LEFT, 0.3, DOG))
    chosen, is_found = choose_objects(answers, SPEC, DOG)
    assert not is_found
    assert chosen.tolist() == [pytest.approx([*RIGHT, 0.4, DOG])]
    beside = (1.1, 0.2, 1.4, 0.6)
    assert len(choose_objects(list_detections((beside, 0.9, CAT)), SPEC, None)[0]) == 0


def test_an_object_is_explained_by_the_location_that_gave_it_its_score() -> None:
    logits = make_logits({5: (LEFT, 1.0, 3.0), 6: (LEFT, 2.0, 0.0), 17: (RIGHT, 4.0, -5.0)})
    cat, dog = (choose_objects(list_detections((LEFT, 0.9, label)), SPEC, None)[0][0] for label in (CAT, DOG))
    assert list_object_outputs(cat, logits, SPEC).tolist() == [[6 * 6 + 4 + CAT]]
    assert list_object_outputs(dog, logits, SPEC).tolist() == [[5 * 6 + 4 + DOG]]
    behind = make_logits({5: (LEFT, 2.0, 0.0), 6: ((0.15, 0.25, 0.5, 0.65), 2.2, 0.0)})
    assert list_object_outputs(cat, behind, SPEC).tolist() == [[5 * 6 + 4 + CAT]]


def test_an_object_is_as_sure_as_the_best_box_of_its_class_at_its_place() -> None:
    found = choose_objects(list_detections((LEFT, 0.9, CAT)), SPEC, None)[0][0]
    moved = (0.12, 0.2, 0.42, 0.6)
    versions = [
        list_detections((moved, 0.8, CAT), (LEFT, 0.7, CAT)),
        list_detections((RIGHT, 0.95, CAT), (LEFT, 0.9, DOG), (LEFT, 0.2, CAT)),
        list_detections((RIGHT, 0.95, CAT)),
        list_detections(),
    ]
    np.testing.assert_allclose(measure_object(np.stack(versions), found), [0.8, 0.2, 0, 0], rtol=1e-6)


def test_the_scores_of_a_class_are_the_highest_of_all_maps() -> None:
    logits = make_logits({5: (LEFT, 0.0, -6.0), 16 + 3: (RIGHT, 2.0, -6.0)})
    scores = map_class_scores(logits, SPEC, CAT)
    assert scores.shape == (4, 4)
    assert scores[1, 1] == pytest.approx(0.5)
    np.testing.assert_allclose(scores[2:, 2:], 1 / (1 + np.exp(-2)), rtol=1e-5)
    assert scores[0].max() < 0.01


def test_subjects_are_objects_with_their_boxes_scores_and_names() -> None:
    logits = make_logits({5: (LEFT, 3.0, -6.0), 6: (RIGHT, -6.0, 1.0)})
    row = list_detections((LEFT, 0.9, CAT), (RIGHT, 0.7, DOG))
    cat, dog = choose_subjects(row, logits, SPEC)
    assert (cat.name, cat.label, cat.is_found) == ("cat", CAT, True)
    assert cat.box == pytest.approx(LEFT)
    assert dog.score == pytest.approx(0.7)
    assert dog.outputs.tolist() == [[6 * 6 + 4 + DOG]]
    np.testing.assert_allclose(dog.measure(np.stack([row, list_detections()])), [0.7, 0.0], rtol=1e-6)
    assert [each.name for each in choose_subjects(row, logits, SPEC, DOG)] == ["dog"]
