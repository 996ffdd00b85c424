"""`tlkit lr-find` as a user types it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

SMALLEST = (
    "--backbone",
    "mnist_cnn",
    "--weights",
    "random",
    "--image-size",
    "32",
    "--head",
    "linear",
    "--batch-size",
    8,
)
RunCli = Callable[..., Any]


@pytest.fixture
def photos(tmp_path: Path, make_image_folder: Callable[..., Path]) -> Path:
    """Two classes, not split yet."""
    return make_image_folder(tmp_path / "photos", {"red": 10, "striped": 10})


def test_a_rate_is_suggested_drawn_and_ready_to_paste(photos: Path, tmp_path: Path, run_cli: RunCli) -> None:
    result = run_cli("lr-find", photos, *SMALLEST, "--out", tmp_path / "lr.png", "--json")
    assert result.exit_code == 0
    payload = result.json()
    assert set(payload["suggestions"]) == {"steepest descent", "valley", "a tenth of the lowest"}
    assert 1e-5 < payload["suggestion"] < 1
    assert float(payload["option"].removeprefix("--lr ")) == payload["suggestion"]
    assert f"To use it: {payload['option']}" in result.stderr
    assert len(payload["rates"]) == len(payload["losses"]) == len(payload["smoothed"])
    with Image.open(tmp_path / "lr.png") as picture:
        assert min(picture.size) > 300


def test_a_head_is_trained_first_where_the_stage_would_begin_with_one(
    photos: Path, tmp_path: Path, run_cli: RunCli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    before = set(photos.rglob("*"))
    result = run_cli("lr-find", photos, *SMALLEST, "--unfreeze", "conv2", "--group-lr", "conv2=0")
    assert result.exit_code == 0
    assert "Stage 1-head: up to 30 epochs on cached features at top" in result.stdout
    assert "Sweeping the learning rate of stage 2-unfreeze-conv2, above boundary conv1." in result.stdout
    assert result.stdout.index("Trained first: ") < result.stdout.index("Swept the learning rate from 1e-7 to ")
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["photos-lr.png"]
    assert set(photos.rglob("*")) == before


@pytest.mark.parametrize(
    ("words", "exit_code", "found"),
    [
        (("--out", "lr.jpg"), 1, "--out lr.jpg is not a PNG file."),
        (("--unfreeze", "conv9"), 1, "mnist_cnn has no layer group 'conv9' to unfreeze."),
        (("--lr-ratio", "10"), 1, "lr_ratio = 10 has no effect: only the head is trained."),
        (("--lr", "1e-3"), 2, "No such option"),
        (("--epochs", "3"), 2, "No such option"),
    ],
)
def test_what_does_not_apply_is_refused(
    photos: Path, run_cli: RunCli, words: tuple[str, ...], exit_code: int, found: str
) -> None:
    result = run_cli("lr-find", photos, "--backbone", "mnist_cnn", "--weights", "random", *words)
    assert result.exit_code == exit_code
    assert found in result.stderr
