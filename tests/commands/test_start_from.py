"""Training a model further: what it learns and takes goes on by itself, and a model of another kind is refused."""

from __future__ import annotations

import csv
import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tlkit.data.images import LOADER_VERSION
from tlkit.data.manifest import read_manifest
from tlkit.errors import SettingError
from tlkit.metadata.encoding import CategoryColumn, MetadataEncoding, NumberColumn
from tlkit.models.spec import BundleSpec
from tlkit.models.storage import read_spec
from tlkit.outputs import Target
from tlkit.recipes import BackboneSettings, DataSettings, HeadSettings, Recipe, read_recipe
from tlkit.training.stage_plan import check_same_model

pytestmark = pytest.mark.usefixtures("untraced")

SMALLEST = ("--backbone", "mnist_cnn", "--weights", "random", "--image-size", "32", "--head", "linear")
SHORT = ("--epochs", "1", "--batch-size", "16")
RunCli = Callable[..., Any]

BOATS = MetadataEncoding((CategoryColumn("boat", ("Heron",)), NumberColumn("image-width", 40.0, 2.0, 30.0, 50.0)))
PRICES = {"task": "regression", "target": "price", "target_scale": "log"}


def make_spec(task: str = "classification", *, target: bool = False, metadata: bool = False) -> BundleSpec:
    return BundleSpec(
        "tiny",
        (64, 64),
        "squash",
        LOADER_VERSION,
        "avg",
        HeadSettings(kind="linear"),
        () if target else ("eel", "carp"),
        task=task,
        target=Target("price", 3.0, 1.0, is_log=True) if target else None,
        metadata=BOATS if metadata else MetadataEncoding(()),
    )


SPECS = {
    "classes": make_spec(),
    "labels": make_spec("multilabel"),
    "prices": make_spec("regression", target=True),
    "boats": make_spec(metadata=True),
}


def make_recipe(**data: Any) -> Recipe:
    return Recipe(
        data=DataSettings(**data),
        backbone=BackboneSettings(name="tiny", image_size=64),
        head=HeadSettings(kind="linear"),
    )


@pytest.mark.parametrize(
    ("earlier", "data", "what", "asked", "learnt"),
    [
        ("classes", {"task": "multilabel"}, "task", "multilabel", "classification"),
        ("classes", {"task": "regression", "target": "price"}, "task", "regression", "classification"),
        ("labels", {}, "task", "classification", "multilabel"),
        ("prices", {**PRICES, "task": "classification"}, "task", "classification", "regression"),
        ("prices", {**PRICES, "target": "area"}, "target", "area", "price"),
        ("prices", {**PRICES, "target_scale": "linear"}, "target_scale", "linear", "log"),
        ("classes", {"target": "price"}, "target", "price", "none"),
        ("classes", {"metadata": "boat,hour"}, "metadata", "boat, hour", "none"),
        ("boats", {}, "metadata", "none", "boat, image-width"),
        ("boats", {"metadata": "image-width,boat"}, "metadata", "image-width, boat", "boat, image-width"),
        (
            "boats",
            {"metadata": "boat:number,image-width"},
            "metadata",
            "boat:number, image-width",
            "boat:category, image-width",
        ),
    ],
)
def test_a_model_of_another_kind_is_refused(
    earlier: str, data: dict[str, Any], what: str, asked: str, learnt: str
) -> None:
    with pytest.raises(SettingError) as problem:
        check_same_model(make_recipe(**data), SPECS[earlier])
    assert str(problem.value) == (
        f"{what} is {asked}, but the run to start from has {learnt}.\n"
        "  Expected: settings that match the model to continue from\n"
        f"  Fix: leave {what} out, or begin without --start-from."
    )


@pytest.mark.parametrize(
    ("head", "what", "asked", "learnt"),
    [
        (HeadSettings(kind="conv"), "head", "conv", "linear"),
        (HeadSettings(kind="linear", dropout=0.2), "dropout", "0.2", "0.5"),
        (HeadSettings(kind="linear", units=64), "units", "64", "512"),
    ],
)
def test_another_head_is_refused_by_the_setting_that_differs(
    head: HeadSettings, what: str, asked: str, learnt: str
) -> None:
    with pytest.raises(SettingError) as problem:
        check_same_model(dataclasses.replace(make_recipe(), head=head), SPECS["classes"])
    assert str(problem.value) == (
        f"{what} is {asked}, but the run to start from has {learnt}.\n"
        "  Expected: settings that match the model to continue from\n"
        f"  Fix: leave {what} out, or begin without --start-from."
    )


