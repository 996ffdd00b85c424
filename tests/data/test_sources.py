"""Sources of a prediction: folders, patterns, files and standard input."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from tlkit.data.sources import OUTPUT_MARKER, find_images
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
