"""A trained model is never lost: it is on the disk after each stage, and what fails afterwards can be made later."""

from __future__ import annotations

import errno
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from tlkit.commands.finetune import run_finetune
from tlkit.data.images import LOADER_VERSION
from tlkit.errors import NumericsError, RunError
from tlkit.models.saving import read_bundle
from tlkit.models.storage import read_spec
from tlkit.recipes import BackboneSettings, HeadSettings, Recipe, Stage
from tlkit.reports.console import Console
from tlkit.runs.finalize import finish_model

pytestmark = pytest.mark.usefixtures("untraced_module")

HEAD = Stage(epochs=2, batch_size=8, lr=0.01, patience=0)
UNFROZEN = Stage(unfreeze="conv2", epochs=1, batch_size=8, lr=0.01, patience=0)
SMALLEST = BackboneSettings(name="mnist_cnn", weights="random", image_size=32)
RECIPE = Recipe(backbone=SMALLEST, head=HeadSettings(kind="linear"), stages=(HEAD, UNFROZEN))
FULL = OSError(errno.ENOSPC, "No space left on device")
FULL_DISK = "No space left on device"


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory, make_image_folder: Callable[..., Path]) -> Path:
    layout = {"train/red": 6, "train/striped": 6, "validation/red": 3, "validation/striped": 3}
    return make_image_folder(tmp_path_factory.mktemp("data") / "photos", layout)


def fail(error: Exception) -> Callable[..., Any]:
    """Return a function that raises."""

    def raise_it(*_: object, **__: object) -> Any:
        raise error

    return raise_it


def read_weights(run: Path) -> bytes:
    return (run / "bundle" / "weights.safetensors").read_bytes()


@pytest.fixture(scope="module")
def undisturbed(photos: Path) -> Path:
    out = photos.parent / "undisturbed"
    assert run_finetune(RECIPE, photos, out, console=Console(verbosity=-1))["not_made"] == []
    return out