@pytest.mark.parametrize(
    ("earlier", "data"),
    [
        ("classes", {}),
        ("labels", {"task": "multilabel"}),
        ("prices", PRICES),
        ("boats", {"metadata": "boat,image-width"}),
        ("boats", {"metadata": "boat:category,image-width:number"}),
    ],
)
def test_the_same_model_is_trained_further(earlier: str, data: dict[str, Any]) -> None:
    check_same_model(make_recipe(**data), SPECS[earlier])


# On the command line


@pytest.fixture(scope="module")
def priced(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table of pictures with prices, boats, hours and depths."""
    root = tmp_path_factory.mktemp("priced")
    rng = np.random.default_rng(0)
    rows = []
    for number in range(30):
        Image.fromarray(rng.integers(0, 256, (40, 40, 3), np.uint8)).save(root / f"{number:02}.png")
        boat = ("Heron", "Otter")[number % 2]
        rows.append((f"{number:02}.png", 2 ** int(rng.integers(1, 9)), boat, int(rng.integers(24)), number % 7))
    with (root / "photos.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("path", "price", "boat", "hour", "depth"), *rows])
    return root / "photos.csv"


@pytest.fixture
def first(priced: Path, run_cli: RunCli) -> Path:
    """A run that learns the logarithm of a price beside boat and hour, made once."""
    folder = priced.parent / "first"
    if not folder.exists():
        options = ("--task", "regression", "--target", "price", "--target-scale", "log", "--metadata", "boat,hour")
        assert run_cli("finetune", priced, *SMALLEST, *SHORT, *options, "--out", folder, "-q").exit_code == 0
    return folder


def test_what_a_run_learns_and_takes_need_not_be_said_again(
    priced: Path, first: Path, tmp_path: Path, run_cli: RunCli
) -> None:
    second = tmp_path / "second"
    result = run_cli(
        "finetune", priced, "--start-from", first, "--unfreeze", "conv2", *SHORT, "--out", second, "-q"
    )  # fmt: skip
    assert (result.exit_code, result.stderr) == (0, "")
    before, after = (read_spec(run, loader_version=LOADER_VERSION) for run in (first, second))
    assert (after.task, after.target, after.metadata) == (before.task, before.target, before.metadata)
    assert after.metadata.names == ("boat", "hour")
    assert (after.target.name, after.target.is_log) == ("price", True)  # type: ignore[union-attr]
    data = read_recipe(second / "recipe.toml").data
    assert (data.task, data.target, data.target_scale) == ("regression", "price", "log")
    assert data.metadata == "boat:category,hour:number"
    records = read_manifest(second).records
    assert {record.path.name: record.split for record in records} == {
        record.path.name: record.split for record in read_manifest(first).records
    }
    assert all(record.metadata[0] in ("Heron", "Otter") for record in records)


@pytest.mark.parametrize("command", ["finetune", "run"])
@pytest.mark.parametrize(
    ("option", "asked", "learnt"),
    [
        ("--task", "classification", "regression"),
        ("--target", "depth", "price"),
        ("--target-scale", "linear", "log"),
        ("--metadata", "boat", "boat, hour"),
    ],
)
def test_an_option_that_makes_another_model_is_refused(
    priced: Path, first: Path, tmp_path: Path, run_cli: RunCli, command: str, option: str, asked: str, learnt: str
) -> None:
    recipe = tmp_path / "recipe.toml"
    recipe.write_text("[[stage]]\nepochs = 1\n")
    words = ("finetune",) if command == "finetune" else ("run", recipe)
    result = run_cli(*words, priced, "--start-from", first, option, asked, "--out", tmp_path / "second")
    name = option.removeprefix("--").replace("-", "_")
    assert (result.exit_code, result.stderr) == (
        1,
        f"Error: {name} is {asked}, but the run to start from has {learnt}.\n"
        "  Expected: settings that match the model to continue from\n"
        f"  Fix: leave {name} out, or begin without --start-from.\n",
    )
    assert not (tmp_path / "second").exists()
