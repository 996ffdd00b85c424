"""What files of masks have at their pixels, and what all of them together mean."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tlkit.data.formats.mask_classes import ClassTable
from tlkit.data.formats.mask_values import (
    MaskValues,
    describe_excess,
    find_meanings,
    make_voc_colours,
    read_mask_pixels,
    read_mask_values,
)
from tlkit.data.images import UnusableImage
from tlkit.errors import DataError


def save(picture: Image.Image, kind: str = "PNG", **settings: Any) -> bytes:
    """Return a picture as a file."""
    content = io.BytesIO()
    picture.save(content, kind, **settings)
    return content.getvalue()


def make_palette_file(numbers: np.ndarray) -> bytes:
    picture = Image.fromarray(numbers).convert("L")
    picture = Image.frombytes("P", picture.size, picture.tobytes())
    picture.putpalette(np.random.default_rng(0).integers(0, 256, 768).astype(np.uint8).tobytes())
    return save(picture)


def make_values(*values: object, encoding: str = "index") -> MaskValues:
    return MaskValues(encoding, tuple(map(str, values)), (4, 4))


NUMBERS = np.array([[0, 1, 1], [2, 255, 0]], np.uint8)


@pytest.mark.parametrize("kind", ["palette", "L", "RGB of equal channels", "16 bits"])
def test_numbers_are_read_whatever_they_look_like(kind: str) -> None:
    content = {
        "palette": make_palette_file(NUMBERS),
        "L": save(Image.fromarray(NUMBERS)),
        "RGB of equal channels": save(Image.fromarray(np.stack([NUMBERS] * 3, axis=-1))),
        "16 bits": save(Image.fromarray(NUMBERS.astype(np.uint16))),
    }[kind]
    encoding, pixels = read_mask_pixels(content)
    assert encoding == "index"
    assert pixels.tolist() == NUMBERS.tolist()
    assert read_mask_values(content) == MaskValues("index", ("0", "1", "2", "255"), (2, 3))


def test_colours_and_single_bits_are_read() -> None:
    pixels = np.array([[[255, 0, 16], [0, 0, 0]]], np.uint8)
    assert read_mask_values(save(Image.fromarray(pixels))) == MaskValues("colour", ("#000000", "#ff0010"), (1, 2))
    opaque = np.concatenate([pixels, np.full((1, 2, 1), 255, np.uint8)], axis=-1)
    assert read_mask_values(save(Image.fromarray(opaque))).values == ("#000000", "#ff0010")
    assert read_mask_values(save(Image.fromarray(NUMBERS > 1))).values == ("0", "255")


def test_a_mask_is_turned_by_its_own_orientation() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    _, pixels = read_mask_pixels(save(Image.fromarray(NUMBERS), exif=exif))
    assert pixels.tolist() == np.rot90(NUMBERS, -1).tolist()


def test_what_is_no_mask_is_refused() -> None:
    smooth = np.random.default_rng(0).integers(0, 256, (40, 40, 3)).astype(np.uint8)
    cases = {
        "a JPEG, whose compression mixes the classes at their edges": save(Image.fromarray(smooth), "JPEG"),
        "transparent pixels, whose class cannot be known": save(Image.new("RGBA", (3, 3), (255, 0, 0, 0))),
        "pixels of the kind CMYK, not numbers or RGB colours": save(Image.new("CMYK", (3, 3)), "TIFF"),
    }
    for reason, content in cases.items():
        with pytest.raises(UnusableImage) as refused:
            read_mask_pixels(content)
        assert str(refused.value) == reason
    excess = describe_excess(read_mask_values(save(Image.fromarray(smooth))), None)
    assert excess == "1,600 colours, as smooth edges or compression make them; a mask has one value for each class"
    with pytest.raises(UnusableImage):
        read_mask_pixels(b"no picture at all")


def test_a_table_says_which_values_there_are() -> None:
    table = ClassTable(Path("classes.txt"), {"1": "fish"})
    assert describe_excess(make_values(0, 1, 255), table) is None
    assert describe_excess(make_values(0, 1, 7, 9), table) == "grey levels that classes.txt does not list: 7, 9"
    assert find_meanings([make_values(0, 1, 255)], table).by_value == {"0": "", "1": "fish", "255": None}
    other = find_meanings([make_values("#000000", "#ff0000", encoding="colour")], table)
    assert other.by_value == {"#000000": "", "#ff0000": "class_1"}
    assert other.remarks[0] == "classes.txt names numbers, but masks have colours; its names are not used."


@pytest.mark.parametrize(
    ("values", "by_value", "remark"),
    [
        ((0, 255), {"0": "", "255": "class_1"}, "Masks have the values 0 and 255: background and class_1."),
        ((0, 1), {"0": "", "1": "class_1"}, "Masks have the values 0 and 1: background and class_1."),
        (
            (0, 1, 3, 255),
            {"0": "", "1": "class_1", "3": "class_3", "255": None},
            "Masks have the values 0, 1, 3, 255: 0 is background, 255 is ignored; 1 is class_1, 3 is class_3.",
        ),
        (
            (0, 128, 255),
            {"0": "", "128": "class_1", "255": "class_2"},
            "Masks have the values 0, 128, 255: 0 is background; 128 is class_1, 255 is class_2.",
        ),
    ],
)
def test_numbers_without_a_table_are_decided_by_evidence(
    values: tuple[int, ...], by_value: dict[str, str | None], remark: str
) -> None:
    found = find_meanings([make_values(*values)], None)
    assert found.by_value == by_value
    assert found.remarks == (remark,)


def test_colours_of_voc_keep_their_numbers_and_others_are_counted() -> None:
    voc = make_voc_colours()
    assert voc[:4] == ["#000000", "#800000", "#008000", "#808000"]
    assert voc[255] == "#e0e0c0"
    found = find_meanings([make_values(voc[0], voc[3], voc[15], "#e0e0c0", encoding="colour")], None)
    assert found.by_value == {"#000000": "", voc[3]: "class_3", voc[15]: "class_15", "#e0e0c0": None}
    others = find_meanings([make_values("#000000", "#123456", "#ffffff", encoding="colour")], None)
    assert others.by_value == {"#000000": "", "#123456": "class_1", "#ffffff": "class_2"}
    assert others.remarks == (
        "Masks have the colours #000000, #123456, #ffffff; #000000 is background, and classes are numbered in the order "
        "of their codes: #123456 is class_1, #ffffff is class_2.",
    )


def test_more_values_than_classes_are_refused() -> None:
    files = [make_values(*range(start, start + 60)) for start in range(0, 300, 60)]
    with pytest.raises(DataError) as refused:
        find_meanings(files, None)
    assert str(refused.value) == (
        "the masks have 300 values: 0, 1, 2, 3, 4, 5 and 294 more.\n"
        "  Expected: one value for each class, at most 254\n"
        "  Fix: give masks of classes, not of single objects, without smooth edges."
    )
