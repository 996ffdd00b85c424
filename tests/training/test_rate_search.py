"""A stage that finds its rate before it trains: once, whatever happens, and for everybody to see."""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from tlkit.commands.finetune import run_finetune
from tlkit.recipes import FIND, BackboneSettings, HeadSettings, Recipe, Stage, read_recipe
from tlkit.reports.console import Console
from tlkit.training.loop import StageCallbacks
from tlkit.training.rate_finder import sweep_rates

pytestmark = pytest.mark.usefixtures("untraced_module")

QUIET = Console(verbosity=-1)
FOUND_TWICE = Recipe(
    backbone=BackboneSettings(name="mnist_cnn", weights="random", image_size=32),
    head=HeadSettings(kind="linear"),
    stages=(
        Stage(epochs=3, batch_size=12, lr=FIND, patience=0),
        Stage(unfreeze="conv2", epochs=2, batch_size=12, lr=FIND, lr_ratio=10, patience=0),
    ),
)


class Killed(BaseException):
    """Stands for a kill: nothing catches it."""


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory, make_image_folder: Callable[..., Path]) -> Path:
    layout = {"train/red": 12, "train/striped": 12, "validation/red": 6, "validation/striped": 6}
    return make_image_folder(tmp_path_factory.mktemp("data") / "photos", layout)


@pytest.fixture(scope="module", autouse=True)
def short_sweeps() -> Iterator[None]:
    """Let a sweep take few steps."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tlkit.training.rate_finder.NUM_STEPS", 24)
        yield


@pytest.fixture(scope="module")
def finished(photos: Path, untraced_module: None, short_sweeps: None) -> Path:
    """A run whose two stages found their rates."""
    out = photos.parent / "run"
    run_finetune(FOUND_TWICE, photos, out, console=QUIET)
    return out


def hash_weights(run: Path) -> str:
    return hashlib.sha256((run / "bundle" / "weights.safetensors").read_bytes()).hexdigest()


def read_rates(run: Path) -> list[float]:
    with (run / "history.csv").open(newline="") as file:
        return [float(row["learning_rate"]) for row in csv.DictReader(file)]


def test_the_rates_found_stand_in_history_summary_report_and_pictures(finished: Path) -> None:
    stages = json.loads((finished / "summary.json").read_text())["validation"]
    assert [stage["learning_rate_is_found"] for stage in stages] == [True, True]
    first, second = (stage["learning_rate"] for stage in stages)
    assert 1e-5 < first < 1
    rates = read_rates(finished)
    assert max(rates[:3]) == pytest.approx(first, rel=0.3), "the first epoch of a cosine ends near its top"
    assert max(rates[3:]) <= second
    page = (finished / "report.html").read_text()
    assert page.count("(found)") == 2
    assert "Learning rate sweep of stage 2" in page
    assert {path.name for path in finished.glob("learning-rate-*")} == {"learning-rate-1.png", "learning-rate-2.png"}
    assert [stage.lr for stage in read_recipe(finished / "recipe.toml").stages] == [FIND, FIND]


def test_a_killed_run_goes_on_to_the_bit_with_the_rates_that_it_found(
    photos: Path, finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = [4]
    searched: list[int] = []
    original = StageCallbacks.__init__

    def counting(self: StageCallbacks, on_epoch: Any, *others: Any) -> None:
        def on_epoch_or_die(rows: Sequence[dict[str, Any]]) -> None:
            left[0] -= 1
            if left[0] < 0:
                raise Killed
            on_epoch(rows)

        original(self, on_epoch_or_die, *others)

    def sweep_and_count(*arguments: Any, **settings: Any) -> Any:
        searched.append(len(left))
        return sweep_rates(*arguments, **settings)

    monkeypatch.setattr("tlkit.training.rate_search.sweep_rates", sweep_and_count)
    with monkeypatch.context() as patch:
        patch.setattr(StageCallbacks, "__init__", counting)
        with pytest.raises(Killed):
            run_finetune(FOUND_TWICE, photos, tmp_path / "killed", console=QUIET)
    run_finetune(FOUND_TWICE, photos, tmp_path / "killed", console=QUIET, resume=True)
    assert len(searched) == 2, "each stage searches once"
    assert hash_weights(tmp_path / "killed") == hash_weights(finished)
    assert read_rates(tmp_path / "killed") == read_rates(finished)


@pytest.fixture(scope="module")
def gradual(photos: Path, finished: Path) -> dict[str, Any]:
    """The summary of a run that unfreezes gradually and whose sweeps suggest nothing."""
    stage = Stage(unfreeze="all", gradual=True, epochs=1, batch_size=12, lr=FIND)
    recipe = Recipe(backbone=BackboneSettings(name="mnist_cnn", image_size=32), head=FOUND_TWICE.head, stages=(stage,))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tlkit.training.rate_search.suggest_rates", lambda sweep: None)
        patch.setattr("tlkit.training.rate_finder.NUM_STEPS", 12)
        return run_finetune(recipe, photos, photos.parent / "gradual", console=QUIET, start_from=finished)


def test_where_the_loss_falls_at_no_rate_a_stage_takes_its_usual_one(gradual: dict[str, Any]) -> None:
    assert [each["learning_rate"] for each in gradual["validation"]] == [1e-4, 1e-4]


def test_gradual_unfreezing_tries_one_group_after_the_other(gradual: dict[str, Any]) -> None:
    assert [(each["stage"], each["boundary"]) for each in gradual["validation"]] == [
        ("1-unfreeze-conv2", "conv1"),
        ("2-unfreeze-all", "pixels"),
    ]
    stages = read_recipe(Path(gradual["run"]) / "recipe.toml").stages
    assert [(each.unfreeze, each.gradual) for each in stages] == [("conv2", False), ("all", False)]
