"""The cache, its upkeep and the file index on a disk that fails at every single change."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.injector import BROKEN_ONCE, FULL_DISK, KILL, try_every_fault


@pytest.mark.parametrize(("scenario", "fewest"), [("feature_cache", 30), ("file_index", 30), ("pruning", 20)])
def test_nothing_is_lost_and_nothing_is_wrong(tmp_path: Path, scenario: str, fewest: int) -> None:
    num_runs, complaints = try_every_fault(
        f"tests.faults.scenarios.{scenario}", tmp_path / "disk", faults=[KILL, FULL_DISK, BROKEN_ONCE]
    )
    assert complaints == []
    assert num_runs >= fewest
