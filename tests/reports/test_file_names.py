"""Names of files and folders that every file system takes."""

from __future__ import annotations

import pytest

from tlkit.reports.file_names import fold_name, number_name, numbered, safe_name


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
