"""A whole run: whatever happens to the disk meanwhile, a resumed or a new run ends as an undisturbed one does."""

from __future__ import annotations

import hashlib
import shutil
import traceback
from pathlib import Path
from typing import Any, BinaryIO

import matplotlib.figure
import numpy as np
import tensorflow as tf
from PIL import Image

import tlkit.reports.figures.canvas
import tlkit.training.call_sizes
from tlkit.commands.finetune import run_finetune
from tlkit.data.images import LOADER_VERSION
from tlkit.errors import TlkitError
from tlkit.models.opening import open_classifier
from tlkit.recipes import BackboneSettings, HeadSettings, Recipe, Stage
from tlkit.reports.console import Console
from tlkit.runs.folder import RunFolder

RECIPE = Recipe(
    backbone=BackboneSettings(name="mnist_cnn", weights="random", image_size=28, engine="keras"),
    head=HeadSettings(kind="linear"),
    stages=(Stage(epochs=2, batch_size=8, lr=0.01), Stage(unfreeze="conv2", epochs=1, batch_size=8, lr=0.01)),
)
tlkit.training.call_sizes.SECONDS_WORTH_SAVING = 0.0
assert matplotlib.__version__  # imported once, before the forks; nothing is computed here
tf.config.run_functions_eagerly(True)  # to trace a step takes longer than the few steps of a run


def _save_blank(figure: Any, file: BinaryIO) -> None:
    """Write as much as a figure holds: to draw it takes longer than to train."""
    file.write(bytes(10_000))


tlkit.reports.figures.canvas.save_png = _save_blank


def prepare(folder: Path) -> None:
    """Draw two classes."""
    rng = np.random.default_rng(0)
    for number in range(10):
        place = folder / "photos" / ("train", "train", "validation")[number % 3] / ("dark", "light")[number % 2]
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 128, (28, 28, 3), np.uint8) + np.uint8(120 * (number % 2))).save(
            place / f"{number}.png"
        )


def _run(folder: Path, *, resume: bool = False) -> list[dict[str, str]]:
    summary = run_finetune(
        RECIPE,
        folder / "photos",
        folder / "run",
        console=Console(verbosity=-1),
        resume=resume,
        cache_root=folder / "cache",
    )
    not_made: list[dict[str, str]] = summary["not_made"]
    return not_made


def _bug(folder: Path) -> Path:
    """Return the file for what is none of the user's errors; it lies on a disk that is sound."""
    return folder.parent / f"{folder.name}.bug"


def act(folder: Path) -> None:
    """Train; a full disk is an error that the user is told."""
    _bug(folder).unlink(missing_ok=True)
    try:
        _run(folder)
    except (TlkitError, OSError):
        pass
    except Exception:
        _bug(folder).write_text(traceback.format_exc())
        raise


def check(folder: Path) -> None:
    """Resume what is there, and where nothing was trained, begin anew as well."""
    assert not _bug(folder).exists(), _bug(folder).read_text()
    run = RunFolder(folder / "run")
    if list(run.state.glob("stage-2*")) or run.is_finished:
        open_classifier(run.path, loader_version=LOADER_VERSION, engine="keras")
    if not run.has_trained:
        copy = folder.parent / f"{folder.name}-copy"
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(folder, copy)
        assert _run(copy) == []
    assert _run(folder, resume=True) == []
    weights = hashlib.sha256((run.bundle / "weights.safetensors").read_bytes()).hexdigest()
    expected = folder.parent / f"{folder.name}.weights"
    if not expected.exists():  # the first run is undisturbed
        expected.write_text(weights)
    assert weights == expected.read_text()
    assert not run.state.exists()
    assert not list(run.path.glob(".*.partial"))
