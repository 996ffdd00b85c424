"""Previews wait for their predictions in bounded memory."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from PIL import Image

from tlkit.data.image_file import ImageFile
from tlkit.data.images import UnusableImage
from tlkit.inference.previews import Previews


def encode(width: int, height: int) -> ImageFile:
    stream = io.BytesIO()
    Image.new("RGB", (width, height), (200, 40, 40)).save(stream, format="PNG")
    return ImageFile(stream.getvalue())


def test_a_preview_is_made_only_while_there_is_room_and_its_room_comes_back() -> None:
    previews = Previews((), max_bytes=2 * 4 * 400 * 300)
    images = [encode(400, 300) for _ in range(4)]
    made = [previews.make(image) for image in images[:3]]
    assert [None if each is None else each.size for each in made] == [(400, 300), (400, 300), None]
    previews.release(images[0].upright_size)
    assert previews.make(images[3]) is not None
    assert previews.make(images[2]) is None


def test_a_large_picture_takes_the_room_of_its_preview_alone() -> None:
    previews = Previews((), max_bytes=4 * 1280 * 960)
    preview = previews.make(encode(1600, 1200))
    assert preview is not None
    assert preview.size == (1280, 960)
    assert previews.make(encode(1, 1)) is None


def test_a_preview_that_cannot_be_made_takes_no_room(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(image: ImageFile, target: object = None) -> Image.Image:
        raise UnusableImage("too large")

    previews = Previews((), max_bytes=4 * 320 * 320)
    with monkeypatch.context() as patch:
        patch.setattr(ImageFile, "decode", refuse)
        with pytest.raises(UnusableImage):
            previews.make(encode(8, 8))
    preview = previews.make(encode(8, 8))
    assert preview is not None
    assert preview.size == (320, 320)


def test_a_preview_is_read_anew(tmp_path: Path) -> None:
    (tmp_path / "1.png").write_bytes(encode(400, 300).content)
    assert Previews(()).read(tmp_path / "1.png").size == (400, 300)
    with pytest.raises(UnusableImage, match="no such file"):
        Previews(()).read(tmp_path / "2.png")
