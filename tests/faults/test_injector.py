"""The fault injector counts what it should count, and strikes where it is told to."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.faults.injector import (
    ALL_FAULTS,
    BROKEN_DISK,
    FULL_ONCE,
    KILL,
    Fault,
    FaultyRun,
    run_with_fault,
    try_every_fault,
)

# Changes 1 to 7: mkdir, open, write, flush, rename, open (a+), remove; and some that do not count.
PROGRAM = """
import os, sys
folder = sys.argv[1]
os.makedirs(folder + "/sub", exist_ok=True)
os.chdir(folder + "/sub")
open(os.path.dirname(folder) + "/elsewhere", "w").close()
file = os.open("partial", os.O_WRONLY | os.O_CREAT)
done = []
for step in (lambda: os.write(file, b"12345678"), lambda: os.fsync(file), lambda: os.rename("partial", "whole"),
             lambda: open("more", "a+").close(), lambda: os.unlink("more")):
    try:
        step()
        done.append("done")
    except OSError as error:
        done.append(error.strerror)
open(os.listdir(".")[0]).close()
print(", ".join(done))
"""


def run_program(folder: Path, operation: int = 0, fault: Fault = KILL) -> FaultyRun:
    folder.mkdir(exist_ok=True)
    return run_with_fault([sys.executable, "-S", "-c", PROGRAM, folder], folder, operation, fault)


def test_changes_below_the_folder_are_counted(tmp_path: Path) -> None:
    run = run_program(tmp_path / "disk")
    assert (run.exit_code, run.stdout, run.num_changes) == (0, "done, done, done, done, done\n", 7)


def test_a_process_is_killed_in_the_middle_of_a_write(tmp_path: Path) -> None:
    run = run_program(tmp_path / "disk", 3, KILL)
    assert (run.exit_code, run.stdout) == (-9, "")
    assert (tmp_path / "disk" / "sub" / "partial").read_bytes() == b"1234"


def test_a_change_fails_once_or_from_then_on(tmp_path: Path) -> None:
    assert run_program(tmp_path / "once", 4, FULL_ONCE).stdout == "done, No space left on device, done, done, done\n"
    broken = run_program(tmp_path / "onwards", 4, BROKEN_DISK).stdout
    assert broken == "done, " + ", ".join(["Input/output error"] * 4) + "\n"


def test_a_file_written_aside_is_old_or_new_after_every_fault(tmp_path: Path) -> None:
    runs, complaints = try_every_fault("tests.faults.scenarios.written_aside", tmp_path / "disk")
    assert complaints == []
    assert runs >= 5 * len(ALL_FAULTS)


def test_a_scenario_that_loses_something_is_found_out(tmp_path: Path) -> None:
    _, complaints = try_every_fault("tests.faults.scenarios.written_in_place", tmp_path / "disk", faults=[KILL])
    assert [outcome.operation for outcome in complaints] == [2]
