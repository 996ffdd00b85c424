from __future__ import annotations

import pytest

from tlkit.places.names import find_name_problem, is_hidden, is_placeholder


@pytest.mark.parametrize("key", ["a.jpg", "a b/ü.jpg", "a/-.jpg", "a?b*c.jpg", "a..b/c.jpg"])
def test_usual_keys_are_names_of_files(key: str) -> None:
    assert find_name_problem(key) is None
    assert not is_hidden(key)


@pytest.mark.parametrize(
    ("key", "problem"),
    [
        ("../a.jpg", "an empty part, . or .. in its name"),
        ("a/../../b.jpg", "an empty part, . or .. in its name"),
        ("/etc/passwd", "an empty part, . or .. in its name"),
        ("a//b.jpg", "an empty part, . or .. in its name"),
        ("a\\b.jpg", "a backslash or a null character in its name"),
        ("a\0.jpg", "a backslash or a null character in its name"),
        ("a\udcff.jpg", "a name that is not UTF-8"),
        ("ü" * 128, "a name that is too long for a file"),
    ],
)
def test_keys_that_would_leave_the_folder_are_refused(key: str, problem: str) -> None:
    assert find_name_problem(key) == problem


@pytest.mark.parametrize("key", [".hidden.jpg", "a/.cache/b.jpg"])
def test_hidden_files_are_not_copied(key: str) -> None:
    assert is_hidden(key)


def test_empty_objects_that_stand_for_folders_are_told_from_empty_files() -> None:
    assert is_placeholder("", 0)
    assert is_placeholder("a/b", 0)
    assert is_placeholder("a/b/", 0)
    assert not is_placeholder("a/b.jpg", 0)
    assert not is_placeholder("a/b", 1)
