"""The whole of training, on drawn pictures and small random backbones."""

from __future__ import annotations

import csv
import dataclasses
import hashlib
import itertools
import json
import shutil
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from tlkit.backbones.build import build_backbone
from tlkit.backbones.weights import read_arrays
from tlkit.commands.evaluate import EvaluateOptions, run_evaluate
from tlkit.commands.finetune import run_finetune
from tlkit.data.images import LOADER_VERSION
from tlkit.data.manifest import read_manifest
from tlkit.data.seen_images import read_seen_images
from tlkit.errors import BackboneError, DataError, RunError, SettingError
from tlkit.inference.scoring import score_records
from tlkit.models.saving import read_bundle
from tlkit.models.storage import read_spec
from tlkit.recipes import BackboneSettings, DataSettings, HeadSettings, Recipe, Stage, TrainingSettings, read_recipe
from tlkit.reports.console import Console
from tlkit.training.loop import StageCallbacks

QUIET = Console(verbosity=-1)
HEAD = Stage(epochs=8, lr=0.02)
TINY = BackboneSettings(name="tiny", weights="random", image_size=32)


def make_recipe(*stages: Stage, **sections: Any) -> Recipe:
    """Return a recipe for a linear head on the smallest backbone, from random weights."""
    settings: dict[str, Any] = {
        "backbone": BackboneSettings(name="mnist_cnn", weights="random", image_size=32),
        "head": HeadSettings(kind="linear"),
    }
    small = tuple(dataclasses.replace(stage, batch_size=12) for stage in stages or (HEAD,))
    return Recipe(**(settings | sections), stages=small)


@pytest.fixture
def photos(tmp_path: Path, make_image_folder: Callable[..., Path]) -> Path:
    """Flat and striped pictures, split already."""
    layout = {"train/red": 12, "train/striped": 12, "validation/red": 6, "validation/striped": 6}
    return make_image_folder(tmp_path / "photos", layout)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """`finished(recipe, photos, copied_after=())`: the folder of a finished run, made once; all tests have the same pictures.

    Beside it lie copies of it, `after-N`, as a kill after so many epochs would leave it, counted over all stages.
    """
    made: list[tuple[Recipe, Path]] = []

    def get(recipe: Recipe, photos: Path, copied_after: Collection[int] = ()) -> Path:
        for known, folder in made:
            if known == recipe and all((folder.parent / f"after-{number}").exists() for number in copied_after):
                return folder
        folder = tmp_path_factory.mktemp("finished") / "run"
        copies = {number: folder.parent / f"after-{number}" for number in copied_after}
        run_and_copy(recipe, photos, folder, copies)
        made.append((recipe, folder))
        return folder

    return get


Finished = Callable[..., Path]


def run_and_copy(recipe: Recipe, data: Path, out: Path, copies: Mapping[int, Path]) -> None:
    """Make a run, and copy its folder as a kill would leave it after so many epochs, counted over all stages."""
    epochs = itertools.count()
    original = StageCallbacks.__init__

    def copying(self: StageCallbacks, on_epoch: Any, *others: Any) -> None:
        def copy(rows: Any) -> None:
            if killed := copies.get(next(epochs)):
                shutil.copytree(out, killed)
            on_epoch(rows)

        original(self, copy, *others)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(StageCallbacks, "__init__", copying)
        run_finetune(recipe, data, out, console=QUIET)


def hash_weights(run: Path) -> str:
    """Return the hash of a run's weights."""
    return hashlib.sha256((run / "bundle" / "weights.safetensors").read_bytes()).hexdigest()


def read_history(run: Path) -> list[dict[str, str]]:
    """Return history.csv without the seconds, which no two runs share."""
    with (run / "history.csv").open(newline="") as file:
        return [{name: value for name, value in row.items() if name != "seconds"} for row in csv.DictReader(file)]


