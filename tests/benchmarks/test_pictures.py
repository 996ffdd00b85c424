"""Pictures to work on."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from benchmarks.side_by_side.pictures import draw_photos, draw_small_pictures, link_photos


def list_files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def test_drawn_photos_have_the_size_of_photos_in_two_classes(tmp_path: Path) -> None:
    draw_photos(tmp_path, 3)
    paths = list_files(tmp_path)
    assert [path.parent.name for path in paths] == ["class_0", "class_0", "class_1"]
    with Image.open(paths[0]) as picture:
        assert picture.size == (500, 375)
    # As many bytes as photos have, so that decoding takes as long.
    assert all(40_000 < path.stat().st_size < 150_000 for path in paths)


def test_another_seed_draws_other_photos(tmp_path: Path) -> None:
    for seed in (0, 1):
        draw_photos(tmp_path / str(seed), 2, seed=seed)
    assert len({path.read_bytes() for path in list_files(tmp_path)}) == 4


def test_small_pictures_all_differ(tmp_path: Path) -> None:
    draw_small_pictures(tmp_path, 600, edge_px=16, num_classes=10)
    paths = list_files(tmp_path)
    assert len({path.read_bytes() for path in paths}) == 600
    assert len({path.parent for path in paths}) == 10


def test_photos_are_linked_and_the_first_ones_may_be_passed_over(tmp_path: Path) -> None:
    draw_small_pictures(tmp_path / "mine", 6, edge_px=16)
    assert link_photos(tmp_path / "mine", tmp_path / "a", 4) == 4
    assert link_photos(tmp_path / "mine", tmp_path / "b", 4, skip=4) == 2
    linked = {path.resolve() for folder in ("a", "b") for path in list_files(tmp_path / folder)}
    assert linked == set(list_files(tmp_path / "mine"))


def test_a_folder_without_photos_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="fewer than 2 photos"):
        link_photos(tmp_path, tmp_path / "links", 4)
