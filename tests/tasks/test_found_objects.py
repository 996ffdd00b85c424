"""The objects that a detector finds."""

from __future__ import annotations

import numpy as np

from tlkit.reports.captions import CaptionLine
from tlkit.reports.frames import choose_colour
from tlkit.tasks.found_objects import OBJECT_COLUMNS, caption_objects, list_found_objects, list_object_rows
from tlkit.tasks.predictions import FoundObject, Prediction

NAMES = ("cat", "dog")
DETECTIONS = np.array(
    [
        [1.234, 2, 30, 40, 0.9, 1],
        [5, 6, 7, 8, 0.83, 0],
        [5, 6, 7, 8, 0.4, 1],
        [9, 9, 9.5, 9.5, 0.39, 0],
        [0, 0, 0, 0, 0, 0],
    ],
    np.float32,
)
TWO = (FoundObject("dog", 0.9, (1.234, 2.0, 30.0, 40.0)), FoundObject("cat", 0.83, (5.0, 6.0, 7.0, 8.0)))


def test_objects_at_or_above_the_thresholds_of_their_classes_are_found() -> None:
    found = list_found_objects(DETECTIONS, NAMES, (0.83, 0.4))
    assert [(each.class_name, each.score) for each in found] == [("dog", 0.9), ("cat", 0.83), ("dog", 0.4)]
    assert found[0].box == (1.234, 2.0, 30.0, 40.0)


def test_a_threshold_of_zero_finds_all_but_the_padding() -> None:
    assert len(list_found_objects(DETECTIONS, NAMES, (0.0, 0.0))) == 4


def test_nothing_is_found_among_padding() -> None:
    assert list_found_objects(np.zeros((100, 6), np.float32), NAMES, (0.0, 0.0)) == ()


def test_each_object_has_a_row_with_the_size_of_its_image() -> None:
    rows = list_object_rows(Prediction("a.jpg", objects=TWO, upright_size=(50, 60)))
    assert [tuple(row) for row in rows] == [tuple(OBJECT_COLUMNS)] * 2
    assert list(rows[0].values()) == ["dog", 0.9, 1.23, 2.0, 30.0, 40.0, 60, 50]


def test_an_image_without_objects_has_a_row_with_its_size_and_one_that_cannot_be_read_an_empty_one() -> None:
    assert list_object_rows(Prediction("a.jpg", objects=(), upright_size=(50, 60))) == [{"width": 60, "height": 50}]
    assert list_object_rows(Prediction("a.jpg", error="empty file")) == [{}]


def test_a_caption_counts_the_objects_of_each_class_in_its_colour() -> None:
    caption = caption_objects(Prediction("a.jpg", objects=(*TWO, TWO[0])), NAMES)
    assert caption == [
        CaptionLine("dog", "2", is_bright=True, has_dot=True, colour=choose_colour(1)),
        CaptionLine("cat", "1", is_bright=True, has_dot=True, colour=choose_colour(0)),
    ]
    assert caption_objects(Prediction("a.jpg", objects=()), NAMES) == [CaptionLine("no objects", is_bright=True)]
