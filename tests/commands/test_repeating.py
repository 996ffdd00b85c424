"""A run's recipe repeats the run, from any folder, and says so where what it was made from is gone or has changed."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tlkit.features.allowed_engines import Choice, iterate_choices
from tlkit.recipes import ResolvedBackbone, read_recipe

pytestmark = pytest.mark.usefixtures("untraced")

RunCli = Callable[..., Any]
SMALLEST = ("--backbone", "mnist_cnn", "--weights", "random", "--image-size", "32", "--precision", "float32")
SHORT = ("--epochs", "2", "--batch-size", "8")


@pytest.fixture(autouse=True)
def short_sweeps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the search for a rate take few steps."""
    monkeypatch.setattr("tlkit.training.rate_finder.NUM_STEPS", 12)


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory, make_image_folder: Callable[..., Path]) -> Path:
    """A table of pictures of two classes, with a boat, and boxes in a table beside it."""
    root = make_image_folder(tmp_path_factory.mktemp("work") / "photos", {"red": 12, "striped": 12})
    paths = sorted(path.relative_to(root) for path in root.rglob("*.png"))
    for name, columns, rows in (
        ("photos.csv", ("path", "label", "boat"), [(path, path.parts[0], "Heron"[: 3 + n % 2]) for n, path in enumerate(paths)]),
        ("boxes.csv", ("path", "xmin", "ymin", "xmax", "ymax"), [(path, 4, 4, 30, 20) for path in paths]),
    ):  # fmt: skip
        with (root / name).open("w", newline="") as file:
            csv.writer(file).writerows([columns, *rows])
    return root / "photos.csv"


@pytest.fixture
def run_in_work(table: Path, run_cli: RunCli, monkeypatch: pytest.MonkeyPatch) -> RunCli:
    """Run a command in the folder above the photos, with relative paths."""

    def run(*words: object) -> Any:
        monkeypatch.chdir(table.parent.parent)
        return run_cli(*words)

    return run


@pytest.fixture
def first(table: Path, run_in_work: RunCli) -> Path:
    """A finished run of a head, made once."""
    run = table.parent.parent / "runs" / "first"
    if not run.exists():
        options = (*SMALLEST, "--head", "linear", *SHORT, "--seed", "3", "--sample", "0.9")
        assert run_in_work("finetune", "photos", *options, "--out", "runs/first", "-q").exit_code == 0
    return run


