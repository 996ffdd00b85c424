"""A plan: what every step takes, what the cache has, what to do, and the command that does it."""

from __future__ import annotations

import contextlib
import csv
import dataclasses
import io
import shlex
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import click
import pytest
from PIL import Image
from safetensors.numpy import save_file

from tlkit.backbones.build import build_backbone
from tlkit.backbones.weights import read_arrays
from tlkit.cli.finetune import finetune
from tlkit.cli.main import cli
from tlkit.commands.plan import run_plan
from tlkit.errors import SettingError
from tlkit.probes.plan_trial import choose_size, shorten
from tlkit.probes.strategies import find_last_groups, make_strategy, take_head
from tlkit.recipes import Recipe, Stage, resolve_stages
from tlkit.recipes.task_defaults import HEAD_DEFAULTS, TaskDefaults
from tlkit.reports.console import Console

pytestmark = pytest.mark.usefixtures("untraced_module")

QUIET = Console(verbosity=-1)
CLASSES = {"red": 24, "blue": 24}
Sections = Mapping[str, Mapping[str, Any]]


@pytest.fixture(scope="module", autouse=True)
def short_trials() -> Any:
    """Steps are so quick here that less time tells enough."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tlkit.training.stage_costs.SECONDS_OF_A_TRIAL", 0.01)
        patch.setattr("tlkit.training.stage_costs.SECONDS_OF_STEPS", 0.01)
        yield


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory, make_image_folder: Callable[..., Path]) -> Path:
    return make_image_folder(tmp_path_factory.mktemp("data") / "photos", CLASSES, size=(16, 16))


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A file, so that the weights do not count as random."""
    path = tmp_path_factory.mktemp("weights") / "weights.safetensors"
    save_file(read_arrays(build_backbone("mnist_cnn", pooling="none", weights="random").model), path)
    return str(path)


def make_sections(weights: str, *, units: int | None = 4, **data: Any) -> Sections:
    backbone = {"name": "mnist_cnn", "weights": weights, "image_size": 16, "engine": "keras"}
    return {"data": data, "backbone": backbone, "head": {} if units is None else {"units": units}, "training": {}}


def plan(data: Path, sections: Sections, picture: Path, *, views: int = 2) -> dict[str, Any]:
    return run_plan(data, sections=sections, views={"views": views}, out=picture, console=QUIET)


