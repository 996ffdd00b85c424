"""Signals: what a process says, with what exit code it ends, and that a second signal always ends it."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import tlkit
from tlkit import interruption
from tlkit.interruption import SECONDS_OF_GRACE, describe_interruption, kept_if_interrupted

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no POSIX signals; run on Linux or macOS")

# A process of tlkit's own whose command line is replaced by the work of a test.
PROCESS = """
import hashlib, sys, time
import tlkit.__main__
import tlkit.cli.main
from tlkit.interruption import kept_if_interrupted

def wait(seconds):
    print("ready", flush=True)
    time.sleep(seconds)

def work(context):
    {work}

tlkit.cli.main.cli.invoke = work
sys.argv = ["tlkit", "cache", "list"]
tlkit.__main__.main()
"""
SLEEP = "wait(30)"
SLEEP_WITH_NOTE = """
    with kept_if_interrupted("Outer."), kept_if_interrupted("Inner."):
        wait(30)
"""
WORK_IN_C = 'wait(0); hashlib.pbkdf2_hmac("sha256", b"", b"", 10**8)'
FAIL_AFTER_A_SIGNAL = """
    try:
        wait(30)
    except KeyboardInterrupt:
        raise ImportError("half imported")
"""
CLEAN_UP_SLOWLY = """
    try:
        wait(30)
    finally:
        time.sleep(0.3)
        print("cleaned up", flush=True)
"""


@contextmanager
def running(work: str, *, shell: str = "") -> Iterator[subprocess.Popen[str]]:
    """Yield a process that has begun to do `work`."""
    words = [sys.executable, "-c", PROCESS.format(work=work)]
    words = ["sh", "-c", f'{shell}; exec "$0" "$@"', *words] if shell else words
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize(("number", "exit_code", "verb"), [(2, 130, "Interrupted."), (15, 143, "Terminated.")])
def test_a_signal_ends_the_process_with_its_exit_code_and_one_line(number: int, exit_code: int, verb: str) -> None:
    with running(SLEEP) as process:
        process.send_signal(number)
        _, stderr = process.communicate(timeout=20)
    assert (process.returncode, stderr) == (exit_code, f"\n{verb} Nothing is left half-written.\n")


def test_the_outermost_note_says_what_is_kept() -> None:
    with running(SLEEP_WITH_NOTE) as process:
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=20)
    assert (process.returncode, stderr) == (130, "\nInterrupted. Outer.\n")


def test_what_fails_because_of_the_signal_is_no_bug() -> None:
    with running(FAIL_AFTER_A_SIGNAL) as process:
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=20)
    assert (process.returncode, stderr) == (130, "\nInterrupted. Nothing is left half-written.\n")


def test_a_second_signal_at_once_does_not_disturb_the_clean_up() -> None:
    with running(CLEAN_UP_SLOWLY) as process:
        process.send_signal(signal.SIGTERM)
        time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        stdout, stderr = process.communicate(timeout=20)
    assert (process.returncode, stdout) == (143, "cleaned up\n")
    assert stderr == "\nTerminated. Nothing is left half-written.\n"


def test_a_second_signal_ends_a_process_that_is_deep_in_c() -> None:
    with running(WORK_IN_C) as process:
        time.sleep(0.3)  # until it is there
        process.send_signal(signal.SIGINT)
        time.sleep(SECONDS_OF_GRACE + 0.2)
        assert process.poll() is None
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=20)
    assert (process.returncode, stderr) == (130, "\nInterrupted. Nothing is left half-written.\n")


def test_a_signal_that_the_parent_switched_off_stays_off() -> None:
    with running("wait(0.5)", shell="trap '' INT") as process:
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=20)
    assert (process.returncode, stderr) == (0, "")


def test_ctrl_c_while_the_process_starts_is_no_traceback() -> None:
    """The handler is there before anything else is imported."""
    code = "import signal, os, tlkit.__main__; os.kill(os.getpid(), signal.SIGINT)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (result.returncode, result.stderr) == (130, "\nInterrupted before anything was done.\n")


def test_the_module_is_the_command() -> None:
    result = subprocess.run([sys.executable, "-m", "tlkit", "--version"], capture_output=True, text=True, check=True)
    assert result.stdout == f"tlkit, version {tlkit.__version__}\n"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full; run on Linux")
def test_a_full_disk_behind_standard_output_is_a_problem_and_no_bug() -> None:
    with Path("/dev/full").open("w") as full:
        result = subprocess.run(
            [sys.executable, "-m", "tlkit", "--help"], stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert result.returncode == 1
    assert result.stderr.startswith("Error: No space left on device.\n  Expected: a disk with free space\n")


def test_a_block_that_ends_takes_its_note_along(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interruption, "_notes", [])  # a test before may have interrupted a command
    with kept_if_interrupted("Kept."):
        pass
    with pytest.raises(ZeroDivisionError), kept_if_interrupted("Kept."):
        raise ZeroDivisionError
    assert describe_interruption(KeyboardInterrupt()) == ("Interrupted. Nothing is left half-written.", 130)