def repeat(run: Path, elsewhere: Path, run_cli: RunCli, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Run a run's recipe in another folder, without any other word, and return the new run."""
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    result = run_cli("run", run / "recipe.toml", "--out", "again", "-q")
    assert result.exit_code == 0, result.stderr
    return elsewhere / "again"


def assert_same_run(one: Path, other: Path) -> None:
    """Assert that two runs gave the same model, to the last bit, on the same images."""
    for name in ("bundle/weights.safetensors", "bundle/golden.safetensors", "manifest.csv"):
        assert (one / name).read_bytes() == (other / name).read_bytes(), name


def test_a_run_that_starts_from_another_repeats_from_another_folder(
    first: Path, tmp_path: Path, run_in_work: RunCli, run_cli: RunCli, monkeypatch: pytest.MonkeyPatch
) -> None:
    second = tmp_path / "second"
    options = ("--start-from", "runs/first", "--unfreeze", "conv2", "--gradual", "--lr", "find", *SHORT)
    result = run_in_work("finetune", "photos", *options, "--out", second, "-q")
    assert result.exit_code == 0, result.stderr
    assert_same_run(second, repeat(second, tmp_path / "elsewhere", run_cli, monkeypatch))
    recipe = read_recipe(second / "recipe.toml")
    assert recipe.backbone.weights is None
    assert recipe.inputs.data == str(first.parent.parent / "photos")
    assert recipe.inputs.start_from == str(first)
    assert recipe.made_by.command == (
        "tlkit finetune photos --start-from runs/first --unfreeze conv2 --gradual --lr find --epochs 2 --batch-size 8 "
        f"--out {second} -q"
    )
    assert recipe.made_by.versions is not None
    assert recipe.made_by.versions.startswith("tlkit ")


def test_a_run_with_boxes_metadata_and_views_repeats(
    table: Path, tmp_path: Path, run_in_work: RunCli, run_cli: RunCli, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "run"
    options = (*SMALLEST, "--metadata", "boat", "--boxes", "photos/boxes.csv", "--units", "8", "--test-fraction", "0.2")
    training = ("--epochs", "1", "--batch-size", "8", "--views", "2")
    result = run_in_work("finetune", "photos/photos.csv", *options, *training, "--out", run, "-q")
    assert result.exit_code == 0, result.stderr
    recipe = read_recipe(run / "recipe.toml")
    assert recipe.data.boxes == str(table.parent / "boxes.csv")
    assert_same_run(run, repeat(run, tmp_path / "elsewhere", run_cli, monkeypatch))


def test_an_interrupted_run_goes_on_by_its_recipe_alone(first: Path, run_cli: RunCli) -> None:
    result = run_cli("run", first / "recipe.toml", "--out", first, "--resume")
    assert (result.exit_code, result.stdout) == (0, f"{first} is already finished.\n")


@pytest.fixture
def copied(first: Path, tmp_path: Path) -> Path:
    """The photos, the run and its recipe, copied to where they can be changed."""
    shutil.copytree(first.parent.parent, tmp_path / "copy")
    recipe = tmp_path / "copy" / "runs" / "first" / "recipe.toml"
    text = recipe.read_text()
    recipe.write_text(text.replace(str(first.parent.parent), str(tmp_path / "copy")))
    return recipe


def test_images_that_have_changed_are_refused(copied: Path, tmp_path: Path, run_cli: RunCli) -> None:
    photos = tmp_path / "copy" / "photos"
    next(photos.rglob("red*.png")).unlink()
    result = run_cli("run", copied, "--out", tmp_path / "again")
    assert (result.exit_code, result.stderr.splitlines()[-3:]) == (
        1,
        [
            f"Error: {photos} has changed since the recipe was made: its images, splits or targets differ.",
            "  Expected: the same images, so that the run repeats",
            "  Fix: restore them, or use them as they are now: pass the data set after the recipe.",
        ],
    )
    assert not (tmp_path / "again").exists()
    assert run_cli("run", copied, photos, "--out", tmp_path / "again", "-q").exit_code == 0


def test_a_data_set_that_is_gone_is_named(copied: Path, tmp_path: Path, run_cli: RunCli) -> None:
    photos = tmp_path / "copy" / "photos"
    shutil.rmtree(photos)
    result = run_cli("run", copied)
    assert (result.exit_code, result.stderr) == (
        1,
        f"Error: {copied}: its data set no longer exists: {photos}.\n"
        "  Expected: the data set that the recipe was made with\n"
        f"  Fix: give its new path: tlkit run {copied} DATA\n",
    )


def start_from(recipe: Path, start: Path, sha256: str = "") -> Path:
    """Let a recipe start from a run."""
    lines = ["[inputs]", f'start_from = "{start}"', *([f'start_sha256 = "{sha256}"'] if sha256 else [])]
    text = recipe.read_text().replace("[inputs]", "\n".join(lines))
    recipe.write_text("".join(line for line in text.splitlines(keepends=True) if not line.startswith("weights =")))
    return recipe


def test_a_start_that_has_changed_is_refused(copied: Path, first: Path, tmp_path: Path, run_cli: RunCli) -> None:
    recipe = start_from(copied, first, "0" * 64)
    result = run_cli("run", recipe, "--out", tmp_path / "again")
    assert (result.exit_code, result.stderr) == (
        1,
        f"Error: {first} has changed since the recipe was made.\n"
        "  Expected: the same bundle, so that the run repeats\n"
        "  Fix: restore it, or use it as it is now: add --start-from with its path.\n",
    )


def test_a_start_that_is_gone_is_named(copied: Path, tmp_path: Path, run_cli: RunCli) -> None:
    recipe = start_from(copied, tmp_path / "gone")
    result = run_cli("run", recipe)
    assert (result.exit_code, result.stderr) == (
        1,
        f"Error: {recipe}: the run that it starts from no longer exists: {tmp_path / 'gone'}.\n"
        "  Expected: the run or bundle that the recipe was made with\n"
        "  Fix: give its new path: --start-from RUN.\n",
    )


def test_a_recipe_without_data_needs_some(tmp_path: Path, run_cli: RunCli) -> None:
    recipe = tmp_path / "recipe.toml"
    recipe.write_text("[[stage]]\n")
    result = run_cli("run", recipe)
    assert (result.exit_code, result.stderr) == (
        1,
        f"Error: {recipe} names no data set.\n"
        "  Expected: a data set after the recipe, or data in its [inputs] table\n"
        f"  Fix: tlkit run {recipe} DATA\n",
    )


def test_what_a_recipe_says_itself_must_fit_the_run_to_start_from(
    first: Path, tmp_path: Path, run_in_work: RunCli
) -> None:
    recipe = tmp_path / "recipe.toml"
    recipe.write_text('[backbone]\nname = "tiny"\n[[stage]]\n')
    result = run_in_work("run", recipe, "photos", "--start-from", "runs/first")
    assert (result.exit_code, result.stderr) == (
        1,
        "Error: backbone is tiny, but the run to start from has mnist_cnn.\n"
        "  Expected: settings that match the model to continue from\n"
        "  Fix: leave backbone out, or begin without --start-from.\n",
    )


def test_a_run_repeats_with_the_engine_that_it_had_and_does_not_choose_anew(
    first: Path, tmp_path: Path, run_cli: RunCli, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = read_recipe(first / "recipe.toml")
    assert (recipe.backbone.engine, recipe.made_by.engines) == ("auto", "top keras float32")
    asked = []

    def ask(backbone: ResolvedBackbone) -> Iterator[Choice]:
        asked.append(backbone.engine)
        return iterate_choices(backbone)

    monkeypatch.setattr("tlkit.features.engine_choice.iterate_choices", ask)
    monkeypatch.setenv("TLKIT_CACHE", str(tmp_path / "empty"))
    assert_same_run(first, repeat(first, tmp_path / "elsewhere", run_cli, monkeypatch))
    assert set(asked) == {"keras"}
    assert read_recipe(tmp_path / "elsewhere" / "again" / "recipe.toml").made_by.engines == "top keras float32"


def test_an_engine_of_a_run_that_is_not_there_is_told_and_another_takes_its_place(
    first: Path, copied: Path, tmp_path: Path, run_cli: RunCli
) -> None:
    copied.write_text(copied.read_text().replace("top keras float32", "top openvino bfloat16"))
    result = run_cli("run", copied, "--out", tmp_path / "again")
    assert result.exit_code == 0, result.stderr
    assert "The recipe's run computed its features with OpenVINO, which is not installed here" in result.stdout
    assert read_recipe(tmp_path / "again" / "recipe.toml").made_by.engines == "top keras float32"
    assert_same_run(first, tmp_path / "again")
