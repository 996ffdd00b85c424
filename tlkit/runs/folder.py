"""The output folder of a run: open it, resume it, and start from it.

RUN/  recipe.toml  manifest.csv  skipped.csv  earlier_images.json (of the run it started from)  history.csv
      tensorboard/  bundle/  summary.json  curves.png  learning-rate-1.png  confusion.png  reliability.png  views.png
      predictions.csv  mistakes/  report.html  state/ (until the run is complete)

`recipe.toml` is written when everything that `--resume` needs is on disk; a folder without it only has leftovers of a
failed start. A lock that ends with its process keeps other processes out of the folder.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tlkit.data.images import LOADER_VERSION
from tlkit.data.manifest import FINDINGS_FILE, MANIFEST_FILES, Manifest, read_manifest, write_manifest
from tlkit.data.seen_images import EARLIER_IMAGES_FILE, UNKNOWN_IMAGES, SeenImages, read_seen_images
from tlkit.data.sources import OUTPUT_MARKER
from tlkit.errors import RunError, describe_damage
from tlkit.files import read_json, remove_partials, write_json
from tlkit.models.copying import hash_bundle
from tlkit.models.spec import BundleSpec
from tlkit.models.storage import read_spec
from tlkit.recipes import Recipe, list_differences, read_recipe, write_recipe
from tlkit.recipes.reading import RECIPE_FILE
from tlkit.reports.optional_steps import describe_problem
from tlkit.reports.output_folder import (
    LOCK_FILE,
    check_outside,
    held_output_folder,
    holds_nothing,
    is_output_folder,
)

RUN = "run"
MANIFEST_FILE = "manifest.csv"
SUMMARY_FILE = "summary.json"
FILES_OF_A_START = (
    *MANIFEST_FILES,
    FINDINGS_FILE,
    EARLIER_IMAGES_FILE,
    "views.png",
    "history.csv",
    "learning-rate-*.png",
    RECIPE_FILE,
)
FOLDERS_OF_A_START = ("tensorboard", "state", "bundle.partial")


@dataclass(frozen=True)
class RunFolder:
    """A run folder, marked as tlkit's output."""

    path: Path

    @property
    def bundle(self) -> Path:
        """Folder of the model."""
        return self.path / "bundle"

    @property
    def state(self) -> Path:
        """Folder of the state of an unfinished run."""
        return self.path / "state"

    @property
    def recipe(self) -> Path:
        """The resolved recipe."""
        return self.path / RECIPE_FILE

    @property
    def has_begun(self) -> bool:
        """Whether there is everything that `--resume` needs."""
        return self.recipe.is_file()

    @property
    def has_trained(self) -> bool:
        """Whether the folder has a model or training state."""
        return (
            self.is_finished
            or self.bundle.exists()
            or self.bundle.with_name("bundle.previous").exists()
            or any(self.state.glob("*.safetensors"))
        )

    @property
    def is_finished(self) -> bool:
        """Whether the run has finished; optional outputs may be missing."""
        return (self.path / SUMMARY_FILE).is_file()

    def read_manifest(self) -> Manifest:
        """Return the images and splits of the run."""
        return read_manifest(self.path)

    def read_summary(self) -> dict[str, Any]:
        """Return the summary of the finished run.

        Raises:
            RunError: The file is damaged.
        """
        path = self.path / SUMMARY_FILE
        try:
            summary = read_json(path)
            if not isinstance(summary, dict):
                raise ValueError("unexpected content")
        except (OSError, ValueError) as error:
            raise RunError(
                f"{path} cannot be read ({describe_damage(error)}).",
                expected="the file as tlkit wrote it",
                fix="restore the file; the model in the run's folder does not need it.",
            ) from error
        return summary

    def write_start(self, recipe: Recipe, manifest: Manifest) -> None:
        """Record images, splits and settings before training; from here on, the run can be resumed."""
        write_manifest(manifest, self.path)
        write_recipe(recipe, self.recipe)

    def write_summary(self, summary: dict[str, Any]) -> None:
        """Mark the run as finished, and remove its state if `--resume` has nothing left to do.

        Raises:
            RunError: The file cannot be written.
        """
        try:
            write_json(self.path / SUMMARY_FILE, summary)
        except OSError as error:
            raise RunError(
                f"The model is saved, but {self.path / SUMMARY_FILE} cannot be written ({describe_problem(error)}).",
                expected="free disk space and a writable folder",
                fix="free disk space, then run the same command with --resume; nothing is trained again.",
            ) from error
        if not summary["not_made"]:
            self.remove_state()

    def remove_state(self) -> None:
        """Remove the state, which only `--resume` needs."""
        shutil.rmtree(self.state, ignore_errors=True)

    def describe_kept(self) -> str:
        """Describe the training state on disk."""
        if any(self.state.glob("*-finished.safetensors")):
            return f"the training state is kept in {self.state}."
        return "the unsaved stage is trained again."

    def clear(self) -> None:
        """Remove the files of a start without training."""
        for pattern in FILES_OF_A_START:
            for path in self.path.glob(pattern):
                path.unlink()
        for name in FOLDERS_OF_A_START:
            if (self.path / name).is_dir():
                shutil.rmtree(self.path / name)

    def discard(self) -> None:
        """Remove the folder after a failed start, unless it contains other files."""
        with suppress(OSError):
            self.clear()
            remove_partials(self.path)
            (self.path / OUTPUT_MARKER).unlink(missing_ok=True)
            (self.path / LOCK_FILE).unlink(missing_ok=True)
            self.path.rmdir()


