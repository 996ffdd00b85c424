from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from tlkit.audit.quality import find_poor_pictures
from tlkit.data.file_index import FileIndex
from tlkit.data.looks import Looks, read_looks
from tlkit.data.manifest import ImageRecord

NUM_PICTURES = 30


@contextmanager
def no_progress(total: int) -> Iterator[object]:
    yield lambda count: None


def draw(seed: int, size: tuple[int, int] = (240, 180)) -> Image.Image:
    """Draw coloured areas with a fine grain."""
    rng = np.random.default_rng(seed)
    areas = Image.fromarray(rng.integers(40, 216, (3, 4, 3), np.uint8)).resize(size, Image.Resampling.NEAREST)
    grain = rng.integers(-40, 41, (size[1], size[0], 1))
    return Image.fromarray(np.clip(np.asarray(areas) + grain, 0, 255).astype(np.uint8))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("photos")
    for number in range(NUM_PICTURES):
        draw(number).save(root / f"{number:02}.png")
    draw(0).filter(ImageFilter.GaussianBlur(5)).save(root / "blurred.png")
    draw(1).point([value // 12 for value in range(256)] * 3).save(root / "dark.png")
    draw(2).point([255 - value // 12 for value in range(256)] * 3).save(root / "bright.png")
    draw(3, (30, 20)).save(root / "tiny.png")
    Image.new("RGB", (240, 180), (200, 180, 40)).save(root / "blank.png")
    return root


def look(folder: Path) -> tuple[list[ImageRecord], Looks]:
    paths = sorted(folder.glob("*.png"))
    facts = FileIndex(folder.parent / "index").look(paths)
    records = [
        ImageRecord(path, each.sha256, each.width, each.height, "train", "cat")
        for path, each in zip(paths, facts, strict=True)
    ]
    return records, read_looks(records, progress=no_progress)  # type: ignore[arg-type]


def test_each_poor_picture_is_found_once_and_no_other(folder: Path) -> None:
    found = find_poor_pictures(*look(folder))
    assert sorted((finding.kind, finding.path.stem) for finding in found) == [
        ("blank", "blank"),
        ("blurred", "blurred"),
        ("bright", "bright"),
        ("dark", "dark"),
        ("tiny", "tiny"),
    ]
    evidence = {finding.kind: finding.evidence for finding in found}
    assert evidence["tiny"] == "It has 30 × 20 pixels."
    assert evidence["blank"] == "It has hardly more than a single colour."
    assert all(0.5 <= finding.score <= 1 for finding in found)


def test_a_set_of_dark_pictures_is_not_accused(tmp_path: Path) -> None:
    for number in range(12):
        draw(number).point([value // 12 for value in range(256)] * 3).save(tmp_path / f"{number:02}.png")
    assert find_poor_pictures(*look(tmp_path)) == []


@pytest.mark.parametrize("kind", ["blank", "dark", "bright", "tiny", "text"])
def test_half_a_set_that_failed_is_found(tmp_path: Path, kind: str) -> None:
    failed = {
        "blank": lambda number: Image.new("RGB", (240, 180), (200, 180, number)),
        "dark": lambda number: draw(number).point([value // 12 for value in range(256)] * 3),
        "bright": lambda number: draw(number).point([255 - value // 12 for value in range(256)] * 3),
        "tiny": lambda number: draw(number, (30, 20)),
        "text": draw_page,
    }[kind]
    for number in range(10):
        draw(number).save(tmp_path / f"{number:02}.png")
        failed(number + 10).save(tmp_path / f"{number + 10:02}.png")
    found = find_poor_pictures(*look(tmp_path))
    assert sorted((finding.kind, finding.path.stem) for finding in found) == [(kind, str(10 + n)) for n in range(10)]


def test_a_set_of_pages_is_not_accused_of_being_text(tmp_path: Path) -> None:
    for number in range(12):
        draw_page(number).save(tmp_path / f"{number:02}.png")
    assert find_poor_pictures(*look(tmp_path)) == []


def draw_page(seed: int) -> Image.Image:
    """Draw lines of text."""
    page = Image.new("L", (500, 700), 250)
    rng = np.random.default_rng(seed)
    lines = [" ".join("pond" * int(length) for length in rng.integers(1, 3, 8)) for _ in range(24)]
    ImageDraw.Draw(page).text((30, 30), "\n".join(lines), fill=20, font=ImageFont.load_default(16))
    return page
