"""A step that a run can do without costs a warning and an entry, and a bug is not hidden."""

from __future__ import annotations

import errno

import pytest

from tlkit.errors import DataError
from tlkit.reports.console import Console
from tlkit.reports.optional_steps import OptionalSteps


def fail(error: Exception) -> None:
    raise error


def test_what_fails_is_told_once_and_kept_account_of(capsys: pytest.CaptureFixture[str]) -> None:
    steps = OptionalSteps(Console())
    for _ in range(2):
        with steps.step("history.csv"):
            fail(OSError(errno.ENOSPC, "No space left on device", "runs/first/history.csv"))
    with steps.step("report.html"):
        fail(DataError("The picture\nis gone.", expected="it", fix="it"))
    assert capsys.readouterr().err == (
        "Warning: history.csv could not be made: runs/first/history.csv: No space left on device.\n"
        "Warning: report.html could not be made: The picture is gone.\n"
    )
    assert steps.not_made == [
        {"what": "history.csv", "reason": "runs/first/history.csv: No space left on device"},
        {"what": "report.html", "reason": "The picture is gone"},
    ]


def test_what_is_made_in_the_end_counts_as_made() -> None:
    steps = OptionalSteps(Console())
    with steps.step("history.csv"):
        fail(OSError("It failed"))
    with steps.step("history.csv"):
        pass
    assert steps.not_made == []


def test_a_bug_passes_through() -> None:
    steps = OptionalSteps(Console())
    with pytest.raises(ZeroDivisionError), steps.step("history.csv"):
        fail(ZeroDivisionError())
    assert steps.not_made == []
