"""A run begins: whatever happens to the disk meanwhile, it can be resumed, or begun again in the same folder."""

from __future__ import annotations

import shutil
from pathlib import Path

from tlkit.data.manifest import ImageRecord, Manifest, SkippedFile
from tlkit.recipes import Recipe, Stage, resolve_recipe
from tlkit.runs.folder import RunFolder, open_run_folder

RECIPE = resolve_recipe(Recipe(stages=(Stage(),)))


def _begin(out: Path, *, resume: bool = False) -> None:
    with open_run_folder(out, RECIPE, out.parent / "photos.csv", resume=resume) as folder:
        if not folder.has_begun:
            root = out.parent
            records = tuple(
                ImageRecord(root / f"{number}.png", str(number) * 64, 8, 8, split, name)
                for number, (split, name) in enumerate([("train", "a"), ("train", "b"), ("validation", "a")])
            )
            folder.write_start(RECIPE, Manifest(root, ("a", "b"), records, (SkippedFile(root / "x.png", "torn"),)))
        assert folder.read_manifest().class_names == ("a", "b")


def prepare(folder: Path) -> None:
    """Nothing is there."""


def act(folder: Path) -> None:
    """Begin a run, and leave its folder as if the process had been killed right then."""
    _begin(folder / "runs" / "first")


def check(folder: Path) -> None:
    """Resume what is there, and begin another run in its place."""
    copy = folder.parent / f"{folder.name}-copy"
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(folder, copy)
    for root, resume in ((folder, True), (copy, False)):
        _begin(root / "runs" / "first", resume=resume)
        run = RunFolder(root / "runs" / "first")
        assert run.has_begun
        assert not list(run.path.glob(".*.partial"))