@contextmanager
def open_run_folder(out: Path, recipe: Recipe, data: Path, *, resume: bool) -> Iterator[RunFolder]:
    """Lock and return the run folder: a new one, or with `resume` an earlier one.

    If the block fails before any training, the folder is removed.

    Raises:
        RunError: `out` is inside the data or exists; with `resume`, it has no run or its settings differ; or another
            process uses it.
    """
    check_outside(out, option="--out", data_folders=[data] if data.is_dir() else [])
    folder = RunFolder(out)
    if not is_output_folder(out, kind=RUN, marker=OUTPUT_MARKER):
        _check_empty(out, resume=resume)
    with held_output_folder(out, kind=RUN, marker=OUTPUT_MARKER):
        _check_start(folder, recipe, resume=resume)
        if not resume or not folder.has_begun:
            folder.clear()
        remove_partials(out)
        remove_partials(folder.state)
        try:
            yield folder
        except BaseException:
            if not folder.has_trained:
                folder.discard()
            raise


def describe_unfinished(path: Path) -> str | None:
    """Return a sentence if a run folder, or the run of a bundle, is unfinished; else None."""
    folder = next(
        (RunFolder(place) for place in (path, path.absolute().parent) if (place / RECIPE_FILE).is_file()), None
    )
    if folder is None or folder.is_finished:
        return None
    return (
        f"{folder.path} is unfinished: its model is that of the last finished stage, its probabilities are not "
        "calibrated, and it flags nothing as unknown."
    )


def _check_empty(out: Path, *, resume: bool) -> None:
    """Refuse a folder with other files, except partial files of killed processes."""
    if not os.path.lexists(out):
        return
    if out.is_dir() and holds_nothing(out):
        return
    if resume:
        raise RunError(
            f"--resume: {out} does not contain a run.",
            expected="the folder of an interrupted run",
            fix="set --out to the run's folder, or remove --resume to start a new run.",
        )
    raise RunError(
        f"--out {out} already exists.",
        expected="a new folder, so that nothing is overwritten",
        fix="use another --out.",
    )


def _check_start(folder: RunFolder, recipe: Recipe, *, resume: bool) -> None:
    """Refuse to overwrite trained models, and to resume with other settings."""
    if not resume:
        if folder.has_trained:
            problem = "a run" if folder.is_finished else "an interrupted run"
            raise RunError(
                f"--out {folder.path} already contains {problem}.",
                expected="a new folder, so that no earlier run is overwritten",
                fix="use another --out" + ("." if folder.is_finished else ", or add --resume to continue it."),
            )
        return
    if not folder.has_begun:
        if folder.has_trained:
            raise RunError(
                f"--resume: {folder.path} has a model but no {RECIPE_FILE}.",
                expected=f"the {RECIPE_FILE} that the run wrote",
                fix="restore the file, or start a new run with another --out.",
            )
        return
    differences = list_differences(read_recipe(folder.recipe), recipe)
    if differences:
        raise RunError(
            f"--resume: {folder.path} was started with other settings: {'; '.join(differences)}.",
            expected="the original settings, so that the result is the same as without interruption",
            fix="use the same options, or start a new run with another --out.",
        )


@dataclass(frozen=True)
class EarlierRun:
    """A finished run to start from.

    Attributes:
        path: Its folder, or that of its bundle.
        spec: Description of its model.
        seen: The images that its model has seen.
        recipe: Its resolved recipe; None for a bundle without a run.
        sha256: Hash of the bundle's description, which holds the hashes of its other files.
    """

    path: Path
    spec: BundleSpec
    seen: SeenImages
    recipe: Recipe | None
    sha256: str

    @property
    def splits(self) -> Mapping[str, str] | None:
        """Split of each image by sha256, so that no validation image becomes a training image.

        None for a bundle without a run.
        """
        return None if self.recipe is None else self.seen.splits


def read_earlier_run(path: Path) -> EarlierRun:
    """Read a run folder or a bundle to start from; no model is built.

    Raises:
        BundleError: If there is no finished model.
    """
    spec = read_spec(path, loader_version=LOADER_VERSION)
    sha256 = hash_bundle(path)
    if not (path / MANIFEST_FILE).is_file():
        return EarlierRun(path, spec, UNKNOWN_IMAGES, recipe=None, sha256=sha256)
    return EarlierRun(path, spec, read_seen_images(path), read_recipe(path / RECIPE_FILE), sha256)
