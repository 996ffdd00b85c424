"""Paths in tables, as other systems and programs write them."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest

from tlkit.data.formats.table_paths import PathFinder, split_path
from tlkit.errors import DataError


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    for name in (
        "img/00.png",
        "img/Möwe.jpg",
        "img/two.jpg",
        "img/two.png",
        "other/00.png",
        "odd\\name.png",
        "my photos/a%20b+c.png",
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    return tmp_path


def read(folder: Path, *cells: str) -> tuple[list[str], list[str]]:
    finder = PathFinder(folder / "photos.csv")
    paths = [finder.find(cell) for cell in cells]
    notices = finder.describe()
    return [str(path.relative_to(folder)) for path in paths], notices


def test_paths_that_stand_as_they_are_need_no_notice(photos: Path) -> None:
    cells = ["img/00.png", "./img/../other/00.png", str(photos / "img/00.png"), "odd\\name.png"]
    assert read(photos, *cells) == (["img/00.png", "other/00.png", "img/00.png", "odd\\name.png"], [])


@pytest.mark.parametrize(
    ("cell", "file", "reading"),
    [
        ("img\\00.png", "img/00.png", "paths with backslashes"),
        (".\\img/..\\other\\00.png", "other/00.png", "paths with backslashes"),
        ("IMG\\00.PNG", "img/00.png", "paths with backslashes"),
        ("IMG/00.PNG", "img/00.png", "paths in a different case or Unicode form"),
        (
            unicodedata.normalize("NFD", "img/Möwe.jpg"),
            "img/Möwe.jpg",
            "paths in a different case or Unicode form",
        ),
        ("img/M%C3%B6we.jpg", "img/Möwe.jpg", "percent-encoding, such as %20 for a space"),
        ("My%20Photos\\a%2520b+c.png", "my photos/a%20b+c.png", "percent-encoding, such as %20 for a space"),
        ("img/00", "img/00.png", "paths without a suffix"),
        ("img/Möwe", "img/Möwe.jpg", "paths without a suffix"),
    ],
)
def test_a_path_is_read_otherwise_if_that_leads_to_one_file(photos: Path, cell: str, file: str, reading: str) -> None:
    assert read(photos, cell) == ([file], [f"photos.csv: 1 file was found by reading {reading}."])


def test_addresses_of_files_and_the_home_folder_are_understood(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(photos))
    cells = [f"file://{photos}/img/00.png", f"file://localhost{photos}/img/M%C3%B6we.jpg", "~/other/00.png"]
    assert read(photos, *cells) == (
        ["img/00.png", "img/Möwe.jpg", "other/00.png"],
        [
            "photos.csv: 2 files were found by reading file:// URLs.",
            "photos.csv: 1 file was found by reading paths from the home folder.",
        ],
    )


@pytest.mark.parametrize(
    "cell",
    [
        "img/two",
        "img/none.png",
        "x" * 5000,
        "a\0b",
        "~nobody/x.png",
        "img/00.png/x",
        "x/" * 1900 + "y.png",
        "file://[x/y",
        "file:",
        "%00",
    ],
)
def test_a_path_that_leads_to_no_file_or_several_stays_as_it_is(photos: Path, cell: str) -> None:
    finder = PathFinder(photos / "photos.csv")
    assert finder.find(cell) == photos / cell
    assert finder.describe() == []


def test_names_that_differ_by_case_only_are_not_confused(photos: Path) -> None:
    (photos / "img" / "MÖWE.jpg").write_bytes(b"")
    if len(list((photos / "img").iterdir())) < 5:
        pytest.skip("the file system knows no case")
    assert read(photos, "img/MÖWE.jpg", "img/möwe.jpg")[0] == ["img/MÖWE.jpg", "img/möwe.jpg"]


@pytest.mark.parametrize(
    ("cell", "hint"),
    [
        ("C:\\Users\\me\\img\\00.png", "make the paths relative to the table's folder: img/00.png exists."),
        ("/home/me/photos/img/00.png", "make the paths relative to the table's folder: img/00.png exists."),
        (
            "D:/photos/7.png",
            "the paths come from another location: make them relative to the table's folder, or move the table.",
        ),
        (
            "https://example.com/img/00.png",
            "download the images, and use file paths, or URLs of a bucket such as s3://BUCKET/KEY.",
        ),
    ],
)
def test_paths_of_another_place_are_an_error_with_the_way_out(photos: Path, cell: str, hint: str) -> None:
    with pytest.raises(DataError) as caught:
        read(photos, cell, cell)
    assert str(caught.value) == (
        f"{photos}/photos.csv: none of the files exists; the first: {cell}.\n"
        f"  Expected: paths relative to {photos}, with / between folders\n"
        f"  Fix: {hint}"
    )


def test_some_paths_of_another_place_are_told(photos: Path) -> None:
    finder = PathFinder(photos / "photos.csv")
    for cell in ("img/00.png", "/mnt/img/00.png"):
        finder.find(cell)
    assert finder.describe() == [
        "photos.csv: 1 path leads to no file (/mnt/img/00.png): make the paths relative to the table's folder: "
        "img/00.png exists."
    ]


def test_a_path_is_split_whichever_system_it_is_written_for() -> None:
    assert split_path("C:\\a/b\\\\c.png") == ("C:", "a", "b", "c.png")
