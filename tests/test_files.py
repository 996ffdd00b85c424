"""Files are written aside, flushed and renamed; locks die with their process."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tlkit.files import (
    held_lock,
    list_files,
    open_text,
    read_json,
    remove_partials,
    write_json,
    write_text,
    written_aside,
)


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


def test_content_is_flushed_before_the_rename_and_the_rename_after_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "summary.json"
    flushed = []

    def fsync(descriptor: int) -> None:
        flushed.append((stat.S_ISDIR(os.fstat(descriptor).st_mode), path.exists()))

    monkeypatch.setattr(os, "fsync", fsync)
    write_text(path, "{}")
    assert flushed == [(False, False), (True, True)]


def test_the_longest_name_can_be_written(tmp_path: Path) -> None:
    path = tmp_path / ("x" * 251 + ".csv")
    write_text(path, "whole")
    assert path.read_text() == "whole"


@pytest.mark.skipif(os.name != "posix", reason="only POSIX has a umask; run on Linux or macOS")
def test_the_mode_follows_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write_text(tmp_path / "table.csv", "")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "table.csv").stat().st_mode) == 0o640


def test_json_takes_paths_and_names_that_are_not_utf_8(tmp_path: Path) -> None:
    write_json(tmp_path / "summary.json", {"run": Path("runs/first"), "name": "caf\udce9"})
    assert json.loads((tmp_path / "summary.json").read_bytes()) == {"run": "runs/first", "name": "caf\udce9"}


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full; run on Linux")
def test_a_failed_write_of_text_is_the_error_that_is_seen() -> None:
    with (
        pytest.raises(OSError, match="No space left"),
        Path("/dev/full").open("wb", buffering=0) as file,
        open_text(file) as text,
    ):
        text.write("row")


def test_partials_of_killed_processes_are_removed(tmp_path: Path) -> None:
    (tmp_path / ".0123456789abcdef.partial").write_bytes(b"half")
    (tmp_path / "history.csv").write_bytes(b"whole")
    remove_partials(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["history.csv"]


HOLD = "import sys, pathlib\nfrom tlkit.files import held_lock\nwith held_lock(pathlib.Path(sys.argv[1])):\n print(flush=True); sys.stdin.read()"


def test_a_lock_is_refused_while_another_process_holds_it_and_free_once_that_is_killed(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(lock)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        other.stdout.readline()
        with pytest.raises(BlockingIOError), held_lock(lock):
            pass
        other.kill()
        other.wait()
    with held_lock(lock) as file:
        assert str(file.name) == str(lock)  # or errors would name a number


def test_a_file_that_can_be_made_again_is_not_flushed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "fsync")
    with written_aside(tmp_path / "overlay.jpg", is_flushed=False) as file:
        file.write(b"whole")
    assert (tmp_path / "overlay.jpg").read_bytes() == b"whole"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs a system with named pipes")
def test_a_pipe_in_place_of_a_file_keeps_nobody_waiting(tmp_path: Path) -> None:
    pipe = tmp_path / "cache.json"
    os.mkfifo(pipe)
    with pytest.raises(OSError, match="not a regular file"):
        read_json(pipe)
    with pytest.raises(OSError, match="No such device or address"), held_lock(pipe):
        pass


def test_json_that_is_nested_without_end_is_no_json(tmp_path: Path) -> None:
    (tmp_path / "note.json").write_text("[" * 100_000)
    with pytest.raises(ValueError, match="nested too deeply"):
        read_json(tmp_path / "note.json")


def test_a_folder_that_goes_while_it_is_listed_holds_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "shard-1.h5").touch()
    assert list_files(tmp_path, "shard-*.h5") == [tmp_path / "shard-1.h5"]

    def scandir(path: Path) -> Iterator[os.DirEntry[str]]:
        raise FileNotFoundError

    monkeypatch.setattr(os, "scandir", scandir)
    assert list_files(tmp_path, "shard-*.h5") == []
