"""What a run says: which stream, what a pipe gets, what a terminal never sees."""

from __future__ import annotations

import contextlib
import io
import json
import re
import sys
import threading
import time
from pathlib import Path
from typing import TextIO

import numpy as np
import pytest

from tlkit.reports import console as console_module
from tlkit.reports import printed_table
from tlkit.reports.console import Console, Meter, format_duration, format_rate
from tlkit.waiting import waiting_for

Capture = pytest.CaptureFixture[str]


class Terminal(io.StringIO):
    """A stream that says that it is a terminal."""

    def isatty(self) -> bool:
        return True


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The clock of every meter, which stands still."""
    clock = Clock()
    monkeypatch.setattr(Meter.__init__, "__kwdefaults__", {"clock": clock})
    return clock


def print_everything(console: Console) -> None:
    console.say("story")
    console.detail("detail")
    console.warn("careful")
    console.table("Table", ["class", "images"], [["red", "12"]])
    console.result({"images": 12})


@pytest.mark.parametrize(("verbosity", "words"), [(-1, []), (0, ["story", "Table"]), (1, ["story", "detail", "Table"])])
def test_verbosity_decides_what_of_the_story_is_told(verbosity: int, words: list[str], capsys: Capture) -> None:
    print_everything(Console(verbosity=verbosity))
    captured = capsys.readouterr()
    assert [word for word in ("story", "detail", "Table") if word in captured.out] == words
    assert captured.err == "Warning: careful\n"
    assert "{" not in captured.out


@pytest.mark.parametrize("verbosity", [-1, 0, 1])
def test_messages_of_a_side_step_are_details_and_its_warnings_stay(verbosity: int, capsys: Capture) -> None:
    console = Console(verbosity=verbosity)
    aside = console.for_details()
    aside.say("60 rows found.")
    aside.warn("The disk is full.")
    console.warn("The disk is full.")
    assert capsys.readouterr() == ("60 rows found.\n" if verbosity == 1 else "", "Warning: The disk is full.\n")


def test_under_json_standard_output_holds_the_object_alone(capsys: Capture) -> None:
    print_everything(Console(json=True))
    captured = capsys.readouterr()
    assert captured.out == '{"images": 12}\n'
    assert "story\n" in captured.err
    assert "Table" in captured.err


def test_json_and_quiet_together_give_the_object_and_warnings(capsys: Capture) -> None:
    print_everything(Console(verbosity=-1, json=True))
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ('{"images": 12}\n', "Warning: careful\n")


def test_the_result_is_valid_json_whatever_the_numbers_are(capsys: Capture) -> None:
    payload = {
        "path": Path("runs/first"),
        "accuracy": np.float32(0.5),
        "confusion": np.array([[1, 2], [3, 4]]),
        "loss": float("nan"),
        "rates": (1e-4, float("inf")),
        "name": "caf\udce9",
    }
    Console(json=True).result(payload)
    assert json.loads(capsys.readouterr().out) == {
        "path": "runs/first",
        "accuracy": 0.5,
        "confusion": [[1, 2], [3, 4]],
        "loss": None,
        "rates": [1e-4, None],
        "name": "caf\udce9",
    }


def test_control_characters_in_names_never_reach_the_terminal(capsys: Capture) -> None:
    console = Console()
    console.say("class \x1b]0;owned\x07 and\x9b31m red")
    console.table("Classes", ["class"], [["\x1b[2Jred\nblue"]])
    out = capsys.readouterr().out
    assert "class \\x1b]0;owned\\x07 and\\x9b31m red\n" in out
    assert "\\x1b[2Jred\\nblue\n" in out
    assert "\x1b" not in out


def test_the_same_warning_is_written_once(capsys: Capture) -> None:
    console = Console()
    console.warn("Disk nearly full.")
    console.warn("Disk nearly full.")
    assert capsys.readouterr().err == "Warning: Disk nearly full.\n"


def test_progress_in_a_pipe_is_a_line_every_ten_seconds_and_one_at_the_end(capsys: Capture, clock: Clock) -> None:
    with Console().progress("Features", 100) as advance:
        for _ in range(10):
            clock.seconds += 4
            advance(10)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.splitlines() == [
        "Features: 30 of 100 images, 2.50 a second, 28 s left",
        "Features: 60 of 100 images, 2.50 a second, 16 s left",
        "Features: 90 of 100 images, 2.50 a second, 4.0 s left",
        "Features: 100 images in 40 s (2.50 a second)",
    ]


def test_progress_is_silent_under_quiet(capsys: Capture, clock: Clock) -> None:
    with Console(verbosity=-1).progress("Features", 2) as advance:
        clock.seconds += 60
        advance(1)
        advance(1)
    assert capsys.readouterr().err == ""


def test_progress_counts_one_if_nothing_is_said(capsys: Capture, clock: Clock) -> None:
    with Console().progress("Files", 2, "files") as advance:
        advance()
        advance()
    assert capsys.readouterr().err == "Files: 2 files in 0.0 s\n"


def test_progress_that_fails_writes_no_closing_line(capsys: Capture, clock: Clock) -> None:
    with contextlib.suppress(ValueError), Console().progress("Features", 2):
        raise ValueError("broken")
    assert capsys.readouterr().err == ""


def test_progress_on_a_terminal_redraws_one_line_and_leaves_standard_output_alone(
    monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    terminal, file = Terminal(), io.StringIO()
    monkeypatch.setattr("sys.stderr", terminal)
    monkeypatch.setattr("sys.stdout", file)
    with Console().progress("Features", 20) as advance:
        clock.seconds += 2
        advance(10)
        written_to: TextIO = sys.stdout
        sys.stdout.write("path,class_name\n")
    assert written_to is file
    assert file.getvalue() == "path,class_name\n"
    assert "Features: 10 of 20 images, 5.00 a second, 2.0 s left" in terminal.getvalue()
    assert terminal.getvalue().endswith("Features: 10 images in 2.0 s (5.00 a second)\n")


def test_a_dumb_terminal_is_treated_as_a_pipe(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")
    assert not printed_table.is_terminal(Terminal())


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.04, "0.0 s"), (9.94, "9.9 s"), (9.96, "10 s"), (59.6, "1 min 00 s"), (200, "3 min 20 s"), (3900, "1 h 05 min")],
)
def test_durations_are_told_as_people_say_them(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


@pytest.mark.parametrize(("rate", "text"), [(0.517, "0.52"), (35.16, "35.2"), (1290.4, "1,290")])
def test_rates_have_about_three_figures(rate: float, text: str) -> None:
    assert format_rate(rate) == text


def test_a_long_wait_is_told_and_a_short_one_is_not(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    monkeypatch.setattr(console_module, "SECONDS_OF_SILENCE", 0.2)
    ended = threading.Event()
    thread = threading.Thread(target=console_module._announce_waits, args=(ended,))
    thread.start()
    for _ in range(100):
        with waiting_for("an image"):
            time.sleep(0.003)
    with waiting_for("the disk to take shard-1.h5"):
        time.sleep(0.5)
    ended.set()
    thread.join(10)
    lines = capsys.readouterr().err.splitlines()
    assert lines
    assert all(re.fullmatch(r"Waiting for the disk to take shard-1\.h5: 0\.\d s so far\.", line) for line in lines)


def test_a_note_stands_behind_what_is_done() -> None:
    workers = ["", "1 worker", "2 workers"]
    meter = Meter("Features", 900, "images", note=lambda: workers.pop(0), clock=lambda: 0.0)
    assert meter.status() == "Features: 0 of 900 images"
    assert meter.status() == "Features: 0 of 900 images, 1 worker"
