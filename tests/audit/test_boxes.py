from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from tlkit.audit.box_pairs import CLASS, DOUBLE, DOUBTFUL, MISSING, PLACE, Doubt, Scene, match_objects
from tlkit.audit.boxes import BoxAudit, audit_boxes, compute_usual

Row = Sequence[float]
CAT, DOG = 1.0, 2.0
LEFT, RIGHT = (0, 0, 40, 40), (100, 0, 140, 40)
FAR = (100, 100, 140, 140)
USUAL = 40


def make_scene(boxes: Sequence[Row], found: Sequence[Row]) -> Scene:
    return Scene(np.array(boxes, np.float32).reshape(-1, 6), np.array(found, np.float32).reshape(-1, 6))


def audit(scene: Scene, *, usual: int = USUAL) -> BoxAudit:
    """Audit a scene among many in which a cat and a dog of the same size are found where they are boxed."""
    right = make_scene([(*LEFT, CAT, 0), (*RIGHT, DOG, 0)], [(*LEFT, 0.9, 0), (*RIGHT, 0.9, 1)])
    return audit_boxes([scene, *[right] * usual], (0.5, 0.5))


def find(boxes: Sequence[Row], found: Sequence[Row]) -> tuple[Doubt, ...]:
    return audit(make_scene(boxes, found)).doubts


def test_boxes_that_are_found_raise_no_doubt() -> None:
    result = audit(make_scene([], []))
    assert result.doubts == ()
    assert (result.num_boxes, result.num_found, result.num_judged) == (2 * USUAL, 2 * USUAL, 2 * USUAL)


def test_what_is_surely_found_beside_all_boxes_is_missing() -> None:
    (doubt,) = find([(*LEFT, CAT, 0)], [(*LEFT, 0.9, 0), (*FAR, 0.8, 1), (*RIGHT, 0.4, 1)])
    assert (doubt.kind, doubt.box, doubt.detection) == (MISSING, None, 1)
    assert doubt.score == pytest.approx(0.8)


def test_an_object_that_is_found_as_two_classes_is_missing_once() -> None:
    (doubt,) = find([], [(*FAR, 0.8, 1), (*FAR, 0.7, 0)])
    assert (doubt.kind, doubt.detection) == (MISSING, 0)


def test_a_part_of_an_object_is_a_less_probable_miss() -> None:
    (doubt,) = find([(*LEFT, CAT, 0)], [(*LEFT, 0.9, 0), (30, 0, 70, 40, 0.8, 1)])
    assert doubt.kind == MISSING
    assert doubt.score == pytest.approx(0.8 * 0.75)
    (doubt,) = find([(*LEFT, CAT, 0)], [(*LEFT, 0.9, 0), (0, 0, 40, 16, 0.8, 1)])
    assert (doubt.kind, doubt.score) == (MISSING, 0)


def test_a_box_of_another_class_than_is_found_is_wrong() -> None:
    (doubt,) = find([(*LEFT, DOG, 0)], [(*LEFT, 0.9, 0)])
    assert (doubt.kind, doubt.box, doubt.detection) == (CLASS, 0, 0)
    assert doubt.score > 0.5


def test_a_class_is_right_where_the_other_one_has_a_box_of_its_own() -> None:
    near = (0, 4, 40, 40)
    assert find([(*LEFT, DOG, 0), (*near, CAT, 0)], [(*near, 0.9, 0), (*LEFT, 0.8, 1)]) == ()


def test_the_number_of_wrong_classes_is_estimated() -> None:
    rng = np.random.default_rng(0)
    scenes = []
    for number in range(200):
        label, score = number % 2, rng.uniform(0.3, 0.95)
        given = 1 - label if number < 20 else label
        found = [(*LEFT, score, label), (*LEFT, rng.uniform(0, 1 - score), 1 - label)]
        scenes.append(make_scene([(*LEFT, given + 1, 0)], sorted(found, key=lambda row: -row[4])))
    result = audit_boxes(scenes, (0.5, 0.5))
    assert result.wrong_classes is not None
    assert result.wrong_classes.low < 20 < result.wrong_classes.high
    assert result.wrong_classes.number == pytest.approx(20, abs=6)
    assert result.num_judged == 200


def test_what_boxes_of_other_images_show_says_more_about_a_class_than_weak_detections() -> None:
    rng = np.random.default_rng(0)
    scenes = []
    for number in range(120):
        label = number % 2
        given = 1 - label if number < 6 else label
        shown = rng.normal(size=(1, 8)) + 3 * label
        found = np.array([[*LEFT, 0.3, 0], [*LEFT, 0.3, 1]], np.float32)
        scenes.append(Scene(np.array([[*LEFT, given + 1, 0]], np.float32), found, shown, -1))
    doubts = audit_boxes(scenes, (0.5, 0.5)).doubts
    assert {doubt.image for doubt in doubts if doubt.kind == CLASS} == set(range(6))
    assert {(doubt.image % 2, doubt.label) for doubt in doubts} == {(0, 0), (1, 1)}


