"""A folder that files arrive in: each is given once, when it is complete."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from tlkit.data import hot_folder
from tlkit.data.hot_folder import HotFolder


def age(path: Path, seconds: float = 60.0) -> Path:
    """Let a file have been written a while ago."""
    before = time.time() - seconds
    os.utime(path, (before, before))
    return path


@pytest.fixture
def folder(tmp_path: Path) -> HotFolder:
    return HotFolder(tmp_path, [], warn=pytest.fail)


def test_a_file_moved_in_is_complete_at_once_and_given_once(folder: HotFolder, tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    path = tmp_path / "sub" / "a.png"
    path.write_bytes(b"whole")
    age(path)
    assert folder.look() == [path]
    assert folder.is_done(path, is_readable=True)
    assert folder.look() == []


def test_a_file_that_grows_is_complete_when_it_stays_the_same(folder: HotFolder, tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    for content in (b"", b"1", b"12"):
        path.write_bytes(content)
        assert folder.look() == []
    assert folder.look() == [path]


def test_files_that_are_done_hidden_or_no_images_are_left_alone(tmp_path: Path) -> None:
    for name in ("done.png", ".hidden.png", "notes.txt", "new.png"):
        age_of = tmp_path / name
        age_of.write_bytes(b"text")
        age(age_of)
    folder = HotFolder(tmp_path, [str(tmp_path / "done.png")], warn=pytest.fail)
    assert folder.look() == [tmp_path / "new.png"]


def test_a_file_without_a_suffix_is_looked_at_again_only_when_it_changes(folder: HotFolder, tmp_path: Path) -> None:
    path = tmp_path / "upload"
    path.write_bytes(b"text")
    age(path)
    assert folder.look() == []
    path.write_bytes(b"\x89PNG\r\n\x1a\n and more")
    age(path)
    assert folder.look() == [path]


def test_a_file_that_cannot_be_read_is_tried_again_for_a_while(
    folder: HotFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(b"half")
    age(path)
    assert folder.look() == [path]
    assert not folder.is_done(path, is_readable=False)
    assert folder.look() == [path]
    monkeypatch.setattr(hot_folder, "PATIENCE_SECONDS", 0.0)
    assert folder.is_done(path, is_readable=False)
    assert folder.look() == []


def test_a_file_that_was_taken_away_is_forgotten_and_may_come_back(folder: HotFolder, tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(b"1")
    age(path)
    assert folder.look() == [path]
    path.unlink()
    assert not folder.is_done(path, is_readable=False)
    path.write_bytes(b"2")
    age(path)
    assert folder.look() == [path]


def test_a_folder_that_is_gone_is_named_and_watched_on(tmp_path: Path) -> None:
    warnings: list[str] = []
    place = tmp_path / "drive"
    folder = HotFolder(place, [], warn=warnings.append)
    assert folder.look() == []
    assert warnings == [f"{place}: a folder that cannot be read: No such file or directory."]
    place.mkdir()
    (place / "a.png").write_bytes(b"1")
    age(place / "a.png")
    assert folder.look() == [place / "a.png"]


def test_watching_waits_only_when_there_is_nothing(tmp_path: Path) -> None:
    waits: list[float] = []
    (tmp_path / "a.png").write_bytes(b"1")
    found = next(HotFolder(tmp_path, [], warn=pytest.fail, seconds=0.5, wait=waits.append).watch())
    assert found == [tmp_path / "a.png"]
    assert waits == [0.5]
