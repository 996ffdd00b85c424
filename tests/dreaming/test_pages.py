from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from tlkit.dreaming.pages import DreamFolder, magnify_change
from tlkit.dreaming.painting import Frame


def test_pictures_get_free_names_and_old_ones_go(tmp_path: Path) -> None:
    (tmp_path / "class-old.png").write_bytes(b"x")
    folder = DreamFolder(tmp_path)
    assert list(tmp_path.iterdir()) == []
    names = [folder.choose_path(name).name for name in ("class-a/b", "class-a b", "Class-a-b")]
    assert names == ["class-a-b.png", "class-a-b-2.png", "Class-a-b-3.png"]


def test_the_page_shows_what_a_picture_was_made_from_and_how_it_grew(tmp_path: Path) -> None:
    folder = DreamFolder(tmp_path)
    frames = [Frame(step, 1 / step, np.full((8, 8, 3), 30 * step, np.uint8)) for step in (1, 2)]
    path = folder.choose_path("photo")
    for frame in frames:
        folder.save(path, frame.picture)
    folder.add_growth("photo, again", path, frames, {"photo": frames[0].picture})
    with Image.open(path) as saved:
        assert saved.getpixel((0, 0)) == (60, 60, 60)
    page = folder.write_page("Dreams of tiny", "Made by tlkit.", {"pictures": "1"}, {}).read_text("utf-8")
    for words in ("photo, again", "The last one is photo.png.", "1 steps", "2 steps", "loss 0.5"):
        assert words in page


def test_a_change_is_shown_around_grey() -> None:
    before, after = np.full((1, 1, 3), 10, np.uint8), np.array([[[11, 10, 0]]], np.uint8)
    assert magnify_change(before, after).tolist() == [[[144, 128, 0]]]