def test_boxes_of_copies_do_not_vouch_for_each_other() -> None:
    rng = np.random.default_rng(0)
    rows = [rng.normal(size=(1, 8)) + 3 * (number % 2) for number in range(60)]
    scene = make_scene([(*LEFT, DOG, 0)], [(*LEFT, 0.3, 1), (*LEFT, 0.2, 0)])
    others = [
        Scene(np.array([[*LEFT, number % 2 + 1, 0]], np.float32), scene.found, shown, -1)
        for number, shown in enumerate(rows)
    ]
    wrong = rng.normal(size=(1, 8))  # a cat

    def count_wrong(group: int) -> int:
        copies = [Scene(scene.boxes, scene.found, wrong + 1e-3 * number, group) for number in range(8)]
        doubts = audit_boxes([*copies, *others], (0.5, 0.5)).doubts
        return sum(doubt.kind == CLASS and doubt.image < 8 for doubt in doubts)

    assert count_wrong(0) == 8
    assert count_wrong(-1) < 8


def test_with_one_class_none_is_wrong() -> None:
    scene = make_scene([(*LEFT, CAT, 0)], [(*LEFT, 0.9, 0)])
    result = audit_boxes([scene] * 40, (0.5,))
    assert (result.doubts, result.wrong_classes, result.num_judged) == ((), None, 0)


def test_an_object_that_is_found_beside_its_box_is_badly_placed() -> None:
    (doubt,) = find([(*LEFT, CAT, 0)], [(20, 0, 60, 40, 0.9, 0)])
    assert (doubt.kind, doubt.box, doubt.detection) == (PLACE, 0, 0)
    assert doubt.measure == pytest.approx(1 / 3)
    assert doubt.score == pytest.approx(0.9 * (1 - doubt.measure))


def test_boxes_are_badly_placed_if_they_fit_far_worse_than_is_usual() -> None:
    loose = [make_scene([(*LEFT, CAT, 0)], [(0, 0, 40, 40 - shift, 0.9, 0)]) for shift in range(8)] * 5
    off = make_scene([(*LEFT, CAT, 0)], [(0, 0, 40, 22, 0.9, 0)])
    (doubt,) = audit_boxes([off, *loose], (0.5, 0.5)).doubts
    assert (doubt.kind, doubt.image) == (PLACE, 0)
    assert doubt.measure == pytest.approx(0.55)


def test_a_box_where_nothing_is_found_is_doubtful_if_others_of_its_size_are_found() -> None:
    (doubt,) = find([(*FAR, CAT, 0)], [])
    assert (doubt.kind, doubt.box, doubt.detection) == (DOUBTFUL, 0, None)
    assert doubt.score == 1.0
    tiny = [make_scene([(0, 0, 4, 4, CAT, 0)], [])] * USUAL
    assert audit_boxes([*tiny, make_scene([(*LEFT, CAT, 0)], [(*LEFT, 0.9, 0)])], (0.5, 0.5)).doubts == ()


def test_a_box_is_more_doubtful_the_less_is_found_at_it() -> None:
    (doubt,) = find([(*FAR, CAT, 0)], [(100, 100, 140, 120, 0.36, 1)])  # an IoU of 0.5, and a score that is not sure
    assert doubt.kind == DOUBTFUL
    assert doubt.score == pytest.approx(1 - 0.5 * 0.36 / 0.9)
    assert find([(*FAR, CAT, 0)], [(*FAR, 0.46, 0)]) == ()


def test_a_detector_that_finds_nothing_doubts_nothing() -> None:
    assert audit_boxes([make_scene([(*LEFT, CAT, 0)], [])] * 3, (0.5, 0.5)).doubts == ()


def test_an_object_with_two_boxes_keeps_the_one_that_is_found_better() -> None:
    (doubt,) = find([(0, 0, 40, 36, CAT, 0), (*LEFT, CAT, 0)], [(*LEFT, 0.9, 0)])
    assert (doubt.kind, doubt.box, doubt.other) == (DOUBLE, 0, 1)
    assert doubt.measure == pytest.approx(0.9)


def test_nothing_is_said_about_ignored_boxes_and_what_is_found_in_them() -> None:
    assert find([(*FAR, CAT, 1), (*FAR, DOG, 1)], [(100, 100, 120, 120, 0.9, 0)]) == ()


def test_images_without_boxes_and_detections_are_in_order() -> None:
    assert audit_boxes([make_scene([], [])] * 3, (0.5, 0.5)).doubts == ()
    assert audit_boxes([], (0.5, 0.5)).doubts == ()


def test_boxes_are_compared_with_others_of_about_their_size() -> None:
    areas = np.random.default_rng(0).permutation(100)
    values = (areas >= 50).astype(np.float64)
    values[areas == 80] = 7.0
    usual = compute_usual(areas.tolist(), values)
    np.testing.assert_array_equal(usual[areas < 35], 0)
    np.testing.assert_array_equal(usual[areas > 65], 1)
    assert compute_usual([3.0, 5.0], np.array([1.0, 2.0])).tolist() == [2.0, 1.0]
    assert compute_usual([3.0], np.array([1.0])).tolist() == [0.0]


@pytest.mark.parametrize(
    ("other", "agrees"),
    [
        ('[["dog",50,50,90,90],["cat",0,0,41,40]]', True),
        ('[["cat",0,0,40,40]]', False),
        ('[["cat",0,0,40,40],["cat",50,50,90,90]]', False),
        ('[["cat",0,0,40,40],["dog",50,50,90,90,1]]', False),
        ('[["cat",0,10,40,40],["dog",50,50,90,90]]', False),
    ],
)
def test_objects_that_were_annotated_twice_agree_if_they_have_nearly_the_same_places(other: str, agrees: bool) -> None:
    assert match_objects('[["cat",0,0,40,40],["dog",50,50,90,90]]', other) == agrees
    assert match_objects(other, '[["cat",0,0,40,40],["dog",50,50,90,90]]') == agrees
    assert match_objects("[]", "[]")
