"""Walking folders: sorted, hidden and own output passed over, links followed once."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tlkit.data.file_walk import OUTPUT_MARKER, FoundFile, list_folder, walk_files


def make_files(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def names_below(root: Path) -> list[str]:
    return [file.path.relative_to(root).as_posix() for file in walk_files(root)]


def test_files_come_sorted_a_folder_before_its_subfolders(tmp_path: Path) -> None:
    make_files(tmp_path, "b/2", "b/1", "a/z/9", "a/3", "c")
    assert names_below(tmp_path) == ["c", "a/3", "a/z/9", "b/1", "b/2"]


def test_hidden_names_and_own_output_are_passed_over(tmp_path: Path) -> None:
    make_files(tmp_path, "a/1", ".git/2", "a/.DS_Store", "__MACOSX/._1", f"run/{OUTPUT_MARKER}", "run/preview.png")
    assert names_below(tmp_path) == ["a/1"]


@pytest.mark.parametrize(
    "name",
    [
        *("@eaDir", "@tmp", "#recycle", "#snapshot", "@Recycle", "@Recently-Snapshot", "$RECYCLE.BIN", "$Recycle.Bin"),
        *("System Volume Information", "lost+found", "LOST+FOUND", "__MACOSX", "Network Trash Folder", "_gsdata_"),
        *("FOUND.000", "RECYCLER/S-1-5-21-1004336348-1177238915-682003330-512", "__pycache__"),
    ],
)
def test_what_systems_keep_among_pictures_is_skipped_at_any_depth(tmp_path: Path, name: str) -> None:
    make_files(tmp_path, "cat/1.jpg", f"{name}/1.jpg", f"cat/{name}/1.jpg/thumb.jpg")
    skipped: list[Path] = []
    assert [file.path for file in walk_files(tmp_path, skipped=skipped)] == [tmp_path / "cat/1.jpg"]
    assert skipped == [tmp_path / name, tmp_path / "cat" / name]


@pytest.mark.parametrize(
    "name",
    [
        *("Thumbs.db", "desktop.ini", "ehthumbs.db", "Picasa.ini", "Icon\r", "1.jpg:Zone.Identifier"),
        *("1.jpg@SynoEAStream", "._1.jpg", ".DS_Store", ".picasaoriginals/1.jpg", ".Trash-1000/1.jpg"),
        *(".@__thumb/1.jpg", ".AppleDouble/1.jpg", ".stfolder/1", ".dropbox.cache/1.jpg"),
    ],
)
def test_files_that_systems_keep_are_skipped(tmp_path: Path, name: str) -> None:
    make_files(tmp_path, "cat/1.jpg", f"cat/{name}")
    assert names_below(tmp_path) == ["cat/1.jpg"]


@pytest.mark.parametrize("name", ["lost", "found", "recycle", "recycled", "@nasa", "tmp", "#1", "thumbs", "system"])
def test_names_that_merely_look_like_a_systems_are_walked(tmp_path: Path, name: str) -> None:
    make_files(tmp_path, f"{name}/1.jpg")
    assert names_below(tmp_path) == [f"{name}/1.jpg"]


def test_a_marked_folder_that_is_asked_for_itself_is_walked(tmp_path: Path) -> None:
    make_files(tmp_path, OUTPUT_MARKER, "a/1")
    assert names_below(tmp_path) == ["a/1"]


def test_links_are_followed_and_cycles_end(tmp_path: Path) -> None:
    make_files(tmp_path, "data/a/1", "elsewhere/2")
    (tmp_path / "data" / "b").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "data" / "a" / "back").symlink_to(tmp_path / "data")
    (tmp_path / "data" / "c").symlink_to(tmp_path / "data" / "c")
    (tmp_path / "data" / "3").symlink_to(tmp_path / "elsewhere" / "2")
    assert names_below(tmp_path / "data") == ["3", "c", "a/1", "b/2"]


def test_what_cannot_be_read_is_a_file_with_a_problem(tmp_path: Path) -> None:
    (tmp_path / "broken").symlink_to(tmp_path / "gone")
    (tmp_path / "circle").symlink_to(tmp_path / "circle")
    os.mkfifo(tmp_path / "pipe")
    assert list_folder(tmp_path).files == (
        FoundFile(tmp_path / "broken", "a broken link"),
        FoundFile(tmp_path / "circle", "cannot be read: Too many levels of symbolic links"),
        FoundFile(tmp_path / "pipe", "not a regular file"),
    )


def test_a_folder_that_cannot_be_read_is_a_file_with_a_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_files(tmp_path, "a/1", "b/2")
    scandir = os.scandir

    def refuse_a(path: Path) -> os._ScandirIterator[str]:
        if Path(path).name == "a":
            raise PermissionError(13, "Permission denied")
        return scandir(str(path))

    monkeypatch.setattr(os, "scandir", refuse_a)
    assert list(walk_files(tmp_path)) == [
        FoundFile(tmp_path / "a", "a folder that cannot be read: Permission denied"),
        FoundFile(tmp_path / "b" / "2"),
    ]
