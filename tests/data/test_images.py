"""The loader: the same upright RGB pixels whatever the file, and a reason where there are none."""

from __future__ import annotations

import hashlib
import os
import random
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tlkit.data.image_file import ImageFile
from tlkit.data.images import (
    MAX_FILE_BYTES,
    ImageFacts,
    UnusableImage,
    check_image,
    read_content,
    read_picture,
)
from tlkit.data.views import View, draw_view
from tlkit.errors import SettingError

Encode = Callable[..., bytes]

# What brings a stored picture upright is undone by this, by EXIF orientation.
STORED_AS = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


def store_turned(picture: Image.Image, orientation: int) -> tuple[Image.Image, Image.Exif]:
    """Return a picture as a camera held so would store it, and the EXIF data that say how to hold it."""
    turn = STORED_AS[orientation]
    exif = Image.Exif()
    exif[274] = orientation
    return picture if turn is None else picture.transpose(turn), exif


def reason_of(content: bytes) -> str:
    with pytest.raises(UnusableImage) as caught:
        check_image(content)
    with pytest.raises(UnusableImage) as caught_loading:
        ImageFile(content).render(image_size=(8, 8), fit="squash")
    assert caught_loading.value.reason == caught.value.reason
    return caught.value.reason


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "TIFF", "WEBP", "AVIF"])
def test_all_exif_orientations_give_the_same_upright_picture(
    orientation: int, file_format: str, quarters: Image.Image, encode: Encode
) -> None:
    stored, exif = store_turned(quarters, orientation)
    content = encode(stored, file_format, exif=exif)
    assert check_image(content).width == 64
    assert check_image(content).height == 48
    pixels = ImageFile(content).render(image_size=(48, 64), fit="squash").astype(int)
    expected = np.asarray(quarters, int)
    inner = np.s_[4:20, 4:28], np.s_[4:20, 36:60], np.s_[28:44, 4:28], np.s_[28:44, 36:60]
    assert max(np.abs(pixels[part] - expected[part]).max() for part in inner) <= 8


@pytest.mark.parametrize("orientation", [1, 6])
def test_a_jpeg_is_decoded_smaller_only_down_to_twice_the_target(orientation: int, encode: Encode) -> None:
    stored, exif = store_turned(Image.new("RGB", (1600, 800)), orientation)
    content = encode(stored, "JPEG", exif=exif)
    assert read_picture(content, target=(100, 200)).size == (400, 200)
    assert read_picture(content, target=(101, 200)).size == (800, 400)
    assert read_picture(content, target=(400, 800)).size == (1600, 800)
    assert read_picture(content).size == (1600, 800)
    assert check_image(content) == ImageFacts(1600, 800, orientation, "JPEG", "RGB")


