"""`tlkit finetune` as a user types it."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import pytest

from tlkit.recipes import read_recipe
from tlkit.recipes.task_defaults import HEAD_DEFAULTS, TaskDefaults

pytestmark = pytest.mark.usefixtures("untraced")

SMALLEST = (
    "--backbone", "mnist_cnn", "--weights", "random", "--image-size", "32", "--batch-size", "8", "--head", "linear",
)  # fmt: skip


@pytest.fixture
def photos(tmp_path: Path, make_image_folder: Callable[..., Path]) -> Path:
    """Two classes, not split yet."""
    return make_image_folder(tmp_path / "photos", {"red": 10, "striped": 10})


def test_a_head_then_a_group_then_everything(photos: Path, tmp_path: Path, run_cli: Callable[..., Any]) -> None:
    first, second, third = (tmp_path / name for name in ("first", "second", "third"))
    result = run_cli(
        "finetune", photos, *SMALLEST, "--lr", "0.01", "--epochs", "4", "--views", "2", "--out", first, "--json"
    )
    assert result.exit_code == 0
    payload = result.json()
    assert payload["run"] == str(first)
    assert [stage["stage"] for stage in payload["validation"]] == ["1-head"]
    assert {"before", "after"} <= payload["validation"][0].keys()
    assert "Layer groups" in result.stderr
    assert "one of 2 standard views of each" in result.stderr

    result = run_cli(
        "finetune", photos, "--start-from", first, "--unfreeze", "conv2", "--lr", "1e-3", "--lr-ratio", "10",
        "--epochs", "1", "--batch-size", "8", "--out", second,
    )  # fmt: skip
    assert result.exit_code == 0
    assert re.search(r"^(Kept|Undone): unfreezing conv2: ", result.stdout, re.MULTILINE)
    assert read_recipe(second / "recipe.toml").backbone == dataclasses.replace(
        read_recipe(first / "recipe.toml").backbone, weights=None
    )

    result = run_cli(
        "finetune", photos, "--start-from", second, "--unfreeze", "all", "--group-lr", "conv1=0", "--epochs", "1",
        "--batch-size", "8", "--out", third, "-q",
    )  # fmt: skip
    assert (result.exit_code, result.stdout) == (0, "")
    assert read_recipe(third / "recipe.toml").stages[0].group_lr == {"conv1": 0.0}


def test_unfreezing_without_a_run_to_start_from_trains_a_head_first(
    photos: Path, tmp_path: Path, run_cli: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    usual = TaskDefaults(head=dataclasses.replace(HEAD_DEFAULTS, epochs=3))
    monkeypatch.setattr("tlkit.recipes.task_defaults.ONE_ANSWER", usual)
    out = tmp_path / "run"
    options = ("--unfreeze", "conv2", "--views", "2", "--policy", "strong", "--epochs", "1", "--out", out, "--json")
    result = run_cli("finetune", photos, *SMALLEST, "--test-fraction", "0.2", *options)
    payload = result.json()
    assert (
        "A head is trained first, then the unfrozen layers with it: --epochs, --batch-size apply to the unfreezing only; "
        "--views, --policy apply to both.\n"
    ) in result.stderr
    advice = f"Report the score on the test images: tlkit evaluate {out} --split test\n"
    assert advice in result.stderr
    command = advice.strip().partition("tlkit ")[2].split()
    assert run_cli(*command, "--json").json()["split"] == "test"
    assert [stage["stage"] for stage in payload["validation"]] == ["1-head", "2-unfreeze-conv2"]
    head, unfrozen = read_recipe(out / "recipe.toml").stages
    assert (head.views, head.policy, head.epochs) == (2, "strong", 3)
    assert (unfrozen.views, unfrozen.policy, unfrozen.epochs) == (2, "strong", 1)


def test_from_random_weights_everything_is_trained_at_once(
    photos: Path, tmp_path: Path, run_cli: Callable[..., Any]
) -> None:
    out = tmp_path / "run"
    payload = run_cli(
        "finetune", photos, *SMALLEST, "--unfreeze", "all", "--epochs", "1", "--out", out, "--json"
    ).json()
    assert [stage["boundary"] for stage in payload["validation"]] == ["pixels"]


def test_a_run_without_a_name_gets_the_first_free_one(
    photos: Path, tmp_path: Path, run_cli: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs" / "photos-1").mkdir(parents=True)
    payload = run_cli("finetune", photos, *SMALLEST, "--epochs", "1", "--json").json()
    assert payload["run"] == "runs/photos-2"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ("--resume",),
            "Error: --resume needs the run to continue.\n"
            "  Expected: --out with the folder of the interrupted run\n"
            "  Fix: add --out RUN.\n",
        ),
        (
            ("--dropout", "1.5"),
            "Error: --dropout: dropout is 1.5.\n"
            "  Expected: a fraction, 0 <= x < 1\n"
            "  Fix: correct dropout, or leave it out for the default.\n",
        ),
        (
            ("--lr-ratio", "100"),
            "Error: settings: stage 1: lr_ratio = 100 has no effect: only the head is trained.\n"
            "  Expected: only settings that this run uses\n"
            "  Fix: remove it, or set unfreeze.\n",
        ),
    ],
)
def test_a_setting_that_cannot_be_is_refused(
    options: tuple[str, ...], message: str, photos: Path, run_cli: Callable[..., Any]
) -> None:
    result = run_cli("finetune", photos, *SMALLEST, *options)
    assert (result.exit_code, result.stderr) == (1, message)


def test_weights_are_refused_where_the_run_to_start_from_brings_its_own(
    photos: Path, tmp_path: Path, run_cli: Callable[..., Any]
) -> None:
    first = tmp_path / "first"
    assert run_cli("finetune", photos, *SMALLEST, "--epochs", "1", "--out", first, "-q").exit_code == 0
    result = run_cli("finetune", photos, "--start-from", first, "--weights", "random", "--out", tmp_path / "second")
    assert (result.exit_code, result.stderr) == (
        1,
        f"Error: --weights random has no effect: {first} brings its own weights.\n"
        "  Expected: only settings that this run uses\n"
        "  Fix: leave out --weights or --start-from.\n",
    )


def test_an_interrupted_run_says_that_it_can_go_on(
    photos: Path, tmp_path: Path, run_cli: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*args: object) -> NoReturn:
        raise KeyboardInterrupt

    monkeypatch.setattr("tlkit.commands.finetune.fetch_inputs", interrupt)
    out = tmp_path / "run"
    result = run_cli("finetune", photos, *SMALLEST, "--out", out)
    assert (result.exit_code, result.stderr) == (
        130,
        f"\nInterrupted. {out} keeps its progress: run the same command with --resume to continue.\n",
    )
