from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tlkit.explain.shortcuts import find_shortcuts

NAMES = ("cat", "dog", "owl")


def draw_maps(places: list[tuple[int, int]], *, count: int = 22) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return maps of noise with the evidence of each class in 2 by 2 cells, most in the upper left one."""
    rng = np.random.default_rng(0)
    maps = rng.random((count * len(places), 7, 7)).astype(np.float32)
    targets = np.repeat(np.arange(len(places)), count)
    for one, target in zip(maps, targets, strict=True):
        row, column = places[target]
        one[row : row + 2, column : column + 2] += 20
        one[row, column] += 10
    return maps, targets


def test_a_class_whose_evidence_lies_in_the_border_is_named() -> None:
    maps, targets = draw_maps([(2, 3), (0, 5), (3, 2)])
    cat, dog, owl = find_shortcuts(maps, targets, NAMES)
    assert not cat.is_suspicious
    assert not owl.is_suspicious
    assert dog.border > max(cat.border, owl.border)
    assert dog.reason == "the evidence is strongest at the same place in the border of the pictures: top right"
    assert (dog.class_name, dog.num_photos, dog.outside) == ("dog", 22, None)


def test_nothing_is_said_where_places_vary_or_photos_are_few() -> None:
    maps, targets = draw_maps([(2, 3), (0, 5), (3, 2)])
    for number, one in enumerate(maps):
        one[:] = np.roll(one, (number, 3 * number), axis=(0, 1))
    assert not any(each.is_suspicious for each in find_shortcuts(maps, targets, NAMES))
    maps, targets = draw_maps([(2, 3), (0, 5), (3, 2)], count=19)
    assert find_shortcuts(maps, targets, NAMES) == []


def test_evidence_outside_the_box_is_named_where_boxes_are_known() -> None:
    maps, targets = draw_maps([(2, 3), (3, 2), (3, 3)])
    object_box, elsewhere = (2 / 7, 2 / 7, 5 / 7, 5 / 7), (0.0, 5 / 7, 2 / 7, 1.0)
    boxes = [elsewhere if target == 1 else object_box for target in targets]
    cat, dog, _ = find_shortcuts(maps, targets, NAMES, boxes)
    assert not cat.is_suspicious
    assert cat.outside is not None
    assert cat.outside < 0.4
    assert dog.reason.endswith("of the evidence lies outside the object's box")


def test_boxes_decide_where_they_are_known() -> None:
    maps, targets = draw_maps([(2, 3), (0, 5), (3, 2)])
    boxes = [(5 / 7, 0.0, 1.0, 2 / 7) if target == 1 else (2 / 7, 2 / 7, 5 / 7, 5 / 7) for target in targets]
    assert not any(each.is_suspicious for each in find_shortcuts(maps, targets, NAMES, boxes))


def test_maps_without_any_evidence_count_for_nothing() -> None:
    assert find_shortcuts(np.zeros((22, 7, 7)), np.zeros(22, np.int64), NAMES) == []
    assert find_shortcuts(np.zeros((0, 7, 7)), np.zeros(0, np.int64), NAMES) == []