def test_decoding_smaller_hardly_changes_the_pixels(encode: Encode) -> None:
    rows, columns = np.mgrid[0:1200, 0:1600]
    photo = np.dstack([(columns // 7) % 256, (rows // 5) % 256, ((rows + columns) // 11) % 256]).astype(np.uint8)
    content = encode(Image.fromarray(photo), "JPEG", quality=95)
    assert read_picture(content, target=(96, 96)).size == (400, 300)
    whole = np.asarray(read_picture(content).resize((96, 96), Image.Resampling.BILINEAR), int)
    drafted = ImageFile(content).render(image_size=(96, 96), fit="squash").astype(int)
    assert np.abs(drafted - whole).mean() < 1.5


@pytest.mark.parametrize(("axis", "crop"), [(0, (0.0, 0.0, 1.0, 0.125)), (1, (0.0, 0.0, 0.125, 1.0))])
def test_a_cropping_view_is_not_made_from_too_small_a_picture(
    axis: int, crop: tuple[float, float, float, float], encode: Encode
) -> None:
    stripes = np.where(np.indices((1024, 1024))[axis] % 16 < 4, 255, 0).astype(np.uint8)
    content = encode(Image.fromarray(stripes), "JPEG", quality=95)
    pixels = ImageFile(content).render(image_size=(128, 128), fit="squash", view=View(crop=crop)).astype(int)
    assert np.abs(pixels[..., 0] - stripes[:128, :128]).max() < 60


def test_the_result_is_rgb_of_the_size_asked_for(quarters: Image.Image, encode: Encode) -> None:
    pixels = ImageFile(encode(quarters, "PNG")).render(image_size=(20, 30), fit="squash")
    assert pixels.shape == (20, 30, 3)
    assert pixels.dtype == np.uint8
    assert pixels.flags.writeable
    assert pixels.flags.c_contiguous
    assert tuple(pixels[2, 2]) == (220, 30, 30)
    assert tuple(pixels[2, 27]) == (30, 180, 40)
    assert tuple(pixels[17, 2]) == (30, 50, 210)


def test_the_empty_view_is_the_image_itself(quarters: Image.Image, encode: Encode) -> None:
    content = encode(quarters, "PNG")
    for fit in ("squash", "crop", "pad"):
        plain = ImageFile(content).render(image_size=(24, 24), fit=fit)
        np.testing.assert_array_equal(plain, ImageFile(content).render(image_size=(24, 24), fit=fit, view=View()))


def test_reduction_is_antialiased(encode: Encode) -> None:
    board = Image.fromarray((np.indices((256, 256)).sum(axis=0) % 2 * 255).astype(np.uint8))
    pixels = ImageFile(encode(board, "PNG")).render(image_size=(32, 32), fit="squash")
    assert pixels.min() > 110
    assert pixels.max() < 145


@pytest.mark.parametrize(
    ("fit", "digest"),
    [("squash", "a8fba3b853f789a9"), ("crop", "a44c48c75f1da2b2"), ("pad", "216c1f1783f80047")],
)
def test_pixels_stay_as_this_loader_version_made_them(fit: str, digest: str, encode: Encode) -> None:
    rows, columns = np.mgrid[0:90, 0:130]
    picture = np.dstack([rows * columns % 251, (rows * 3 + columns * 5) % 256, rows * rows % 256]).astype(np.uint8)
    pixels = ImageFile(encode(Image.fromarray(picture), "PNG")).render(image_size=(32, 32), fit=fit)
    found = hashlib.sha256(pixels.tobytes()).hexdigest()[:16]
    assert found == digest, "the pixels have changed: raise LOADER_VERSION, and then this test's digests"


def test_an_unknown_fit_is_an_error_that_lists_the_valid_ones(quarters: Image.Image, encode: Encode) -> None:
    with pytest.raises(SettingError) as caught:
        ImageFile(encode(quarters, "PNG")).render(image_size=(8, 8), fit="sqash")
    assert str(caught.value) == ("fit is 'sqash'.\n  Expected: one of squash, crop, pad\n  Fix: did you mean 'squash'?")


@pytest.mark.parametrize("file_format", ["GIF", "PNG", "WEBP", "TIFF", "AVIF", "MPO"])
def test_an_animation_gives_its_first_frame(file_format: str, encode: Encode) -> None:
    frames = [Image.new("RGB", (16, 16), color) for color in ((220, 30, 30), (30, 180, 40), (30, 50, 210))]
    content = encode(frames[0], file_format, save_all=True, append_images=frames[1:])
    pixels = ImageFile(content).render(image_size=(8, 8), fit="squash").astype(int)
    assert np.abs(pixels - (220, 30, 30)).max() <= 6


@pytest.mark.parametrize("file_format", ["BMP", "PPM", "ICO", "TGA", "PCX", "JPEG2000", "QOI", "SGI", "DDS", "GIF"])
def test_other_formats_are_read(file_format: str, quarters: Image.Image, encode: Encode) -> None:
    options = {"sizes": [(64, 48)]} if file_format == "ICO" else {}
    content = encode(quarters, file_format, **options)
    assert (check_image(content).width, check_image(content).height) == (64, 48)
    pixels = ImageFile(content).render(image_size=(48, 64), fit="squash").astype(int)
    assert np.abs(pixels[4:20, 4:28] - (220, 30, 30)).max() <= 4
    assert np.abs(pixels[28:44, 36:60] - (230, 210, 40)).max() <= 4


def test_the_contents_decide_not_the_name(quarters: Image.Image, encode: Encode, tmp_path: Path) -> None:
    path = tmp_path / "photo.jpg"
    path.write_bytes(encode(quarters, "PNG"))
    assert check_image(read_content(path)) == ImageFacts(64, 48, 1, "PNG", "RGB")


def test_an_empty_file_is_unusable() -> None:
    assert reason_of(b"") == "empty file"


def test_what_is_no_image_is_unusable() -> None:
    assert reason_of(b"Dear diary, today I took no photo.\n" * 40) == "not an image"
    assert reason_of(random.Random(0).randbytes(5000)) == "not an image"


def test_postscript_is_not_run(quarters: Image.Image, encode: Encode) -> None:
    reason = "a PostScript file, which tlkit does not read; convert it to JPEG or PNG"
    assert reason_of(encode(quarters, "EPS")) == reason


@pytest.mark.parametrize(
    ("file_format", "reason"),
    [
        ("JPEG", "truncated JPEG file"),
        ("PNG", "truncated PNG file"),
        ("GIF", "truncated GIF file"),
        ("WEBP", "truncated WebP file"),
        ("BMP", "truncated BMP file"),
        ("TIFF", "truncated TIFF file"),
    ],
)
def test_a_file_that_ends_too_early_is_unusable(file_format: str, reason: str, encode: Encode) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (60, 60, 3), dtype=np.uint8)
    content = encode(Image.fromarray(noise), file_format)
    assert reason_of(content[: len(content) * 2 // 3]) == reason


def test_a_file_with_little_but_a_signature_is_unusable(quarters: Image.Image, encode: Encode) -> None:
    assert reason_of(encode(quarters, "TIFF")[:40]) == "damaged or truncated TIFF file"


def test_damaged_data_are_unusable(encode: Encode) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (60, 60, 3), dtype=np.uint8)
    content = bytearray(encode(Image.fromarray(noise), "PNG"))
    content[100:400] = bytes(300)
    assert reason_of(bytes(content)) == "damaged PNG file: broken data stream when reading image file"


def test_a_heic_picture_says_what_to_do() -> None:
    content = b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic" + bytes(100)
    assert reason_of(content) == "a HEIC picture, which tlkit does not read; convert it to JPEG or PNG"


def test_a_decompression_bomb_is_unusable(encode: Encode) -> None:
    content = bytearray(encode(Image.new("1", (8, 8)), "PNG"))
    content[16:24] = struct.pack(">II", 20000, 20000)
    content[29:33] = struct.pack(">I", zlib.crc32(content[12:29]))
    assert reason_of(bytes(content)) == "decompression bomb: 400,000,000 pixels"


def test_damaged_exif_does_not_cost_the_picture(quarters: Image.Image, encode: Encode) -> None:
    for exif in (b"Exif\x00\x00II*\x00\xff\xff\xff\xff", b"Exif\x00\x00garbage garbage", b"Exif\x00\x00"):
        content = encode(quarters, "JPEG", exif=exif)
        assert check_image(content) == ImageFacts(64, 48, 1, "JPEG", "RGB")


@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP", "GIF", "TIFF", "AVIF", "ICO", "MPO"])
def test_whatever_is_damaged_gives_a_picture_or_a_reason_and_no_noise(
    file_format: str, quarters: Image.Image, encode: Encode, capfd: pytest.CaptureFixture[str]
) -> None:
    options: dict[str, dict[str, Any]] = {
        "TIFF": {"compression": "tiff_adobe_deflate"},
        "MPO": {"save_all": True, "append_images": [quarters]},
    }
    sound = encode(quarters, file_format, **options.get(file_format, {}))
    dice = random.Random(file_format)
    for trial in range(120):
        content = bytearray(sound)
        for _ in range(dice.randint(1, 12)):
            content[dice.randrange(len(content))] ^= 1 << dice.randrange(8)
        if trial % 3 == 0:
            del content[dice.randrange(len(content)) :]
        try:
            check_image(bytes(content))
        except UnusableImage:
            with pytest.raises(UnusableImage):
                ImageFile(bytes(content)).render(image_size=(16, 16), fit="squash")
        else:
            view = draw_view("strong", seed=0, sha256=f"{trial}", index=1)
            assert ImageFile(bytes(content)).render(image_size=(16, 16), fit="crop", view=view).shape == (16, 16, 3)
    assert capfd.readouterr() == ("", "")


def test_a_file_that_memory_cannot_hold_is_an_unusable_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def read_bytes(path: Path) -> bytes:
        raise MemoryError

    (tmp_path / "large.tif").touch()
    monkeypatch.setattr(Path, "read_bytes", read_bytes)
    with pytest.raises(UnusableImage) as caught:
        read_content(tmp_path / "large.tif")
    assert caught.value.reason == "more bytes than memory can hold"


def test_read_content_tells_why_a_file_cannot_be_read(tmp_path: Path) -> None:
    def reason(path: Path) -> str:
        with pytest.raises(UnusableImage) as caught:
            read_content(path)
        return caught.value.reason

    assert reason(tmp_path / "gone.jpg") == "no such file"
    assert reason(tmp_path) == "a folder, not a file"
    (tmp_path / "file").write_bytes(b"x")
    assert reason(tmp_path / "file" / "below.jpg") == "cannot be read: Not a directory"
    os.mkfifo(tmp_path / "pipe.jpg")
    assert reason(tmp_path / "pipe.jpg") == "not a regular file"
    with (tmp_path / "huge.tif").open("wb") as huge:
        huge.truncate(MAX_FILE_BYTES + 1)
    assert reason(tmp_path / "huge.tif") == "larger than 1 GiB"
    assert read_content(tmp_path / "file") == b"x"


def test_pictures_can_be_read_in_threads(quarters: Image.Image, encode: Encode) -> None:
    from concurrent.futures import ThreadPoolExecutor

    content = encode(quarters, "JPEG")
    with ThreadPoolExecutor(8) as pool:
        results = list(
            pool.map(lambda _: ImageFile(content).render(image_size=(16, 16), fit="pad").tobytes(), range(64))
        )
    assert len(set(results)) == 1


def test_the_smallest_and_the_thinnest_pictures_have_a_place(encode: Encode) -> None:
    for size in ((1, 1), (1, 3000), (3000, 1), (2, 1500)):
        content = encode(Image.new("RGB", size, (220, 30, 30)), "PNG")
        for fit in ("squash", "crop", "pad"):
            for index in range(6):
                view = draw_view("strong", seed=0, sha256=str(size), index=index)
                pixels = ImageFile(content).render(image_size=(16, 16), fit=fit, view=view)
                assert pixels.shape == (16, 16, 3)
            if fit != "pad":
                plain = ImageFile(content).render(image_size=(16, 16), fit=fit)
                assert np.unique(plain.reshape(-1, 3), axis=0).tolist() == [[220, 30, 30]]