def test_what_cannot_be_made_is_named_and_made_by_resuming(
    photos: Path,
    undisturbed: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "run"
    too_large = NumericsError("Features of at most 2.4e+18 do not fit into float16.", expected="less", fix="none.")
    with monkeypatch.context() as patch:
        patch.setattr("tlkit.runs.finalize.fit_novelty", fail(too_large))
        for name in ("commands.finetune.draw_views", "runs.history.write_history", "runs.report.draw_history"):
            patch.setattr(f"tlkit.{name}", fail(FULL))
        for name in ("draw_task_pictures", "write_scored", "show_mistakes", "write_report"):
            patch.setattr(f"tlkit.runs.report.{name}", fail(FULL))
        patch.setattr("tlkit.training.history.TensorBoardLog.write", fail(FULL))
        capsys.readouterr()
        summary = run_finetune(RECIPE, photos, out, console=Console(verbosity=-1))
    reasons = {
        "history.csv": FULL_DISK,
        "The log for TensorBoard": FULL_DISK,
        "views.png": FULL_DISK,  # of the images themselves, drawn after training
        "The distance from the training images": too_large.found.rstrip("."),
        "curves.png": FULL_DISK,
        "The pictures of the scores": FULL_DISK,
        "predictions.csv": FULL_DISK,
        "The pictures of mistakes": FULL_DISK,
        "report.html": FULL_DISK,
    }
    assert summary["not_made"] == [{"what": what, "reason": reason} for what, reason in reasons.items()]
    assert json.loads((out / "summary.json").read_text())["not_made"] == summary["not_made"]
    warnings = [line for line in capsys.readouterr().err.splitlines() if "leaks" not in line]
    assert warnings == [
        *(f"Warning: {what} could not be made: {reason}." for what, reason in reasons.items()),
        f"Warning: The model is saved, but not everything else could be made: {', '.join(reasons)}. Run "
        "the same command with --resume to make it later.",
    ]
    assert summary["accuracy"]["value"] >= 0.5
    assert read_weights(out) == read_weights(undisturbed)
    assert not read_bundle(out, loader_version=LOADER_VERSION).spec.measures_distance

    again = run_finetune(RECIPE, photos, out, console=Console(verbosity=-1), resume=True)
    assert again["not_made"] == []
    assert read_weights(out) == read_weights(undisturbed)
    assert read_spec(out, loader_version=LOADER_VERSION).measures_distance
    assert {path.name for path in out.iterdir()} == {path.name for path in undisturbed.iterdir()}
    assert len((out / "history.csv").read_text().splitlines()) == 4


def test_a_bug_in_what_follows_training_is_told_when_the_model_is_saved(
    photos: Path, undisturbed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr("tlkit.commands.finetune.finish_model", fail(ZeroDivisionError()))
        with pytest.raises(ZeroDivisionError):
            run_finetune(RECIPE, photos, out, console=Console(verbosity=-1))
    assert read_weights(out) == read_weights(undisturbed)
    assert read_bundle(out, loader_version=LOADER_VERSION).spec.temperature == 1
    assert run_finetune(RECIPE, photos, out, console=Console(verbosity=-1), resume=True)["not_made"] == []


def test_a_model_that_the_disk_does_not_take_is_kept_in_the_state(
    photos: Path,
    undisturbed: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr("tlkit.models.saving.write_files", fail(FULL))
        with pytest.raises(RunError) as problem:
            run_finetune(RECIPE, photos, out, console=Console(verbosity=-1))
    assert str(problem.value) == (
        "The model cannot be written (No space left on device).\n"
        f"  Expected: free disk space and write permission in {out}\n"
        "  Fix: free disk space, then run the same command with --resume; the training state is kept in "
        f"{out / 'state'}."
    )
    warning = (
        "The model cannot be written (No space left on device). Training continues, and writes the model at the end."
    )
    assert capsys.readouterr().err.count(warning) == 1
    run_finetune(RECIPE, photos, out, console=Console(verbosity=-1), resume=True)
    assert read_weights(out) == read_weights(undisturbed)


@pytest.fixture
def vanished(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Path]]:
    """Paths that vanish when training is done, and come back when the test says so."""
    paths: list[Path] = []

    def finish(*arguments: Any, **settings: Any) -> Any:
        for path in paths:
            path.rename(path.with_name(path.name + "-away"))
        return finish_model(*arguments, **settings)

    monkeypatch.setattr("tlkit.commands.finetune.finish_model", finish)
    yield paths
    monkeypatch.undo()


def test_images_that_vanish_after_training_do_not_cost_the_model(
    photos: Path, undisturbed: Path, tmp_path: Path, vanished: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    data, out = shutil.copytree(photos, tmp_path / "photos"), tmp_path / "run"
    vanished += [data / "train", data / "validation"]
    summary = run_finetune(RECIPE, data, out, console=Console(verbosity=-1))
    assert [each["what"] for each in summary["not_made"]] == [
        "The distance from the training images",
        "The scores on the validation images",
    ]
    assert summary["not_made"][1]["reason"] == "none of the 6 images can be read"
    assert "accuracy" not in summary
    assert (out / "report.html").is_file()
    classifier = read_bundle(out, loader_version=LOADER_VERSION)
    assert read_weights(out) == read_weights(undisturbed)
    assert classifier.predict(np.zeros((1, 32, 32, 3), np.uint8)).shape == (1, 2)
    for name in ("train", "validation"):
        (data / f"{name}-away").rename(data / name)
    vanished.clear()
    again = run_finetune(RECIPE, data, out, console=Console(verbosity=-1), resume=True)
    assert again["not_made"] == []
    assert "accuracy" in again


def test_pictures_that_are_all_alike_give_a_model_and_a_warning(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(24):
        folder = tmp_path / "photos" / ("train", "train", "validation")[number % 3] / ("cat", "dog")[number % 2]
        folder.mkdir(parents=True, exist_ok=True)
        comment = PngImagePlugin.PngInfo()
        comment.add_text("number", str(number))
        Image.new("RGB", (40, 40), (128, 128, 128)).save(folder / f"{number}.png", pnginfo=comment)
    summary = run_finetune(RECIPE, tmp_path / "photos", tmp_path / "run", console=Console(verbosity=-1))
    assert summary["not_made"] == []
    assert (
        "Warning: The training images all look the same to the backbone, so the model cannot learn from them or detect "
        "unknown images.\n"
    ) in capsys.readouterr().err
    assert not read_bundle(tmp_path / "run", loader_version=LOADER_VERSION).spec.measures_distance
