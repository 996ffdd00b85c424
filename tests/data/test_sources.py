"""Sources of a prediction: folders, patterns, files and standard input."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from tlkit.data.sources import OUTPUT_MARKER, FoundFile, find_images, list_folder, walk_files
from tlkit.errors import DataError


@pytest.fixture
def photos(
    tmp_path: Path, quarters: Image.Image, encode: Callable[..., bytes], monkeypatch: pytest.MonkeyPatch
) -> Path:
    """A folder `photos` in the working folder, with images, other files, hidden ones and tlkit's own output."""
    png = encode(quarters, "PNG")
    for name in ("b.jpg", "a/2.PNG", "a/1", ".hidden/4.png", "run/5.png", "sub/[odd].png"):
        (tmp_path / "photos" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "photos" / name).write_bytes(png)
    (tmp_path / "photos" / "run" / OUTPUT_MARKER).touch()
    (tmp_path / "photos" / "notes.txt").write_text("no image")
    os.mkfifo(tmp_path / "photos" / "pipe")
    monkeypatch.chdir(tmp_path)
    return Path("photos")


def find(*sources: str, stdin: str = "") -> list[str]:
    return [str(path) for group in find_images(sources, io.BytesIO(stdin.encode())).groups for path in group]


def test_a_folder_gives_what_looks_like_an_image(photos: Path) -> None:
    assert find("photos") == ["photos/b.jpg", "photos/a/1", "photos/a/2.PNG", "photos/sub/[odd].png"]


def test_broken_links_and_folders_that_cannot_be_read_do_not_go_unseen(
    photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (photos / "c.jpg").symlink_to("gone.jpg")
    scandir = os.scandir

    def refuse_a(path: Path) -> os._ScandirIterator[str]:
        if Path(path).name == "a":
            raise PermissionError(13, "Permission denied")
        return scandir(str(path))

    monkeypatch.setattr(os, "scandir", refuse_a)
    assert find("photos") == ["photos/b.jpg", "photos/c.jpg", "photos/a", "photos/sub/[odd].png"]


def test_a_file_that_is_named_is_taken_whatever_it_looks_like(photos: Path) -> None:
    assert find("photos/notes.txt", "photos/sub/[odd].png") == ["photos/notes.txt", "photos/sub/[odd].png"]


def test_what_a_network_drive_keeps_is_found_only_if_it_is_spelled_out(photos: Path) -> None:
    thumb = photos / "a/@eaDir/2.PNG/thumb.png"
    thumb.parent.mkdir(parents=True)
    thumb.write_bytes((photos / "a/1").read_bytes())
    assert find("photos/a") == find("photos/a/**/*", "photos/a/*") == ["photos/a/1", "photos/a/2.PNG"]
    assert find("photos/a/@eaDir") == find("photos/a/@eaDir/*/*.png") == [thumb.as_posix()]


def test_patterns_are_expanded_in_order(photos: Path) -> None:
    assert find("photos/**/*.png") == ["photos/run/5.png", "photos/sub/[odd].png"]
    assert find("photos/[ab]*") == ["photos/a/1", "photos/a/2.PNG", "photos/b.jpg"]


def test_lines_of_standard_input_are_paths(photos: Path) -> None:
    assert find("-", stdin="./photos/b.jpg\r\n\nwith blank .jpg\n./photos/b.jpg") == [
        "./photos/b.jpg",
        "",
        "with blank .jpg",
        "./photos/b.jpg",
    ]


def test_order_is_kept_and_duplicates_are_dropped(photos: Path) -> None:
    assert find("photos/sub", "photos/b.jpg", "./photos/b.jpg", "photos/a/../b.jpg", "photos") == [
        "photos/sub/[odd].png",
        "photos/b.jpg",
        "photos/a/1",
        "photos/a/2.PNG",
    ]


@pytest.mark.parametrize("source", ["gone", "photos/*.tiff"])
def test_a_missing_source_is_an_error(photos: Path, source: str) -> None:
    with pytest.raises(DataError) as caught:
        find("photos", source)
    assert str(caught.value) == (
        f"{source}: no such file or folder.\n"
        "  Expected: a folder, a file, a pattern such as 'photos/**/*.jpg', or -\n"
        "  Fix: check the path."
    )


def test_nothing_at_all_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        find(str(tmp_path))
    assert str(caught.value) == (
        f"{tmp_path}: no images found.\n"
        "  Expected: folders with images, patterns, image files, or - for paths on standard input\n"
        "  Fix: check the path; hidden folders and tlkit's own output are skipped."
    )


def test_standard_input_stands_where_it_is_named_and_its_number_is_not_known(photos: Path) -> None:
    found = find_images(["photos/sub", "photos/b.jpg", "-", "photos/a"], io.BytesIO(b"x.png\n"))
    assert found.number is None
    assert [list(map(str, group)) for group in found.groups] == [
        ["photos/sub/[odd].png", "photos/b.jpg"],
        ["x.png"],
        ["photos/a/1", "photos/a/2.PNG"],
    ]
    assert find_images(["photos"]).number == 4


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
