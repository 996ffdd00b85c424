"""`tlkit plan` from the command line: what it prints, and what it refuses before anything is computed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

RunCli = Callable[..., Any]
SMALLEST = ("--backbone", "mnist_cnn", "--weights", "random", "--image-size", 16, "--engine", "keras", "--units", 4)


@pytest.fixture
def photos(tmp_path: Path, make_image_folder: Callable[..., Path]) -> Path:
    return make_image_folder(tmp_path / "photos", {"red": 6, "blue": 6}, size=(16, 16))


@pytest.mark.usefixtures("untraced")
def test_the_class_table_comes_first_and_the_command_last(
    run_cli: RunCli, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Random weights have nothing to ask, and are trained whole: --engine, for a frozen part, is not in the command."""
    monkeypatch.setattr("tlkit.training.stage_costs.SECONDS_OF_A_TRIAL", 0.01)
    monkeypatch.setattr("tlkit.training.stage_costs.SECONDS_OF_STEPS", 0.01)
    words = ("--json", "--out", tmp_path / "plan.png", "--machines", 4, "--price", 0.5)
    result = run_cli("plan", photos, *SMALLEST, *words)
    assert result.exit_code == 0
    story, payload = result.stderr, result.json()
    places = [
        story.index(text)
        for text in (
            *("Images", "Cost of each step", "Time to a trained model", "Features on 4 machines like this one"),
            *("Run `tlkit precompute` with --part 1/4 to --part 4/4.", "Advice: train "),
        )
    ]
    assert places == sorted(places)
    assert story.rstrip().endswith(payload["advice"]["command"])
    assert payload["advice"]["command"] == (
        f"tlkit finetune {photos} --backbone mnist_cnn --weights random --image-size 16 --units 4 --unfreeze all "
        "--out runs/photos-all"
    )
    assert payload["evidence"] is None
    assert (payload["machines"]["number"], payload["machines"]["price"]) == (4, 0.5)
    assert payload["machines"]["steps"][0]["name"] == "features at top"
    assert [step["num_epochs"] for step in payload["steps"] if step["num_epochs"]] == [30, 15, 60]
    assert (tmp_path / "plan.png").is_file()
    assert not list(photos.rglob("*plan*")), "nothing is written into the data"


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (("--backbone", "vgg99"), "There is no backbone 'vgg99'"),
        (("--out", "here.jpg"), "--out here.jpg is not a PNG file."),
        (("--policy", "none", "--views", "4"), 'policy = "none"'),
        (("--task", "regression"), "there is no target"),
        (("--machines", "0"), "Error: --machines is 0.\n  Expected: 1 or more\n"),
        (("--price", "-1"), "Error: --price is -1.0.\n  Expected: 0 or more\n"),
        (("--price", "nan"), "Error: --price is nan.\n  Expected: 0 or more\n"),
    ],
)
def test_what_cannot_be_planned_is_refused_before_anything_is_computed(
    run_cli: RunCli, photos: Path, words: tuple[str, ...], found: str
) -> None:
    result = run_cli("plan", photos, *words)
    assert result.exit_code == 1
    assert found in result.stderr
