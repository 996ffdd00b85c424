from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.scale import measure

pytestmark = pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="needs Linux's figures of memory")


def test_every_step_is_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    steps, peak_bytes = measure(400)
    assert list(steps) == [
        *("list the files", "choose part 1/8", "records", "write manifest.csv", "read manifest.csv"),
        *("open the cache", "find all rows", "read an epoch"),
    ]
    assert all(seconds >= 0 and memory >= 0 for seconds, memory in steps.values())
    assert peak_bytes > 400 * max(memory for _, memory in steps.values())
    assert list(tmp_path.iterdir()) == []
