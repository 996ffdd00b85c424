"""Copies in one folder per class."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from tests.faults.injector import BROKEN_ONCE, FULL_ONCE, try_every_fault
from tlkit.reports.sorting import SortedFolders, fold_name, number_name, numbered, safe_name


def test_copies_keep_content_and_time_and_never_replace_one_another(tmp_path: Path) -> None:
    for folder, content in (("a", b"first"), ("b", b"second")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "cat.jpg").write_bytes(content)
    classes = SortedFolders(tmp_path / "sorted", ["cat"])
    copies = [classes.copy(tmp_path / folder / "cat.jpg", 0) for folder in "ab"]
    assert [copy.relative_to(tmp_path).as_posix() for copy in copies] == ["sorted/cat/cat.jpg", "sorted/cat/cat-2.jpg"]
    assert [copy.read_bytes() for copy in copies] == [b"first", b"second"]
    assert copies[0].stat().st_mtime == (tmp_path / "a" / "cat.jpg").stat().st_mtime


def test_files_that_were_there_before_stay(tmp_path: Path) -> None:
    (tmp_path / "sorted" / "cat").mkdir(parents=True)
    (tmp_path / "sorted" / "cat" / "x.jpg").write_bytes(b"old")
    (tmp_path / "x.jpg").write_bytes(b"new")
    copy = SortedFolders(tmp_path / "sorted", ["cat"]).copy(tmp_path / "x.jpg", 0)
    assert copy.name == "x-2.jpg"
    assert (tmp_path / "sorted" / "cat" / "x.jpg").read_bytes() == b"old"


def test_classes_whose_folders_would_be_one_get_numbers(tmp_path: Path) -> None:
    (tmp_path / "x.jpg").write_bytes(b"x")
    classes = SortedFolders(tmp_path / "sorted", ["a/b", "a:b", "A_B"])
    folders = [classes.copy(tmp_path / "x.jpg", place).parent.name for place in range(3)]
    assert folders == ["a_b", "a_b-2", "A_B-3"]


def test_a_class_folder_is_made_only_for_an_image(tmp_path: Path) -> None:
    SortedFolders(tmp_path / "sorted", ["cat", "dog"])
    assert not (tmp_path / "sorted").exists()


def test_a_source_that_is_gone_leaves_no_empty_copy(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        SortedFolders(tmp_path / "sorted", ["cat"]).copy(tmp_path / "gone.jpg", 0)
    assert list((tmp_path / "sorted" / "cat").iterdir()) == []


def test_long_names_are_cut_and_kept_apart(tmp_path: Path) -> None:
    classes = SortedFolders(tmp_path / "sorted", ["cat"])
    for name in ("写" * 83 + ".png", "x" * 255, "x" * 251 + ".png"):
        sources = [tmp_path / folder / name for folder in "ab"]
        for source in sources:
            source.parent.mkdir(exist_ok=True)
            source.write_bytes(source.parent.name.encode())
        first, second = (classes.copy(source, 0) for source in sources)
        assert (first.name, first.read_bytes(), second.read_bytes()) == (name, b"a", b"b")
        assert len(second.name.encode()) in (253, 254, 255)
        assert second.stem.endswith("-2")


def test_nothing_has_its_name_before_it_is_complete(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "x.jpg").write_bytes(b"x" * 1000)

    def break_off(_: Path, target: Path) -> None:
        Path(target).write_bytes(b"x")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("shutil.copyfile", break_off)
    with pytest.raises(OSError, match="No space left"):
        SortedFolders(tmp_path / "sorted", ["cat"]).copy(tmp_path / "x.jpg", 0)
    assert list((tmp_path / "sorted" / "cat").iterdir()) == []


def test_a_file_system_without_links_gets_the_same_copies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    (tmp_path / "x.jpg").write_bytes(b"x")
    classes = SortedFolders(tmp_path / "sorted", ["cat"])
    copies = [classes.copy(tmp_path / "x.jpg", 0) for _ in range(2)]
    assert [copy.name for copy in copies] == ["x.jpg", "x-2.jpg"]
    assert sorted(path.read_bytes() for path in (tmp_path / "sorted" / "cat").iterdir()) == [b"x", b"x"]


def test_a_copy_that_has_its_name_is_whole_whatever_the_disk_refuses(tmp_path: Path) -> None:
    num_runs, complaints = try_every_fault(
        "tests.faults.scenarios.sorted_copies", tmp_path / "disk", faults=[FULL_ONCE, BROKEN_ONCE]
    )
    assert complaints == []
    assert num_runs >= 18


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


def test_numbers_stand_before_the_suffix() -> None:
    assert [numbered("cat.jpg", 1), numbered("cat.jpg", 3), numbered("cat", 2), numbered(".cat", 2)] == [
        "cat.jpg",
        "cat-3.jpg",
        "cat-2",
        ".cat-2",
    ]
    assert number_name("Cat.jpg", {"cat.jpg", "cat-2.jpg"}) == "Cat-3.jpg"
    assert number_name("\u00e9.jpg", {fold_name("E\u0301.JPG")}) == "\u00e9-2.jpg"


@pytest.mark.parametrize(
    ("name", "number", "expected"),
    [
        ("x" * 251 + ".png", 1, "x" * 251 + ".png"),
        ("x" * 252 + ".png", 1, "x" * 251 + ".png"),
        ("写" * 84 + ".png", 10, "写" * 82 + "-10.png"),
        ("a." + "b" * 300, 2, "a." + "b" * 251 + "-2"),
        ("." + "b" * 300, 1, "." + "b" * 254),
        ("\udce9" * 100 + ".jpg", 1, "\udce9" * 83 + ".jpg"),
    ],
)
def test_a_name_has_255_bytes_at_most(name: str, number: int, expected: str) -> None:
    assert numbered(name, number) == expected
