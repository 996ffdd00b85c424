"""A whole run on a disk that fails, at a few places; the scenario can be run at every one."""

from __future__ import annotations

from pathlib import Path

from tests.faults.injector import FULL_DISK, KILL, try_every_fault


def test_a_run_ends_as_an_undisturbed_one_after_a_kill_and_on_a_full_disk(tmp_path: Path) -> None:
    _, complaints = try_every_fault(
        "tests.faults.scenarios.finetune", tmp_path / "disk", faults=[KILL, FULL_DISK], every=130
    )
    assert complaints == []
