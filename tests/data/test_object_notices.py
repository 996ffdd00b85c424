"""What is said of the objects of a data set before training."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from tlkit.data.manifest import ImageRecord, Manifest
from tlkit.data.object_notices import advise_on_size, describe_objects, describe_small_objects
from tlkit.tasks.objects import SceneObject, write_objects


def make_record(objects: Sequence[SceneObject]) -> ImageRecord:
    return ImageRecord(Path("/data/1.png"), "0" * 64, 1000, 500, "train", write_objects(objects))


def make_square(edge: float, *, name: str = "cat", is_ignored: bool = False) -> SceneObject:
    return SceneObject(name, 10, 10, 10 + edge, 10 + edge, is_ignored)


def test_objects_are_counted_by_image_and_ignored_ones_apart() -> None:
    records = [
        make_record([make_square(5)]),
        make_record([make_square(5), make_square(6), make_square(7, name="dog")]),
        make_record([make_square(5, is_ignored=True)]),
        make_record([]),
    ]
    assert describe_objects(records) == [
        "4 objects of 2 classes on 2 images: 1 to 3 each, median 2.",
        "2 images without an object to learn: background.",
        "1 object ignored, neither learnt nor missed: crowds, difficult ones, or without a class.",
    ]
    assert describe_objects(records[:1]) == ["1 object of 1 class on 1 image: 1 each."]
    assert describe_objects(records[3:]) == ["1 image without an object to learn: background."]


def test_small_objects_ask_for_a_larger_input_which_leaves_few_of_them() -> None:
    records = [make_record([make_square(20), make_square(200), make_square(1, is_ignored=True)])] * 5
    # pad: 1000 pixels become the input's side, so 20 become 6.4 at 320, and 8 or more from 400 on.
    assert describe_small_objects(records, image_size=320, fit="pad") == (
        "5 of 10 objects are smaller than 8 x 8 pixels in an input of 320 x 320, too small for most to be found; with "
        "--image-size 416, 0 are."
    )
    assert describe_small_objects(records, image_size=416, fit="pad") is None
    # squash: the height of 500 is stretched, so 20 x 20 become 6.4 x 12.8.
    assert describe_small_objects(records, image_size=320, fit="squash") is None


def test_objects_too_small_for_any_input_ask_for_tiles() -> None:
    assert describe_small_objects([make_record([make_square(2)])], image_size=320, fit="pad") == (
        "1 of 1 objects are smaller than 8 x 8 pixels in an input of 320 x 320, too small for most to be found; cut the "
        "images into tiles, with the boxes of each."
    )


def test_nothing_is_said_where_few_objects_are_small_or_there_are_none() -> None:
    records = [make_record([make_square(2), *[make_square(200)] * 9])]
    assert describe_small_objects(records, image_size=320, fit="pad") is None
    assert describe_small_objects([make_record([])], image_size=320, fit="pad") is None
    assert describe_small_objects([], image_size=320, fit="pad") is None


@pytest.mark.usefixtures("detection")
def test_a_manifest_gets_the_advice_among_its_notices() -> None:
    manifest = Manifest(Path("/data"), ("cat",), (make_record([make_square(20)]),), notices=("One.",), task="detection")
    assert advise_on_size(manifest, image_size=(320, 320), fit="pad").notices == (
        "One.",
        "1 of 1 objects are smaller than 8 x 8 pixels in an input of 320 x 320, too small for most to be found; with "
        "--image-size 416, 0 are.",
    )
    assert advise_on_size(manifest, image_size=(416, 416), fit="pad") is manifest
    other = Manifest(Path("/data"), (), (), task="classification")
    assert advise_on_size(other, image_size=(320, 320), fit="pad") is other
