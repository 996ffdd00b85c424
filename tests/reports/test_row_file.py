"""Files of rows that grow under another name until they are complete."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from tests.faults.injector import try_every_fault
from tlkit.errors import RunError
from tlkit.files import held_lock, written_aside
from tlkit.reports.row_file import describe_kept, growing_file, partial_path, write_line


def test_a_file_has_its_name_when_it_is_complete(tmp_path: Path) -> None:
    path = tmp_path / "new" / "rows.csv"
    with growing_file(path) as file:
        write_line(file, b"one\n")
        assert not path.exists()
        assert partial_path(path).read_bytes() == b"one\n"
        assert describe_kept(path) == f" The rows so far are in {path}.partial."
    assert path.read_bytes() == b"one\n"
    assert [entry.name for entry in path.parent.iterdir()] == ["rows.csv"]
    assert describe_kept(path) == ""


def test_a_file_without_any_row_leaves_nothing_after_an_exception(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), growing_file(tmp_path / "rows.csv"):
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


def test_a_second_process_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    with held_lock(partial_path(path)), pytest.raises(RunError) as caught, growing_file(path):
        pytest.fail("two write the same file")
    assert str(caught.value) == (
        f"{path}.partial is being written by another process.\n"
        "  Expected: one process per file\n"
        "  Fix: use another --out, or wait for the other process to finish."
    )


def test_a_full_disk_names_the_file_and_what_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"

    def fill_disk() -> None:
        with growing_file(path) as file:
            write_line(file, b"one\n")
            raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(RunError) as caught:
        fill_disk()
    assert str(caught.value) == (
        f"{path}.partial: No space left on device.\n"
        "  Expected: free disk space and a writable folder\n"
        f"  Fix: fix this, and run the same command again. The rows so far are in {path}.partial."
    )
    assert partial_path(path).read_bytes() == b"one\n"


def test_a_long_name_is_cut(tmp_path: Path) -> None:
    path = tmp_path / ("x" * 251 + ".csv")
    with growing_file(path) as file:
        write_line(file, b"one\n")
    assert path.read_bytes() == b"one\n"


def test_rows_outlive_every_fault(tmp_path: Path) -> None:
    runs, complaints = try_every_fault("tests.faults.scenarios.rows", tmp_path / "disk")
    assert complaints == []
    assert runs >= 50


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="run on Linux, which has a device that is always full")
def test_a_stream_that_cannot_be_written_is_named() -> None:
    with Path("/dev/full").open("wb") as full, pytest.raises(OSError, match="No space left on device: '/dev/full'"):
        write_line(full, b"one\n")


@pytest.mark.parametrize("error", [BrokenPipeError(32, "Broken pipe"), BlockingIOError(11, "Try again")])
def test_what_breaks_elsewhere_is_not_taken_for_a_lock_that_another_process_holds(
    tmp_path: Path, error: OSError
) -> None:
    with pytest.raises((OSError, RunError)) as caught, growing_file(tmp_path / "p.csv"):
        raise error
    assert "another process" not in str(caught.value)
    assert isinstance(caught.value, BrokenPipeError) == isinstance(error, BrokenPipeError)


def double(source: Path, target: Path) -> None:
    content = source.read_bytes()
    with written_aside(target) as file:
        file.write(content + content)


def test_a_file_that_is_made_of_its_lines_appears_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "rows.txt"
    with growing_file(path, double) as file:
        write_line(file, b"one\n")
        assert partial_path(path).read_bytes() == b"one\n"
        assert not path.exists()
    assert path.read_bytes() == b"one\none\n"
    assert [entry.name for entry in tmp_path.iterdir()] == ["rows.txt"]


def test_a_partial_file_is_made_of_its_lines_too(tmp_path: Path) -> None:
    path = tmp_path / "rows.txt"

    def break_off() -> None:
        with growing_file(path, double) as file:
            write_line(file, b"one\n")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        break_off()
    assert partial_path(path).read_bytes() == b"one\none\n"
    assert [entry.name for entry in tmp_path.iterdir()] == ["rows.txt.partial"]
