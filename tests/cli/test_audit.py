"""`tlkit audit` from the words on the command line to what a shell sees."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import draw_image_folder
from tests.origin import name_origin, read_origin

RunCli = Callable[..., Any]
SMALLEST = ("--backbone", "mnist_cnn", "--weights", "random", "--image-size", "32")


def test_an_audit_says_what_it_found_and_where(
    run_cli: RunCli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    draw_image_folder(tmp_path / "photos", {"cat": 6, "dog": 6})
    result = run_cli("audit", "photos", *SMALLEST)
    assert result.exit_code == 0
    assert "Written: audits/photos/audit.html" in result.stdout
    payload = run_cli("audit", "photos", *SMALLEST, "--json").json()
    assert payload["images"] == 12
    assert payload["page"] == "audits/photos/audit.html"
    page = tmp_path / payload["page"]
    assert name_origin(page) == "data, backbone, boundary, command, date, versions"
    assert read_origin(page)["command"] == f"tlkit audit photos {' '.join(SMALLEST)} --json"


def test_a_run_decides_over_the_settings(run_cli: RunCli, tmp_path: Path) -> None:
    result = run_cli("audit", "--run", tmp_path, "--backbone", "resnet50")
    assert result.exit_code == 1
    assert result.stderr == (
        "Error: run is given, and so is backbone.\n  Expected: no other settings: the run's own are taken\n"
        "  Fix: leave out backbone.\n"
    )
