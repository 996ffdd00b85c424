"""Copies in one folder per class."""

from __future__ import annotations

from pathlib import Path

import pytest

from tlkit.reports.sorting import ClassFolders, number_name, numbered, safe_name


@pytest.mark.parametrize(
    ("class_name", "folder"),
    [
        ("golden retriever", "golden retriever"),
        ("Größe 中", "Größe 中"),
        ("a/b\\c:d", "a_b_c_d"),
        ("../../etc", "_._.._etc"),
        ("..", "__"),
        (".", "_"),
        (".hidden", "_hidden"),
        ("dot.", "dot_"),
        ("NUL", "NUL_"),
        ("com1.x", "com1.x_"),
        ("tab\there", "tab_here"),
        ("   ", "___"),
    ],
)
def test_a_class_name_becomes_one_harmless_folder_name(class_name: str, folder: str) -> None:
    assert safe_name(class_name) == folder


def test_a_long_class_name_fits_a_file_system() -> None:
    assert len(safe_name("中" * 200).encode()) <= 200


def test_copies_keep_content_and_time_and_never_replace_one_another(tmp_path: Path) -> None:
    for folder, content in (("a", b"first"), ("b", b"second")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "cat.jpg").write_bytes(content)
    classes = ClassFolders(tmp_path / "sorted", ["cat"])
    copies = [classes.copy(tmp_path / folder / "cat.jpg", "cat") for folder in "ab"]
    assert [copy.relative_to(tmp_path).as_posix() for copy in copies] == ["sorted/cat/cat.jpg", "sorted/cat/cat-2.jpg"]
    assert [copy.read_bytes() for copy in copies] == [b"first", b"second"]
    assert copies[0].stat().st_mtime == (tmp_path / "a" / "cat.jpg").stat().st_mtime


def test_files_that_were_there_before_stay(tmp_path: Path) -> None:
    (tmp_path / "sorted" / "cat").mkdir(parents=True)
    (tmp_path / "sorted" / "cat" / "x.jpg").write_bytes(b"old")
    (tmp_path / "x.jpg").write_bytes(b"new")
    copy = ClassFolders(tmp_path / "sorted", ["cat"]).copy(tmp_path / "x.jpg", "cat")
    assert copy.name == "x-2.jpg"
    assert (tmp_path / "sorted" / "cat" / "x.jpg").read_bytes() == b"old"


def test_classes_whose_folders_would_be_one_get_numbers(tmp_path: Path) -> None:
    (tmp_path / "x.jpg").write_bytes(b"x")
    classes = ClassFolders(tmp_path / "sorted", ["a/b", "a:b", "A_B"])
    folders = [classes.copy(tmp_path / "x.jpg", name).parent.name for name in ("a/b", "a:b", "A_B")]
    assert folders == ["a_b", "a_b-2", "A_B-3"]


def test_a_class_folder_is_made_only_for_an_image(tmp_path: Path) -> None:
    ClassFolders(tmp_path / "sorted", ["cat", "dog"])
    assert not (tmp_path / "sorted").exists()


def test_a_source_that_is_gone_leaves_no_empty_copy(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        ClassFolders(tmp_path / "sorted", ["cat"]).copy(tmp_path / "gone.jpg", "cat")
    assert list((tmp_path / "sorted" / "cat").iterdir()) == []


def test_numbers_stand_before_the_suffix() -> None:
    assert [numbered("cat.jpg", 1), numbered("cat.jpg", 3), numbered("cat", 2), numbered(".cat", 2)] == [
        "cat.jpg",
        "cat-3.jpg",
        "cat-2",
        ".cat-2",
    ]
    assert number_name("Cat.jpg", {"cat.jpg", "cat-2.jpg"}) == "Cat-3.jpg"
