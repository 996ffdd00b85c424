"""The text of a mask: written and read back, by the names of others, and nothing else is taken for one."""

from __future__ import annotations

import base64
import json
import zlib

import numpy as np
import pytest

from tlkit.tasks.mask_text import PLACES, check_mask, name_mask, read_mask, write_mask

PLACED = np.zeros((PLACES, PLACES), np.uint8)
PLACED[20:90, 30:200], PLACED[100:150, 5:60], PLACED[:4] = 1, 2, 255


def pack(places: bytes) -> str:
    return base64.b64encode(zlib.compress(places)).decode()


def test_a_mask_comes_back_as_it_was() -> None:
    text = write_mask(PLACED, ("weed", "fish"))
    assert name_mask(text) == ("fish", "weed")
    assert (read_mask(text, ("weed", "fish")) == PLACED).all()
    assert (read_mask(text, ("fish", "weed")) == np.array([0, 2, 1, *[0] * 252, 255])[PLACED]).all()
    assert check_mask(text) == text
    assert len(text) < 600


def test_places_of_a_class_that_a_model_does_not_know_are_ignored() -> None:
    text = write_mask(PLACED, ("weed", "fish"))
    assert ((read_mask(text, ("weed",)) == 255) == (PLACED >= 2)).all()


def test_classes_that_no_place_has_are_not_written() -> None:
    assert name_mask(write_mask(np.where(PLACED == 2, 0, PLACED), ("weed", "fish"))) == ("weed",)
    assert name_mask(write_mask(np.zeros((1, 1), np.uint8), ())) == ()


@pytest.mark.parametrize("size", [(512, 512), (3, 5), (100, 777), (1, 1)])
def test_places_are_those_at_the_middle_of_their_cells(size: tuple[int, int]) -> None:
    mask = np.random.default_rng(0).integers(0, 3, size).astype(np.uint8)
    placed = read_mask(write_mask(mask, ("a", "b")), ("a", "b"))
    for row in (0, 17, 128, 255):
        for column in (0, 99, 255):
            at = int((row + 0.5) / PLACES * size[0]), int((column + 0.5) / PLACES * size[1])
            assert placed[row, column] == mask[at]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("cat", "it is not JSON"),
        ([[]], "it is not a list of names and a text"),
        ([["a\nb"], ""], "it has a class whose name is no clean text"),
        ([["b", "a"], ""], "its classes are not sorted"),
        ([["a"], "?"], "its places are damaged"),
        ([["a"], pack(b"12")], "it does not have 256 x 256 places"),
        ([["a"], pack(bytes(PLACES**2 + 1))], "it does not have 256 x 256 places"),
        ([["a"], pack(bytes([2]) * PLACES**2)], "it has a place of no class"),
    ],
)
def test_what_is_no_mask_is_refused(content: object, reason: str) -> None:
    with pytest.raises(ValueError) as refused:
        check_mask(content if isinstance(content, str) else json.dumps(content))
    assert str(refused.value) == f"is no mask: {reason}"
