"""Programs in processes of their own."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from benchmarks.side_by_side.processes import EpochWatch, JobFailed, run_process


def test_a_process_tells_its_time_its_memory_and_its_last_line() -> None:
    program = "import time; block = bytearray(200_000_000); time.sleep(0.2); print('noise'); print('{\"images\": 3}')"
    finished = run_process([sys.executable, "-c", program])
    assert finished.output == {"images": 3}
    assert finished.seconds > 0.2
    assert finished.peak_bytes > 200e6


def test_output_that_is_no_json_object_says_nothing() -> None:
    assert run_process([sys.executable, "-c", "print('hello'); print(3)"]).output == {}
    assert run_process([sys.executable, "-c", "print('hello')"]).output == {}
    assert run_process([sys.executable, "-c", "pass"]).output == {}


def test_a_process_that_fails_is_told_with_its_reason() -> None:
    program = "import sys; print('Error: no room.\\n  Fix: make room.', file=sys.stderr); sys.exit(1)"
    with pytest.raises(JobFailed, match="ended with 1:\nError: no room") as caught:
        run_process([sys.executable, "-c", program])
    assert caught.value.reason == "Error: no room."


def test_a_crash_is_told_by_its_last_line() -> None:
    with pytest.raises(JobFailed) as caught:
        run_process([sys.executable, "-c", "1 / 0"])
    assert caught.value.reason == "ZeroDivisionError: division by zero"


def test_epochs_are_noted_when_they_come(tmp_path: Path) -> None:
    watch = EpochWatch(tmp_path / "history.csv")
    watch.look(0.5)
    stages = ["head", "conv5", "conv5", "conv5"]
    for number in range(len(stages)):
        rows = [f"{stage},{index}\n" for index, stage in enumerate(stages[: number + 1])]
        watch.history.write_text("".join(["stage,epoch\n", *rows]), encoding="utf-8")
        watch.look(number + 1.0)
        watch.look(number + 1.5)
    assert [row["arrived"] for row in watch.epochs] == [1.0, 2.0, 3.0, 4.0]
    assert watch.seconds_per_epoch() == 1.0
