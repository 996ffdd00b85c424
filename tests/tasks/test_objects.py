"""The text of an image's objects, and the targets that are made of it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tlkit.tasks.objects import (
    BACKGROUND,
    MAX_OBJECTS,
    SceneObject,
    describe_objects,
    find_rarest_names,
    make_object_rows,
    make_object_targets,
    name_objects,
    read_objects,
    tabulate_objects,
    write_objects,
)

FISH = SceneObject("fish", 1, 2, 30.25, 40)
CRAB = SceneObject("a 'crab', \"red\" é", 0.1234567, 5, 9, 9, is_ignored=True)


def test_objects_come_back_from_their_text_to_a_thousandth_of_a_pixel() -> None:
    text = write_objects([FISH, CRAB])
    assert text == '[["fish",1,2,30.25,40],["a \'crab\', \\"red\\" é",0.123,5,9,9,1]]'
    assert read_objects(text) == (FISH, replace(CRAB, left=0.123))
    assert write_objects(read_objects(text)) == text


def test_an_image_without_objects_has_a_text_of_its_own() -> None:
    assert write_objects([]) == BACKGROUND
    assert read_objects(BACKGROUND) == ()


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("cat", "not a list of objects"),
        ("", "not a list of objects"),
        ("{}", "not a list of objects"),
        ("[" * 100_000, "not a list of objects"),
        ("[1]", "an object that is not a class, four numbers and a mark"),
        ('[["cat",1,2,3]]', "an object that is not a class, four numbers and a mark"),
        ('[["",1,2,3,4]]', "an object without a class"),
        ("[[7,1,2,3,4]]", "an object without a class"),
        ('[["cat",1,2,3,4,2]]', "an object without a class"),
        ('[["cat",1,2,3,"4"]]', "an object whose box is not four numbers"),
        ('[["cat",1,2,3,true]]', "an object whose box is not four numbers"),
        ('[["cat",1,2,3,1e999]]', "an object whose box is not four numbers"),
        ('[["cat",1,2,NaN,4]]', "an object whose box is not four numbers"),
        ('[["cat",3,2,1,4]]', "an object with an empty box"),
    ],
)
def test_a_text_that_is_no_list_of_objects_is_refused(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=f"^{reason}$"):
        read_objects(text)


def test_more_objects_than_the_limit_are_refused() -> None:
    text = write_objects([FISH] * (MAX_OBJECTS + 1))
    with pytest.raises(ValueError, match=r"^1,001 objects, more than 1,000$"):
        read_objects(text)
    assert len(read_objects(write_objects([FISH] * MAX_OBJECTS))) == MAX_OBJECTS


def test_only_objects_that_are_learnt_have_names() -> None:
    text = write_objects([FISH, FISH, SceneObject("ape", 0, 0, 1, 1), CRAB])
    assert name_objects(text) == ("ape", "fish")
    assert describe_objects(text) == "1 × ape, 2 × fish, 1 ignored"
    assert describe_objects(BACKGROUND) == "no objects"


def test_targets_have_one_row_for_each_object_and_zeros_below() -> None:
    targets = make_object_targets([write_objects([FISH, SceneObject("ape", 0, 0, 1, 1)]), BACKGROUND], ["ape", "fish"])
    assert targets.dtype == np.float32
    assert targets.tolist() == [[[1, 2, 30.25, 40, 2, 0], [0, 0, 1, 1, 1, 0]], [[0] * 6, [0] * 6]]
    assert make_object_targets([BACKGROUND], ["ape"]).shape == (1, 1, 6)
    assert make_object_targets([], ["ape"]).shape == (0, 1, 6)


def test_an_ignored_object_of_no_known_class_stands_for_every_class() -> None:
    known = SceneObject("fish", 2, 2, 4, 4, is_ignored=True)
    rows = make_object_rows(write_objects([CRAB, known]), ["ape", "fish"])
    assert rows[:, 4:].tolist() == [[1, 1], [2, 1], [2, 1]]
    assert not rows.flags.writeable


def test_an_object_of_an_unknown_class_has_no_target() -> None:
    with pytest.raises(KeyError, match="fish"):
        make_object_targets([write_objects([FISH])], ["ape"])


def test_the_stratum_of_an_image_is_its_rarest_class() -> None:
    ape = SceneObject("ape", 0, 0, 1, 1)
    answers = [write_objects(each) for each in ([FISH], [FISH, ape], [CRAB], [])]
    assert find_rarest_names(answers) == ["fish", "ape", "", ""]


def test_the_table_counts_objects_and_images_by_class_and_split() -> None:
    ape = SceneObject("ape", 0, 0, 1, 1)
    answers = {
        "train": [write_objects(each) for each in ([FISH, FISH, ape], [FISH, CRAB], [])],
        "test": [write_objects([CRAB])],
    }
    assert tabulate_objects(answers, ["ape", "fish"]) == (
        ("objects on images", "train", "test", "total"),
        (
            ("ape", "1 on 1", "0 on 0", "1 on 1"),
            ("fish", "3 on 2", "0 on 0", "3 on 2"),
            ("ignored", "1 on 1", "1 on 1", "2 on 2"),
            ("background", "1", "1", "2"),
            ("images", "3", "1", "4"),
        ),
    )
