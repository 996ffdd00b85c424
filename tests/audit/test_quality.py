from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFilter

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
