"""The picture of a file of several pages is the full one, wherever it stands."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import pytest
from PIL import Image

from tlkit.data.images import UnusableImage, check_image, read_picture

Encode = Callable[..., bytes]
NEW_SUBFILE_TYPE = 254


def write_tiff(*pages: tuple[tuple[int, int], dict[int, Any]]) -> bytes:
    """Return a TIFF of pages given as size and tags; each page is of another grey."""
    stream = io.BytesIO()
    pictures = []
    for number, (size, tags) in enumerate(pages):
        picture = Image.new("L", size, 50 * (number + 1))
        picture.encoderinfo = {"tiffinfo": tags}
        pictures.append(picture)
    pictures[0].save(stream, "TIFF", save_all=True, append_images=pictures[1:], tiffinfo=pages[0][1])
    return stream.getvalue()


def read_grey(content: bytes) -> int:
    picture = read_picture(content)
    facts = check_image(content)
    assert picture.size == (facts.width, facts.height)
    return int(picture.getpixel((0, 0))[0])  # type: ignore[index]


@pytest.mark.parametrize(
    ("pages", "chosen"),
    [
        ([((200, 160), {}), ((12, 10), {NEW_SUBFILE_TYPE: 1})], 0),
        ([((12, 10), {NEW_SUBFILE_TYPE: 1}), ((200, 160), {})], 1),
        ([((12, 10), {NEW_SUBFILE_TYPE: 1}), ((200, 160), {NEW_SUBFILE_TYPE: 1})], 1),
        ([((12, 10), {}), ((200, 160), {})], 1),
        ([((12, 10), {}), ((50, 40), {}), ((200, 160), {})], 2),
        ([((12, 10), {255: 2}), ((20, 16), {255: 1})], 1),
        ([((40, 30), {NEW_SUBFILE_TYPE: 4}), ((40, 30), {})], 1),
        ([((40, 30), {}), ((40, 30), {}), ((40, 30), {})], 0),
        ([((40, 30), {}), ((200, 60), {})], 0),
        ([((40, 30), {NEW_SUBFILE_TYPE: 1})], 0),
    ],
)
def test_the_full_page_of_a_tiff_is_the_picture(pages: list[Any], chosen: int) -> None:
    assert read_grey(write_tiff(*pages)) == 50 * (chosen + 1)


def test_a_raw_file_that_shows_a_thumbnail_is_skipped() -> None:
    with pytest.raises(UnusableImage) as caught:
        check_image(write_tiff(((12, 10), {NEW_SUBFILE_TYPE: 1, 330: 8})))
    assert caught.value.reason == (
        "a camera raw file, or another file with only a thumbnail; convert it to JPEG or TIFF"
    )


def test_the_full_frame_of_an_mpo_is_the_picture(encode: Encode) -> None:
    thumbnail, full = Image.new("RGB", (20, 16), (200, 0, 0)), Image.new("RGB", (200, 160), (0, 0, 200))
    for frames in ([thumbnail, full], [full, thumbnail]):
        content = encode(frames[0], "MPO", save_all=True, append_images=frames[1:])
        assert read_picture(content).size == (200, 160)


def test_an_icon_gives_its_largest_picture(encode: Encode) -> None:
    content = encode(Image.new("RGB", (64, 64)), "ICO", sizes=[(16, 16), (64, 64), (32, 32)])
    assert check_image(content).width == 64


def test_damage_behind_the_first_page_does_no_harm_to_it(encode: Encode) -> None:
    frames = [Image.new("RGB", (16, 16), (200, 0, 0)), Image.new("RGB", (16, 16), (0, 0, 200))]
    content = encode(frames[0], "MPO", save_all=True, append_images=frames[1:])
    assert check_image(content[: content.rfind(b"\xff\xd8") + 4]).width == 16
