from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFilter

from tlkit.data.looks import Looks, measure_sharpness, read_looks
from tlkit.data.manifest import ImageRecord


@contextmanager
def no_progress(total: int) -> Iterator[Callable[[int], None]]:
    yield lambda count: None


def read(*paths: Path) -> Looks:
    records = [ImageRecord(path, hashlib.sha256(path.read_bytes()).hexdigest(), 1, 1, "train", "x") for path in paths]
    return read_looks(records, progress=no_progress)


def draw_noise(size: tuple[int, int], seed: int = 0) -> Image.Image:
    width, height = size
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8))


def test_each_file_is_described_in_its_row(tmp_path: Path) -> None:
    Image.new("RGB", (120, 90), "white").save(tmp_path / "white.png")
    Image.new("L", (30, 50), 51).save(tmp_path / "dark.png")
    halves = Image.new("L", (400, 300), 0)
    halves.paste(255, (200, 0, 400, 300))
    halves.save(tmp_path / "halves.jpg", quality=95)
    looks = read(tmp_path / "white.png", tmp_path / "dark.png", tmp_path / "halves.jpg")
    assert looks.is_usable.tolist() == [True, True, True]
    assert (looks.width.tolist(), looks.height.tolist()) == ([120, 30, 400], [90, 50, 300])
    np.testing.assert_allclose(looks.brightness, [1, 0.2, 0.5], atol=0.01)
    np.testing.assert_allclose(looks.contrast, [0, 0, 0.5], atol=0.01)
    assert looks.sharpness[:2].tolist() == [0, 0]
    assert looks.grey.shape == (3, 64, 64)
    assert looks.grey[2, :, :30].max() < 10
    assert looks.grey[2, :, 34:].min() > 245
    assert np.isnat(looks.taken).all()
    assert (looks.cameras, looks.failures) == (("", "", ""), ())


def test_a_picture_is_stretched_upright_to_a_square(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[274] = 6
    lying = Image.new("RGB", (80, 40), "black")
    lying.paste("white", (0, 0, 40, 40))  # the left half is the upper one of the upright picture
    lying.save(tmp_path / "lying.jpg", quality=95, exif=exif)
    looks = read(tmp_path / "lying.jpg")
    assert (looks.width[0], looks.height[0]) == (40, 80)
    assert looks.grey[0, :28].min() > 240
    assert looks.grey[0, 36:].max() < 15


def test_the_time_and_the_camera_come_from_exif(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[306] = "2026:01:02 03:04:05"
    exif[272] = "Pixel 7"
    draw_noise((20, 20)).save(tmp_path / "changed.jpg", exif=exif)
    exif.get_ifd(34665)[36867] = "2025:12:31 23:59:58"
    draw_noise((20, 20)).save(tmp_path / "taken.jpg", exif=exif)
    exif.get_ifd(34665)[36867] = "0000:00:00 00:00:00"
    draw_noise((20, 20)).save(tmp_path / "unset.jpg", exif=exif)
    looks = read(tmp_path / "changed.jpg", tmp_path / "taken.jpg", tmp_path / "unset.jpg")
    assert looks.taken.astype(str).tolist() == ["2026-01-02T03:04:05", "2025-12-31T23:59:58", "NaT"]
    assert looks.cameras == ("Pixel 7", "Pixel 7", "Pixel 7")


def test_files_with_the_same_pixels_share_a_hash(tmp_path: Path) -> None:
    picture = draw_noise((40, 30))
    picture.save(tmp_path / "small.png", optimize=True)
    picture.save(tmp_path / "large.png", compress_level=0)
    picture.save(tmp_path / "other.jpg", quality=90)
    small, large, other = read(*(tmp_path / name for name in ("small.png", "large.png", "other.jpg"))).pixel_hash
    assert small == large != other


def test_a_file_that_cannot_be_decoded_or_has_changed_is_a_failure_with_its_reason(tmp_path: Path) -> None:
    for name in ("good", "changed", "cut"):
        draw_noise((40, 30)).save(tmp_path / f"{name}.png")
    cut = tmp_path / "cut.png"
    cut.write_bytes(cut.read_bytes()[:200])
    records = [
        ImageRecord(tmp_path / f"{name}.png", hashlib.sha256(content).hexdigest(), 1, 1, "train", "x")
        for name, content in [("changed", b"other"), ("good", (tmp_path / "good.png").read_bytes())]
    ]
    records += [ImageRecord(cut, hashlib.sha256(cut.read_bytes()).hexdigest(), 1, 1, "train", "x")]
    looks = read_looks(records, progress=no_progress)
    assert looks.is_usable.tolist() == [False, True, False]
    assert [(item.path.name, item.reason) for item in looks.failures] == [
        ("changed.png", "changed since it was checked"),
        ("cut.png", "truncated PNG file"),
    ]
    assert looks.grey[0].max() == looks.width[0] == 0


def test_a_tiny_picture_is_enlarged_without_a_blur(tmp_path: Path) -> None:
    tiny = draw_noise((32, 32)).convert("L")
    tiny.save(tmp_path / "tiny.png")
    assert (read(tmp_path / "tiny.png").grey[0] == np.kron(np.asarray(tiny), np.ones((2, 2), np.uint8))).all()


@pytest.mark.parametrize("contrast", [1.0, 0.1])
def test_sharpness_falls_with_blur_whatever_the_contrast(contrast: float) -> None:
    edges = Image.fromarray(
        np.kron(np.random.default_rng(1).integers(0, 2, (16, 16), np.uint8) * 255, np.ones((12, 12), np.uint8))
    )
    found = [
        measure_sharpness(np.asarray(edges.filter(ImageFilter.GaussianBlur(radius)), np.float32) / 255 * contrast)
        for radius in (0, 1, 2, 4, 8)
    ]
    assert found == sorted(found, reverse=True)
    assert found[0] > 0.8
    assert found[-1] < 0.2


def test_a_picture_blurred_in_one_direction_only_is_not_sharp() -> None:
    rows = np.random.default_rng(2).random((200, 1)).astype(np.float32)
    moved = np.repeat(rows, 200, axis=1) + np.linspace(0, 0.5, 200, dtype=np.float32)
    assert measure_sharpness(moved) < 0.1
    assert measure_sharpness(rows + rows.T) > 0.7
