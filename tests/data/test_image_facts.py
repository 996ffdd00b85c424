"""Facts of image files: what is read from their heads, and what damage does to it."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import pytest
from PIL import Image

from tlkit.data.image_facts import describe_facts
from tlkit.data.images import check_image
from tlkit.metadata.columns import IMAGE_FACTS

MAKE, MODEL, ORIENTATION = 271, 272, 274
Encode = Callable[..., bytes]


def with_exif(tags: dict[int, object]) -> Image.Exif:
    exif = Image.Exif()
    exif.update(tags)
    return exif


def read_facts(content: bytes) -> dict[str, str]:
    return describe_facts(check_image(content), num_bytes=len(content))


@pytest.mark.parametrize(
    ("mode", "file_format", "stored_mode"),
    [
        ("RGB", "JPEG", "RGB"),
        ("L", "JPEG", "L"),
        ("CMYK", "JPEG", "CMYK"),
        ("RGB", "PNG", "RGB"),
        ("RGBA", "PNG", "RGBA"),
        ("L", "PNG", "L"),
        ("P", "PNG", "P"),
        ("1", "PNG", "1"),
        ("RGB", "WEBP", "RGB"),
        ("P", "GIF", "P"),
    ],
)
def test_the_facts_are_those_of_the_file(
    quarters: Image.Image, encode: Encode, mode: str, file_format: str, stored_mode: str
) -> None:
    content = encode(quarters.convert(mode), file_format)
    assert read_facts(content) == {
        "image-width": "64",
        "image-height": "48",
        "image-aspect": "1.3333",
        "image-bytes": str(len(content)),
        "image-shape": "64x48",
        "image-format": file_format,
        "image-mode": stored_mode,
        "image-camera": "",
    }


def test_every_fact_has_its_place(quarters: Image.Image, encode: Encode) -> None:
    assert list(read_facts(encode(quarters, "PNG"))) == list(IMAGE_FACTS)


@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize(
    ("tags", "camera"),
    [
        ({MAKE: "NIKON CORPORATION", MODEL: "NIKON D90"}, "NIKON CORPORATION NIKON D90"),
        ({MAKE: " Canon \0\0", MODEL: "EOS\t 5D"}, "Canon EOS 5D"),
        ({MODEL: "Pixel 7"}, "Pixel 7"),
        ({MAKE: "x" * 60, MODEL: "y" * 60}, "x" * 60 + " " + "y" * 19),
        ({ORIENTATION: 6}, ""),
    ],
)
def test_the_camera_is_make_and_model(
    quarters: Image.Image, encode: Encode, file_format: str, tags: dict[int, object], camera: str
) -> None:
    content = encode(quarters, file_format, exif=with_exif(tags))
    assert read_facts(content)["image-camera"] == camera


def test_a_picture_that_lies_on_its_side_has_its_upright_size(quarters: Image.Image, encode: Encode) -> None:
    content = encode(quarters, "JPEG", exif=with_exif({ORIENTATION: 6}))
    facts = read_facts(content)
    assert {name: facts[name] for name in ("image-width", "image-height", "image-aspect", "image-shape")} == {
        "image-width": "48",
        "image-height": "64",
        "image-aspect": "0.7500",
        "image-shape": "48x64",
    }


@pytest.mark.parametrize("length", [8, 12, 20])
@pytest.mark.parametrize("file_format", ["JPEG", "PNG"])
def test_damaged_exif_is_no_camera_and_no_word_about_it(
    quarters: Image.Image, encode: Encode, file_format: str, length: int
) -> None:
    exif = with_exif({MAKE: "Canon", MODEL: "EOS 5D Mark IV with a long name"}).tobytes()
    content = encode(quarters, file_format, exif=exif[:length])
    with warnings.catch_warnings(record=True) as told:
        warnings.resetwarnings()
        facts = read_facts(content)
    assert (facts["image-camera"], facts["image-format"]) == ("", file_format)
    assert told == []


def test_a_large_picture_has_facts_without_a_warning(
    quarters: Image.Image, encode: Encode, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = encode(quarters, "PNG")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 2000)
    with warnings.catch_warnings(record=True) as told:
        warnings.resetwarnings()
        assert read_facts(content)["image-format"] == "PNG"
    assert told == []
