"""The output folder of a run: opened, resumed, and read again by a run that starts from it.

RUN/  recipe.toml  manifest.csv  set_aside.csv  history.csv  tensorboard/  bundle/  summary.json
      curves.png  learning-rate-1.png  confusion.png  reliability.png  views.png  report.html  state/ (until the run has finished)
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tlkit.bundle import BundleSpec, read_spec
from tlkit.data.images import LOADER_VERSION
from tlkit.data.manifest import Manifest, read_manifest, write_manifest
from tlkit.data.sources import OUTPUT_MARKER
from tlkit.errors import RunError
from tlkit.files import write_json
from tlkit.recipes import Recipe, list_differences, read_recipe, write_recipe
from tlkit.reports.output_folder import check_outside, make_output_folder

RUN = "run"
RECIPE_FILE = "recipe.toml"
MANIFEST_FILE = "manifest.csv"
SUMMARY_FILE = "summary.json"


@dataclass(frozen=True)
class RunFolder:
    """A run's own folder, marked as tlkit's output."""

    path: Path

    @property
    def bundle(self) -> Path:
        """Where the model goes."""
        return self.path / "bundle"

    @property
    def state(self) -> Path:
        """Where the state of an unfinished run lies."""
        return self.path / "state"

    @property
    def recipe(self) -> Path:
        """The resolved recipe."""
        return self.path / RECIPE_FILE

    @property
    def is_finished(self) -> bool:
        """Whether the run came to its end."""
        return (self.path / SUMMARY_FILE).is_file()

    def read_manifest(self) -> Manifest | None:
        """Return the images and splits that the run began with, or None if it did not come so far."""
        return read_manifest(self.path) if (self.path / MANIFEST_FILE).is_file() else None

    def read_summary(self) -> dict[str, Any]:
        """Return what the finished run reported."""
        summary: dict[str, Any] = json.loads((self.path / SUMMARY_FILE).read_text("utf-8"))
        return summary

    def write_start(self, manifest: Manifest) -> None:
        """Record the images and their splits before anything is trained on them."""
        write_manifest(manifest, self.path)
        self.state.mkdir(exist_ok=True)

    def write_summary(self, summary: dict[str, Any]) -> None:
        """Mark the run as finished and drop the state that only a resume needs."""
        write_json(self.path / SUMMARY_FILE, summary)
        shutil.rmtree(self.state, ignore_errors=True)


def check_run_folder(out: Path, recipe: Recipe, data: Path, *, resume: bool) -> None:
    """Refuse an output folder that is in the way, or that another recipe began. Writes nothing.

    Raises:
        RunError: `out` lies in the data or is taken; with `resume`, there is no such run or its settings differ.
    """
    check_outside(out, option="--out", data_folders=[data] if data.is_dir() else [])
    if not resume:
        if out.exists() and (not out.is_dir() or any(out.iterdir())):
            raise RunError(
                f"--out {out} exists already.",
                expected="a new folder, so that no earlier run is overwritten",
                fix=f"choose another --out, or add --resume if {out} is a run that was interrupted.",
            )
        return
    if not (out / RECIPE_FILE).is_file():
        raise RunError(
            f"--resume: {out} holds no run.",
            expected="the folder of a run that was interrupted",
            fix="leave --resume out to begin the run.",
        )
    differences = list_differences(read_recipe(out / RECIPE_FILE), recipe)
    if differences:
        raise RunError(
            f"--resume: {out} was begun with other settings: {'; '.join(differences)} (then, now).",
            expected="the settings that the run was begun with, so that it ends where it would have ended",
            fix="give the same options, or begin a new run with another --out.",
        )


def open_run_folder(out: Path, recipe: Recipe) -> RunFolder:
    """Make the folder, mark it as tlkit's output and write the resolved recipe."""
    make_output_folder(out, kind=RUN, marker=OUTPUT_MARKER)
    folder = RunFolder(out)
    write_recipe(recipe, folder.recipe)
    return folder


@dataclass(frozen=True)
class EarlierRun:
    """A finished run to start from.

    Attributes:
        path: Its folder, or that of its bundle.
        spec: What its model is.
        splits: Split of each image by its content's sha256, so that no validation image becomes a training image;
            None where there is only a bundle.
        recipe: Its resolved recipe; None where there is only a bundle.
    """

    path: Path
    spec: BundleSpec
    splits: dict[str, str] | None
    recipe: Recipe | None


def read_earlier_run(path: Path) -> EarlierRun:
    """Read what a later run needs of a run folder or a bundle; no model is built.

    Raises:
        BundleError: If there is no finished model.
    """
    spec = read_spec(path, loader_version=LOADER_VERSION)
    if not (path / MANIFEST_FILE).is_file():
        return EarlierRun(path, spec, splits=None, recipe=None)
    manifest = read_manifest(path)
    splits = {record.sha256: record.split for record in manifest.records}
    return EarlierRun(path, spec, splits, read_recipe(path / RECIPE_FILE))
