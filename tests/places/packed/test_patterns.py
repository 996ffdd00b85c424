from __future__ import annotations

import pytest

from tlkit.errors import DataError
from tlkit.places.packed.patterns import expand_braces, is_packed


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("a.tar", ["a.tar"]),
        ("a-{000..002}.tar", ["a-000.tar", "a-001.tar", "a-002.tar"]),
        ("a-{9..11}.tar", ["a-9.tar", "a-10.tar", "a-11.tar"]),
        ("{x,y}/{1..2}.tar", ["x/1.tar", "x/2.tar", "y/1.tar", "y/2.tar"]),
        ("a-{2..1}.tar", []),
        ("a-{b}.tar", ["a-{b}.tar"]),
    ],
)
def test_braces_stand_for_many_files(pattern: str, names: list[str]) -> None:
    assert expand_braces(pattern) == names


@pytest.mark.parametrize("pattern", ["a-{0..999999999999}.tar", "{1..999}-{1..999}.tar"])
def test_patterns_are_bounded(pattern: str) -> None:
    with pytest.raises(DataError) as caught:
        expand_braces(pattern)
    assert str(caught.value) == (
        f"{pattern} stands for more than 100,000 files.\n"
        "  Expected: at most 100,000 packed files\n"
        "  Fix: name fewer of them at once."
    )


def test_packed_files_are_known_by_their_endings() -> None:
    assert is_packed("s3://bucket/a-{0..9}.TAR")
    assert is_packed("a.parquet")
    assert not is_packed("a.tar.gz")
    assert not is_packed("photos")
