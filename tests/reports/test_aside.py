"""Files are written aside and renamed."""

from __future__ import annotations

from pathlib import Path

import pytest

from tlkit.reports.aside import written_aside


def test_the_file_is_there_only_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "new" / "report.html"
    with written_aside(path) as file:
        file.write(b"half")
        assert not path.exists()
        file.write(b" whole")
    assert path.read_bytes() == b"half whole"
    assert [entry.name for entry in path.parent.iterdir()] == ["report.html"]


def write_half(path: Path) -> None:
    with written_aside(path) as file:
        file.write(b"new")
        raise KeyboardInterrupt


def test_after_an_exception_the_old_file_stands_and_nothing_lies_about(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    path.write_bytes(b"old")
    with pytest.raises(KeyboardInterrupt):
        write_half(path)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]