def test_a_run_learns_and_leaves_everything_that_it_promises(photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    summary = run_finetune(make_recipe(), photos, out, console=QUIET)
    assert {path.name for path in out.iterdir()} == {
        ".tlkit-output", ".lock", "recipe.toml", "manifest.csv", "manifest.json", "skipped.csv", "findings.csv", "history.csv",
        "tensorboard", "bundle", "summary.json", "curves.png", "confusion.png", "reliability.png", "views.png", "report.html",
        "predictions.csv",
    }  # fmt: skip
    assert summary["accuracy"]["value"] >= 0.9
    assert summary["chose_epoch"] is True
    assert "This run has no test images; --test-fraction reserves some." in (out / "report.html").read_text()
    assert summary["run"] == str(out)
    (stage,) = summary["validation"]
    assert stage["before"]["accuracy"] == 0.5
    assert stage["before"]["loss"] == pytest.approx(np.log(2), abs=1e-5)
    assert stage["after"]["loss"] < 0.5
    assert json.loads((out / "summary.json").read_text())["macro_f1"] == summary["macro_f1"]
    assert read_spec(out, loader_version=LOADER_VERSION).class_names == ("red", "striped")
    assert read_recipe(out / "recipe.toml").stages[0].name == "1-head"


def test_evaluation_repeats_what_training_reported(photos: Path, finished: Finished, tmp_path: Path) -> None:
    out = finished(make_recipe(), photos)
    summary = json.loads((out / "summary.json").read_text())
    payload = run_evaluate(out, None, EvaluateOptions(split="validation"), console=QUIET, settings=DataSettings())
    assert payload["accuracy"] == summary["accuracy"]
    assert payload["macro_f1"] == summary["macro_f1"]


def test_random_labels_do_not_score_well(tmp_path: Path, make_image: Callable[..., Any]) -> None:
    rng = np.random.default_rng(0)
    for index in range(160):
        split, label = ("validation" if index % 2 else "train"), rng.integers(2)
        folder = tmp_path / "noise" / split / f"class{label}"
        folder.mkdir(parents=True, exist_ok=True)
        make_image(f"any{rng.integers(10**9)}", index).save(folder / f"{index}.png")
    summary = run_finetune(make_recipe(), tmp_path / "noise", tmp_path / "run", console=QUIET)
    assert 0.3 <= summary["accuracy"]["value"] <= 0.7, "within four standard deviations of chance"


@pytest.mark.usefixtures("untraced")
@pytest.mark.parametrize(
    ("backbone", "unfreeze", "boundary"), [(TINY, "block3", "block2"), (make_recipe().backbone, "all", "pixels")]
)
def test_an_unfrozen_run_says_what_was_trained_and_what_it_changed(
    backbone: BackboneSettings,
    unfreeze: str,
    boundary: str,
    photos: Path,
    finished: Finished,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    first = finished(make_recipe(backbone=backbone), photos)
    recipe = make_recipe(Stage(unfreeze=unfreeze, epochs=1, lr=1e-4, mixup=0.2, patience=0), backbone=backbone)
    summary = run_finetune(recipe, photos, tmp_path / "second", console=Console(), start_from=first)
    assert summary["validation"][0]["boundary"] == boundary
    unfrozen = {0: "none", 1: unfreeze}[summary["validation"][0]["best_epoch"]]
    assert read_spec(tmp_path / "second", loader_version=LOADER_VERSION).unfrozen == unfrozen
    story = capsys.readouterr().out
    assert ("Batch norm of the unfrozen groups: frozen." in story) == (backbone == TINY)
    assert f"{'Kept' if summary['validation'][0]['verdict']['is_kept'] else 'Undone'}: unfreezing {unfreeze}: " in story
    assert ", MixUp 0.2." in story


@pytest.mark.usefixtures("untraced")
def test_training_on_cached_features_equals_training_on_pictures(
    photos: Path, finished: Finished, tmp_path: Path
) -> None:
    """With the trunk frozen by a rate of 0, the boundary decides the speed and not the result.

    The rates are small: jumping losses would magnify the last bits, in which a trunk with folded batch norm differs.
    """
    first = finished(make_recipe(backbone=TINY), photos)
    settings = dataclasses.replace(TINY, feature_dtype="float32")
    cached = Stage(name="same", unfreeze="block4", epochs=2, lr=3e-5, group_lr={"block4": 1e-5}, patience=0)
    frozen = {"stem": 0.0, "block1": 0.0, "block2": 0.0, "block3": 0.0, "block4": 1e-5}
    pictures = dataclasses.replace(cached, unfreeze="all", group_lr=frozen, policy="none")
    losses = []
    for stage in (cached, pictures):
        out = tmp_path / stage.unfreeze
        run_finetune(make_recipe(stage, backbone=settings), photos, out, console=QUIET, start_from=first)
        rows = read_history(out)
        losses.append([[float(row["train_loss"]), float(row["validation_loss"])] for row in rows])
    np.testing.assert_allclose(losses[0], losses[1], rtol=2e-4, atol=2e-5)


@pytest.fixture(autouse=True)
def save_early(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the state be saved as if the epochs of a test took long."""
    monkeypatch.setattr("tlkit.training.call_sizes.SECONDS_WORTH_SAVING", 0.0)


CACHED_THEN_UNFROZEN = make_recipe(
    Stage(epochs=2, lr=0.01, views=2, patience=0),
    Stage(unfreeze="all", epochs=2, lr=0.001, policy="strong", patience=0),
    head=HeadSettings(kind="dense", dropout=0.5, units=16, whiten="pca"),
)
SMALL_THEN_LARGE_FROM_SCRATCH = make_recipe(
    Stage(unfreeze="all", epochs=2, policy="crops", resize_to=16), Stage(unfreeze="all", epochs=1)
)
UNFROZEN_TWICE = make_recipe(
    Stage(unfreeze="block4", epochs=1, lr=0.001, patience=0),
    Stage(unfreeze="block4", epochs=2, lr=0.001, average=2, patience=0),
    backbone=BackboneSettings(name="tiny", image_size=32),
    training=TrainingSettings(bn="train"),
)
MIXED = make_recipe(
    Stage(epochs=2, lr=0.01, views=2, mixup=0.4, patience=0),
    Stage(unfreeze="all", epochs=2, lr=0.001, mixup=0.4, cutmix=1.0, patience=0),
    training=TrainingSettings(focal=2.0),
)


@pytest.mark.parametrize(
    ("recipe", "after_epochs"),
    [(MIXED, [3]), (CACHED_THEN_UNFROZEN, [1, 3]), (SMALL_THEN_LARGE_FROM_SCRATCH, [2]), (UNFROZEN_TWICE, [2])],
)
def test_a_killed_run_resumes_to_the_bit(
    recipe: Recipe,
    after_epochs: list[int],
    photos: Path,
    finished: Finished,
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> None:
    if recipe is not MIXED:
        request.getfixturevalue("untraced")
    undisturbed = finished(recipe, photos, after_epochs)
    data = Path(read_recipe(undisturbed / "recipe.toml").inputs.data or "")
    for number in after_epochs:
        killed = shutil.copytree(undisturbed.parent / f"after-{number}", tmp_path / f"killed-after-{number}")
        assert not (killed / "summary.json").exists()
        run_finetune(recipe, data, killed, console=QUIET, resume=True)
        assert hash_weights(killed) == hash_weights(undisturbed)
        assert read_history(killed) == read_history(undisturbed)
        assert not (killed / "state").exists()


def test_the_same_recipe_data_and_seed_give_the_same_run(photos: Path, finished: Finished, tmp_path: Path) -> None:
    one, two = finished(MIXED, photos), tmp_path / "two"
    run_finetune(MIXED, photos, two, console=QUIET)
    assert hash_weights(one) == hash_weights(two)
    assert read_history(one) == read_history(two)


def test_resuming_a_finished_run_changes_nothing(photos: Path, finished: Finished, tmp_path: Path) -> None:
    out = finished(make_recipe(), photos)
    before = hash_weights(out)
    data = Path(read_recipe(out / "recipe.toml").inputs.data or "")
    again = run_finetune(make_recipe(), data, out, console=QUIET, resume=True)
    assert again == json.loads((out / "summary.json").read_text())
    assert hash_weights(out) == before


@pytest.mark.usefixtures("untraced")
def test_resuming_with_other_settings_is_refused(photos: Path, finished: Finished) -> None:
    whole = finished(SMALL_THEN_LARGE_FROM_SCRATCH, photos, [2])
    other = dataclasses.replace(SMALL_THEN_LARGE_FROM_SCRATCH.stages[0], lr=0.5)
    recipe = dataclasses.replace(
        SMALL_THEN_LARGE_FROM_SCRATCH, stages=(other, *SMALL_THEN_LARGE_FROM_SCRATCH.stages[1:])
    )
    out = whole.parent / "after-2"
    data = Path(read_recipe(whole / "recipe.toml").inputs.data or "")
    with pytest.raises(RunError) as problem:
        run_finetune(recipe, data, out, console=QUIET, resume=True)
    assert str(problem.value) == (
        f"--resume: {out} was started with other settings: stage 1.lr: 0.002 → 0.5.\n"
        "  Expected: the original settings, so that the result is the same as without interruption\n"
        "  Fix: use the same options, or start a new run with another --out."
    )


def test_an_existing_folder_is_never_overwritten(photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    out.mkdir()
    (out / "mine.txt").write_text("keep")
    with pytest.raises(RunError) as problem:
        run_finetune(make_recipe(), photos, out, console=QUIET)
    assert str(problem.value) == (
        f"--out {out} already exists.\n"
        "  Expected: a new folder, so that nothing is overwritten\n"
        "  Fix: use another --out."
    )
    with pytest.raises(RunError) as problem:
        run_finetune(make_recipe(), photos, photos / "run", console=QUIET)
    assert problem.value.found == f"--out {photos / 'run'} is inside the data folder {photos}."
    assert not (photos / "run").exists()


@pytest.mark.usefixtures("untraced")
def test_a_stage_that_makes_nothing_better_is_rolled_back(
    photos: Path, finished: Finished, tmp_path: Path, make_image_folder: Callable[..., Path]
) -> None:
    """Learning the classes the wrong way round makes validation worse on every processor."""
    first = finished(make_recipe(), photos)
    ruin = make_recipe(Stage(unfreeze="conv2", epochs=2, lr=0.01, lr_ratio=1.0, schedule="constant"))
    make_image_folder(tmp_path / "photos", {"train/red": 12, "train/striped": 12}, start=50)
    train = tmp_path / "photos" / "train"
    (train / "red").rename(train / "other")
    (train / "striped").rename(train / "red")
    (train / "other").rename(train / "striped")
    summary = run_finetune(ruin, photos, tmp_path / "second", console=QUIET, start_from=first)
    (stage,) = summary["validation"]
    assert stage["best_epoch"] == 0
    assert stage["after"] == stage["before"]
    assert not stage["verdict"]["is_kept"]
    assert stage["verdict"]["decided_by"] == "score", "the images fared worse one by one"
    assert stage["verdict"]["trained"]["loss"] > stage["before"]["loss"]
    one, two = (read_bundle(run, loader_version=LOADER_VERSION) for run in (first, tmp_path / "second"))
    records = read_manifest(first).in_split("validation")
    np.testing.assert_array_equal(score_records(one, records).answers, score_records(two, records).answers)


@pytest.mark.usefixtures("untraced")
def test_a_stage_at_another_image_size_hands_its_weights_on(photos: Path, finished: Finished) -> None:
    out = finished(SMALL_THEN_LARGE_FROM_SCRATCH, photos)
    recipe = read_recipe(out / "recipe.toml")
    assert (recipe.training.bn, [stage.lr_ratio for stage in recipe.stages]) == ("train", [1.0, 1.0])
    assert read_spec(out, loader_version=LOADER_VERSION).image_size == (32, 32)
    losses = [float(row["train_loss"]) for row in read_history(out)]
    # Thrown away, the weights of the first stage would make the second begin at log 2 again.
    assert losses[2] < losses[0]


def test_a_head_made_for_one_image_size_refuses_another(photos: Path, tmp_path: Path) -> None:
    recipe = make_recipe(Stage(unfreeze="all", resize_to=16), head=HeadSettings(kind="dense"))
    with pytest.raises(SettingError) as problem:
        run_finetune(recipe, photos, tmp_path / "run", console=QUIET)
    assert str(problem.value) == (
        "Stage 1-from-scratch: resize_to = 16, but the dense head is made for one size.\n"
        "  Expected: a head that pools, linear, conv, detector or segmenter, where stages differ in image size\n"
        "  Fix: set the head's kind, or remove resize_to from the stage."
    )
    assert not (tmp_path / "run").exists()


@pytest.mark.usefixtures("untraced")
def test_a_run_that_starts_from_another_keeps_its_split(tmp_path: Path, make_image_folder: Callable[..., Path]) -> None:
    data = make_image_folder(tmp_path / "photos", {"red": 14, "striped": 14})
    first, second = tmp_path / "first", tmp_path / "second"
    run_finetune(make_recipe(), data, first, console=QUIET)
    make_image_folder(tmp_path / "photos", {"red": 6}, start=50)
    gone = read_manifest(first).in_split("train")[0]
    gone.path.unlink()
    recipe = make_recipe(Stage(epochs=1), training=TrainingSettings(seed=9))
    run_finetune(recipe, data, second, console=QUIET, start_from=first)
    before = {record.sha256: record.split for record in read_manifest(first).records}
    after = {record.sha256: record.split for record in read_manifest(second).records}
    assert before.pop(gone.sha256) == "train"
    assert len(after) == len(before) + 6
    assert before.items() <= after.items()
    assert read_seen_images(second).splits[gone.sha256] == "train", "the model goes on knowing it"


def test_another_backbone_than_that_of_the_run_to_start_from_is_refused(
    photos: Path, finished: Finished, tmp_path: Path
) -> None:
    first = finished(make_recipe(), photos)
    with pytest.raises(SettingError) as problem:
        run_finetune(
            make_recipe(backbone=BackboneSettings(name="vgg16")),
            photos,
            tmp_path / "second",
            console=QUIET,
            start_from=first,
        )
    assert str(problem.value) == (
        "backbone is vgg16, but the run to start from has mnist_cnn.\n"
        "  Expected: settings that match the model to continue from\n"
        "  Fix: leave backbone out, or begin without --start-from."
    )


@pytest.mark.parametrize(
    ("recipe", "kind", "found"),
    [
        (make_recipe(Stage(unfreeze="conv9")), BackboneError, "mnist_cnn has no layer group 'conv9'"),
        (make_recipe(backbone=BackboneSettings(name="vgg61")), BackboneError, "vgg61"),
        (
            make_recipe(training=TrainingSettings(bn="train")),
            SettingError,
            "bn = 'train' has no effect: only the head is trained.",
        ),
    ],
)
def test_bad_names_are_refused_before_anything_is_written(
    recipe: Recipe, kind: type[Exception], found: str, photos: Path, tmp_path: Path
) -> None:
    with pytest.raises(kind) as problem:
        run_finetune(recipe, photos, tmp_path / "run", console=QUIET)
    assert found in problem.value.found  # type: ignore[attr-defined]
    assert not (tmp_path / "run").exists()


def test_a_backbone_without_batch_norm_refuses_a_way_to_train_it(photos: Path, tmp_path: Path) -> None:
    weights = tmp_path / "mine.safetensors"
    save_file(read_arrays(build_backbone("mnist_cnn", pooling="none", weights="random").model), weights)
    recipe = make_recipe(
        Stage(unfreeze="all"),
        backbone=BackboneSettings(name="mnist_cnn", weights=str(weights)),
        training=TrainingSettings(bn="affine"),
    )
    with pytest.raises(SettingError) as problem:
        run_finetune(recipe, photos, tmp_path / "run", console=QUIET)
    assert str(problem.value) == (
        "bn = 'affine' has no effect: mnist_cnn has no batch norm.\n"
        "  Expected: only settings that this run uses\n"
        "  Fix: leave bn out."
    )


@pytest.mark.usefixtures("untraced")
def test_a_file_that_changes_while_pictures_are_trained_on_stops_the_run_and_loses_nothing(
    photos: Path, tmp_path: Path
) -> None:
    recipe = make_recipe(Stage(unfreeze="all", epochs=3, patience=0))
    out = tmp_path / "run"
    run_and_copy(recipe, photos, tmp_path / "whole", {1: out})
    victim = photos / "train" / "red" / "red_000.png"
    shutil.copy(victim, tmp_path / "kept.png")
    victim.write_bytes(b"ruined")
    with pytest.raises(DataError) as problem:
        run_finetune(recipe, photos, out, console=QUIET, resume=True)
    assert str(problem.value) == (
        f"{victim}: changed since it was checked.\n"
        "  Expected: images unchanged since the run began\n"
        "  Fix: restore the file and continue with --resume; no training is lost."
    )
    shutil.copy(tmp_path / "kept.png", victim)
    assert run_finetune(recipe, photos, out, console=QUIET, resume=True)["validation"][0]["epochs"] == 3
