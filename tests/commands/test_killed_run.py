"""A whole run that is killed, at a few places; the scenario can be run with every fault at every one."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.injector import KILL, try_every_fault


def test_a_killed_run_ends_as_an_undisturbed_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"):
        monkeypatch.setenv(name, "2")  # the other tests have one thread each: sums must not depend on which is first
    _, complaints = try_every_fault("tests.faults.scenarios.finetune", tmp_path / "disk", faults=[KILL], every=190)
    assert complaints == []