@pytest.fixture(scope="module")
def planned(photos: Path, weights: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The plan of a training on 8 views: more than are computed to time them."""
    picture = tmp_path_factory.mktemp("plan") / "plan.png"
    return plan(photos, make_sections(weights, validation_fraction=0.25), picture, views=8)


def test_a_plan_tells_of_every_step_and_way_and_what_to_do(planned: dict[str, Any]) -> None:
    assert planned["images"] == {"train": 36, "validation": 12, "test": 0}
    assert [step["name"] for step in planned["steps"]] == [
        "features at top",
        "features at top, 8 views",
        "train the head",
        "features at conv1",
        "features at conv1, 8 views",
        "train conv2 and the head",
        "train everything",
    ]
    trained = [step for step in planned["steps"] if step["num_epochs"]]
    assert [step["num_epochs"] for step in trained] == [30, 15, 15]
    assert all(step["seconds"] >= step["num_epochs"] * step["epoch_seconds"] > 0 for step in trained)
    assert [each["unfreeze"] for each in planned["strategies"]] == ["none", "conv2", "all"]
    for strategy in planned["strategies"]:
        assert strategy["seconds"] == pytest.approx(sum(strategy["parts"].values()))
    assert planned["evidence"]["trial"] is None
    assert planned["advice"]["train"] == "the dense head alone"
    assert planned["advice"]["reasons"] == ("Deeper training was not tried: 48 images are too few.",)
    with Image.open(planned["picture"]) as picture:
        assert min(picture.size) > 300


def test_what_the_trial_did_not_compute_is_left_with_its_time_and_disk(planned: dict[str, Any]) -> None:
    """A map at conv1 has 13 x 13 places of 32 channels in float16."""
    plain, views = (step for step in planned["steps"] if step["name"].startswith("features at conv1"))
    assert (plain["num_rows"], plain["num_found"], plain["seconds"], plain["disk_bytes"]) == (48, 48, 0.0, 0)
    num_left = views["num_rows"] - views["num_found"]
    assert views["num_rows"] == 48 + 7 * 36
    assert 0 < num_left < 7 * 36
    assert views["disk_bytes"] % num_left == 0
    assert views["seconds"] > 0


def test_the_command_is_one_that_tlkit_takes_with_all_that_was_given(
    planned: dict[str, Any], photos: Path, weights: str
) -> None:
    words = shlex.split(planned["advice"]["command"])
    assert words[:3] == ["tlkit", "finetune", str(photos)]
    given = finetune.make_context("finetune", words[2:], parent=click.Context(cli, **cli.context_settings)).params
    assert (given["backbone"], given["weights"], given["units"]) == ("mnist_cnn", weights, 4)
    assert (given["validation_fraction"], given["views"], given["image_size"]) == (0.25, 8, 16)
    assert given["out"] == Path("runs/photos-head")


def test_values_metadata_and_boxes_are_planned_too(photos: Path, weights: str, tmp_path: Path) -> None:
    table = tmp_path / "fish.csv"
    with table.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["image", "length", "depth", "xmin", "ymin", "xmax", "ymax"])
        for number, path in enumerate(sorted(photos.rglob("*.png"))):
            writer.writerow([path, float("red" in path.name) + number / 1000, number, 2, 2, 12, 12])
    data: dict[str, Any] = {"task": "regression", "target": "length", "metadata": "depth", "boxes": "fish.csv"}
    payload = plan(table, make_sections(weights, **data), tmp_path / "plan.png")
    assert payload["evidence"]["task"] == "regression"
    assert payload["evidence"]["learning_curve"]["images_now"] == payload["images"]["train"]
    assert "--boxes fish.csv" in payload["advice"]["command"]


def test_settings_that_do_not_go_together_are_refused_before_the_data_are_read(tmp_path: Path) -> None:
    sections = {**make_sections("random", boxes="b"), "head": {"kind": "linear"}}
    with pytest.raises(SettingError, match="the linear head cannot predict boxes"):
        plan(tmp_path / "nowhere", sections, tmp_path / "plan.png")


def test_the_last_groups_hold_a_quarter_of_the_weights_and_leave_something_frozen() -> None:
    assert find_last_groups(build_backbone("tiny", image_size=(32, 32), pooling="avg", weights="random")) == "block4"
    assert find_last_groups(build_backbone("mnist_cnn", pooling="avg", weights="random")) == "conv2"


def test_the_trial_asks_the_same_images_at_both_depths_and_under_a_linear_head(
    photos: Path, weights: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Flat colours are told apart without training the backbone, also by a linear head, which is then advised."""
    monkeypatch.setattr("tlkit.probes.plan_evidence.MIN_TRIED", 48)
    monkeypatch.setattr("tlkit.probes.plan_trial.MAX_EPOCHS", 1)
    usual = TaskDefaults(head=dataclasses.replace(HEAD_DEFAULTS, epochs=8, lr=1e-2))
    monkeypatch.setattr("tlkit.recipes.task_defaults.ONE_ANSWER", usual)
    monkeypatch.setattr("tlkit.probes.folds.MAX_FOLDS", 2)
    stdout = io.StringIO()
    with contextlib.redirect_stdout(stdout):
        payload = run_plan(
            photos, sections=make_sections(weights, units=None), views={}, out=tmp_path / "plan.png", console=Console()
        )
    scores = {score["name"]: score for score in payload["evidence"]["scores"]}
    assert list(scores) == [
        "majority",
        "linear probe",
        "linear head",
        "dense head",
        "dense head and conv2 upwards",
    ]
    assert [score["images"] for score in scores.values()] == [48, 48, 48, 48, 48]
    assert payload["evidence"]["trial"]["trained_on"] == 24
    advice = payload["advice"]
    assert (advice["unfreeze"], advice["head"]) == ("none", "linear")
    assert advice["train"] == "the linear head alone"
    assert "--head linear" in advice["command"]
    assert "--views" not in advice["command"], "finetune's default is one view"
    story = stdout.getvalue()
    assert "The trial holds out each of 48 images once. Training from conv2 upwards takes " in story
    assert "The trial trained on 24 images at a time and took " in story


def test_the_last_groups_stop_where_the_advice_is_settled_and_the_heads_go_on(
    photos: Path, weights: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tlkit.probes.plan_evidence.MIN_TRIED", 48)
    monkeypatch.setattr("tlkit.probes.plan_trial.MAX_EPOCHS", 1)
    usual = TaskDefaults(head=dataclasses.replace(HEAD_DEFAULTS, epochs=2, lr=1e-2))
    monkeypatch.setattr("tlkit.recipes.task_defaults.ONE_ANSWER", usual)
    monkeypatch.setattr("tlkit.probes.folds.MAX_FOLDS", 4)
    found = {}
    for chance in (-1.0, 1.0):  # no fold is saved, or all that may be
        monkeypatch.setattr("tlkit.probes.early_stop.CHANCE_OF_A_CHANGE", chance)
        stdout = io.StringIO()
        with contextlib.redirect_stdout(stdout):
            payload = run_plan(
                photos, sections=make_sections(weights), views={}, out=tmp_path / "plan.png", console=Console()
            )
        found[chance] = (payload["evidence"], stdout.getvalue())
    (whole, long_story), (short, short_story) = found.values()
    assert [score["images"] for score in whole["scores"]] == [48] * 5
    assert [score["images"] for score in short["scores"]] == [48, 48, 48, 48, 24]
    assert short["scores"][:4] == whole["scores"][:4]
    sentence = "The last groups held out 24 of 48 images: the others would hardly have changed the advice."
    assert (sentence in long_story, sentence in short_story) == (False, True)
    assert [each["trial"]["images_of_last_groups"] for each in (whole, short)] == [48, 24]
    assert "in accuracy on 24 held-out images" in short_story


@pytest.mark.parametrize(
    ("given", "kind", "head"),
    [
        ({}, "linear", {"kind": "linear"}),
        ({"dropout": 0.2}, "linear", {"dropout": 0.2, "kind": "linear"}),
        ({"units": 64}, "linear", {"units": 64}),
        ({"kind": "conv"}, "linear", {"kind": "conv"}),
        ({}, None, {}),
    ],
)
def test_a_head_that_was_asked_for_is_kept(given: dict[str, Any], kind: str | None, head: dict[str, Any]) -> None:
    assert take_head({"head": given, "data": {"task": "x"}}, kind) == {"head": head, "data": {"task": "x"}}


@pytest.mark.parametrize(
    ("num_images", "seconds_an_image", "size"),
    [
        (50_000, 0.0001, 1250),
        (500, 0.0001, 500),
        (50_000, 0.0046875, 1000),
        (50_000, 1000.0, 0),
        (100, 0.0, 100),
    ],
)
def test_a_trial_takes_fewer_images_where_they_are_slow(num_images: int, seconds_an_image: float, size: int) -> None:
    """1,000 images: 5 folds of 8 epochs of 640 images at 4.7 ms are two minutes."""
    assert choose_size(num_images, seconds_an_image=seconds_an_image) == size


def test_a_short_stage_is_faster_as_it_takes_fewer_steps() -> None:
    (stage,) = resolve_stages(Recipe(stages=(Stage(unfreeze="block4", views=4),)))
    short = shorten(stage, num_train=800, num_tried=400)
    assert (stage.epochs, stage.lr, stage.patience) == (15, 1e-4, 8)
    assert (short.epochs, short.patience, short.views) == (8, 3, 4)
    assert short.lr == pytest.approx(1e-4 * 2 * 15 / 8)
    assert shorten(stage, num_train=100_000, num_tried=400).lr == pytest.approx(4e-4)
    assert shorten(dataclasses.replace(stage, patience=0), num_train=800, num_tried=400).patience == 3
    brief = dataclasses.replace(stage, epochs=2)
    assert shorten(brief, num_train=300, num_tried=300).lr == 1e-4


def test_a_way_names_only_what_differs_from_the_defaults() -> None:
    sections: Sections = {name: {} for name in ("data", "backbone", "head", "training")}
    sections = {**sections, "backbone": {"name": "tiny"}}
    words = {unfreeze: make_strategy(unfreeze, views={}, sections=sections).command for unfreeze in ("none", "all")}
    assert words == {"none": ("--backbone", "tiny"), "all": ("--backbone", "tiny", "--unfreeze", "all")}
