"""What a run records about its model, for a model card; without folders, which may name a user."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tlkit.data.images import LOADER_VERSION
from tlkit.data.manifest import Manifest, read_manifest
from tlkit.models.copying import hash_bundle
from tlkit.models.spec import BundleSpec
from tlkit.models.storage import read_spec
from tlkit.places.copies import show_path
from tlkit.places.place import is_place
from tlkit.recipes import Recipe, read_recipe
from tlkit.runs.card_scores import CHOSE_EPOCH, RecordedScores, read_evaluation
from tlkit.runs.evaluation_set import find_run_folder
from tlkit.runs.folder import RunFolder

HOMES = ("home", "Users")
"""Folders that hold those of users."""
_FOLDERS = re.compile(r"(?<![\w.:/<])(?:[A-Za-z]:)?[/\\](?:[^\s/\\'\"`|,;:]+[/\\])+")
"""The folders before the last name of an absolute path."""


@dataclass(frozen=True)
class CardOptions:
    """What only the user knows.

    Attributes:
        license: Licence of the model, as hubs name it: "mit"; None if it is not decided.
        dataset: Name of the data set on a hub: "user/birds"; None if it is not there.
        evaluation: A folder of `tlkit evaluate --out`, whose scores stand first; None for none.
        repository: Where `tlkit pull` finds the model; None if it is nowhere yet.
    """

    license: str | None = None
    dataset: str | None = None
    evaluation: Path | None = None
    repository: str | None = None


@dataclass(frozen=True)
class RunRecord:
    """What is known about a model.

    Attributes:
        name: Of the run.
        spec: The model's description.
        sha256: Hash of bundle.json, which has the hashes of the other files.
        scores: The scores, those to quote first.
        manifest: The images; None for a bundle without its run.
        recipe: The settings; likewise.
        summary: The result of the run; empty if it is unfinished.
        options: What only the user knows.
    """

    name: str
    spec: BundleSpec
    sha256: str
    scores: tuple[RecordedScores, ...] = ()
    manifest: Manifest | None = None
    recipe: Recipe | None = None
    summary: Mapping[str, Any] = field(default_factory=dict)
    options: CardOptions = field(default_factory=CardOptions)

    @property
    def data_name(self) -> str | None:
        """Name of the data set, without its folder; None if it is not known, or names a user."""
        if self.recipe is None or not self.recipe.inputs.data:
            return None
        path = Path(self.recipe.inputs.data)
        return None if path == Path.home() or path.parent.name in HOMES else path.name or None

    def hide_folders(self, text: str) -> str:
        """Return a text of the run with the last names of the paths in it alone."""
        places: set[Path | str] = {Path.home(), Path.cwd()}
        if self.manifest is not None:
            places.add(show_path(self.manifest.root))
        if self.recipe is not None and self.recipe.inputs.data:
            recorded = self.recipe.inputs.data
            places |= (
                {recorded, recorded.rpartition("/")[0]}
                if is_place(recorded)
                else {Path(recorded), Path(recorded).parent}
            )
        for place in sorted(map(str, places), key=len, reverse=True):
            if place not in (".", "/"):
                text = text.replace(f"{place}/", "").replace(f"{place}\\", "")
        return _FOLDERS.sub("", text)


def read_record(run: Path, options: CardOptions) -> RunRecord:
    """Read what is known about a model.

    Args:
        run: A run folder, or a bundle folder.
        options: What only the user knows.

    Raises:
        BundleError: The model is missing, damaged or invalid.
        DataError: The manifest of the run is damaged.
        RunError: The summary of the run or the evaluation is damaged.
    """
    spec = read_spec(run, loader_version=LOADER_VERSION)
    sha256 = hash_bundle(run)
    evaluated = (read_evaluation(options.evaluation, spec),) if options.evaluation else ()
    folder = find_run_folder(run)
    if folder is None:
        return RunRecord(run.resolve().name, spec, sha256, evaluated, options=options)
    found = RunFolder(folder)
    summary = found.read_summary() if found.is_finished else {}
    own = (RecordedScores("the validation images", "validation", summary, CHOSE_EPOCH),) if "images" in summary else ()
    own = () if {each.title for each in own} & {each.title for each in evaluated} else own
    manifest, recipe = read_manifest(folder), read_recipe(found.recipe)
    return RunRecord(folder.resolve().name, spec, sha256, (*evaluated, *own), manifest, recipe, summary, options)
