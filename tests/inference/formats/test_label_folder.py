"""A folder with a file for each image."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from tlkit.data.sources import OUTPUT_MARKER
from tlkit.errors import RunError
from tlkit.inference.formats.label_folder import check_label_folder, find_relative, open_label_folder


def list_files(folder: Path) -> list[str]:
    return sorted(
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_file() and not path.name.startswith(".")
    )


def write(folder: Path, images: list[str], roots: list[str]) -> list[str]:
    """Write a file for each image and return the warnings."""
    warnings: list[str] = []
    with open_label_folder(folder, ".txt", roots=roots, warn=warnings.append) as labels:
        for image in images:
            labels.write(image, image.encode())
    return warnings


def test_files_lie_like_their_images_below_their_sources(tmp_path: Path) -> None:
    images = ["new/a/cat.jpg", "new/b/cat.jpg", "s3://bucket/more/c/cat.tar.jpg", "/elsewhere/dog.png"]
    warnings = write(tmp_path / "labels", images, ["new", "s3://bucket/more"])
    assert list_files(tmp_path / "labels") == ["a/cat.txt", "b/cat.txt", "c/cat.tar.txt", "dog.txt"]
    assert warnings == []
    assert (tmp_path / "labels" / OUTPUT_MARKER).is_file()


def test_images_of_the_same_name_are_numbered_and_none_is_lost(tmp_path: Path) -> None:
    images = ["new/cat.jpg", "new/cat.png", "new/CAT.jpg", "elsewhere/cat.jpg", "new/cat-2.jpg"]
    warnings = write(tmp_path / "labels", images, ["new"])
    names = ["CAT-3.txt", "cat-2-2.txt", "cat-2.txt", "cat-4.txt", "cat.txt"]
    assert list_files(tmp_path / "labels") == names
    assert {(tmp_path / "labels" / name).read_text() for name in names} == set(images)
    assert warnings == [
        "new/cat.png: cat.txt is taken, so its labels are in cat-2.txt.",
        "the labels of 4 files are numbered, because of equal names.",
    ]


def test_images_that_cannot_be_read_are_listed(tmp_path: Path) -> None:
    with open_label_folder(tmp_path / "labels", ".txt", roots=[], warn=pytest.fail) as labels:
        labels.write_error("a, b.jpg", "empty file")
        labels.write_error("c.jpg", "not an image")
    with (tmp_path / "labels" / "errors.csv").open(newline="") as file:
        assert list(csv.reader(file)) == [["path", "error"], ["a, b.jpg", "empty file"], ["c.jpg", "not an image"]]


@pytest.mark.parametrize(
    ("path", "roots", "relative"),
    [
        ("new/a/cat.jpg", ["new"], "a/cat.jpg"),
        ("new/a/cat.jpg", ["new/"], "a/cat.jpg"),
        ("new/a/cat.jpg", ["."], "new/a/cat.jpg"),
        ("/data/cat.jpg", ["."], "cat.jpg"),
        ("../cat.jpg", ["."], "cat.jpg"),
        ("newer/cat.jpg", ["new"], "cat.jpg"),
        ("/data/a/cat.jpg", ["/data"], "a/cat.jpg"),
        ("/data/../etc/cat.jpg", ["/data"], "cat.jpg"),
        ("/data/a/cat.jpg", ["/"], "data/a/cat.jpg"),
    ],
)
def test_a_name_is_relative_to_the_source_and_never_leaves_the_folder(
    path: str, roots: list[str], relative: str
) -> None:
    assert find_relative(path, roots) == relative


def test_a_folder_with_anything_in_it_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "labels"
    check_label_folder(folder, data_folders=[])
    write(folder, ["cat.jpg"], [])
    with pytest.raises(RunError) as caught:
        check_label_folder(folder, data_folders=[])
    assert str(caught.value) == (
        f"--out {folder} is not empty.\n"
        "  Expected: a new or empty folder, so that its files are those of one prediction\n"
        f"  Fix: --out {folder}-2, or remove it."
    )


def test_a_file_in_its_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / "labels").write_text("")
    with pytest.raises(RunError, match=r"labels is a file\."):
        check_label_folder(tmp_path / "labels", data_folders=[])


def test_two_processes_never_write_into_the_same_folder(tmp_path: Path) -> None:
    with (
        open_label_folder(tmp_path / "labels", ".txt", roots=[], warn=pytest.fail),
        pytest.raises(RunError, match="another tlkit process is using this folder"),
    ):
        write(tmp_path / "labels", ["cat.jpg"], [])


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(RunError) as caught:
        write(tmp_path / "labels", ["new/a.jpg", "new/a.txt/b.jpg"], ["new"])
    assert str(caught.value) == (
        f"{tmp_path / 'labels' / 'a.txt'}: {caught.value.__cause__.strerror}.\n"  # type: ignore[union-attr]
        "  Expected: free disk space and a writable folder\n"
        f"  Fix: fix this, and run the same command again. The files so far are in {tmp_path / 'labels'}."
    )
