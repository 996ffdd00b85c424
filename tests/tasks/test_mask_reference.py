"""The text of a mask's reference: written and read back, and nothing else is taken for one."""

from __future__ import annotations

import json

import pytest

from tlkit.tasks.mask_reference import (
    MAX_PARTS,
    MaskPart,
    MaskReference,
    list_mask_names,
    read_mask_reference,
    write_mask,
)

FISH = MaskPart("masks/ä,1.png", "ab" * 32, "index", (("1", "fish"), ("2", "weed"), ("255", None)))
CROWD = MaskPart("/data/all.json", "cd" * 32, "coco", (("7", "bird"),), "12")


@pytest.mark.parametrize("reference", [MaskReference((FISH,)), MaskReference((FISH, CROWD), 6), MaskReference(())])
def test_a_reference_comes_back_as_it_was(reference: MaskReference) -> None:
    assert read_mask_reference(write_mask(reference)) == reference


def test_names_are_those_of_all_parts_without_what_is_ignored() -> None:
    answers = [write_mask(MaskReference((FISH,))), write_mask(MaskReference((CROWD,)))]
    assert list_mask_names(answers) == ["bird", "fish", "weed"]
    assert MaskReference((FISH, CROWD)).names == ("bird", "fish", "weed")


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        ("cat", "is not JSON"),
        ({}, "is not a list that begins with an orientation, 1 to 8"),
        ([9], "is not a list that begins with an orientation, 1 to 8"),
        ([True], "is not a list that begins with an orientation, 1 to 8"),
        ([1, *[["a", "b", "index", {}, ""]] * (MAX_PARTS + 1)], "has 1,001 files, more than 1,000"),
        ([1, ["a", "b", "index", {}]], "has a file that is not path, hash, encoding, classes and item"),
        ([1, ["", "b", "index", {}, ""]], "has a file whose path, hash or item is no text"),
        ([1, ["a", "b", "video", {}, ""]], "has a file whose encoding is none of index, colour, coco, labelme"),
        ([1, ["a", "b", "index", {"1": ""}, ""]], "has a class whose name is no clean text"),
        ([1, ["a", "b", "index", {"1": "a\nb"}, ""]], "has a class whose name is no clean text"),
    ],
)
def test_what_is_no_reference_is_refused(rows: object, reason: str) -> None:
    with pytest.raises(ValueError) as refused:
        read_mask_reference(rows if isinstance(rows, str) else json.dumps(rows))
    assert str(refused.value) == reason
