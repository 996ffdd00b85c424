"""The labelled images for evaluating a model: those that its run held out, or others."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

from tlkit.data.dataset import read_evaluation_set
from tlkit.data.file_index import FileIndex
from tlkit.data.manifest import ImageRecord, SkippedFile, read_manifest
from tlkit.errors import DataError, RunError
from tlkit.metadata.oddities import OddValues
from tlkit.models.spec import BundleSpec
from tlkit.models.storage import find_bundle
from tlkit.places.cache_root import default_cache_root
from tlkit.recipes import DataSettings
from tlkit.reports.console import Console
from tlkit.runs.folder import MANIFEST_FILE
from tlkit.runs.recipe import describe_answer


@dataclass(frozen=True)
class EvaluationSet:
    """Labelled images; `source` describes their origin, `root` is their folder, `split` is the requested split, if any."""

    source: str
    root: Path
    split: str | None
    records: tuple[ImageRecord, ...]
    skipped: tuple[SkippedFile, ...]


def read_images_to_evaluate(
    run: Path, data: Path | None, spec: BundleSpec, *, split: str | None, settings: DataSettings, console: Console
) -> EvaluationSet:
    """Read labelled images, or those that the run held out.

    Args:
        run: A run folder, or a bundle folder if `data` is given.
        data: Labelled images; None for the run's own.
        spec: The model's description.
        split: The split to evaluate; None for the test split.
        settings: How `data` is read; the model decides task, target and metadata.
        console: Shows progress and notices.

    Raises:
        DataError: There are no images, or some of a class that the model does not know.
        RunError: `data` is None, and there is no run.
    """
    if data is None:
        return _read_own_images(run, split)
    index = FileIndex(default_cache_root())
    settings = dataclasses.replace(settings, **describe_answer(spec))
    manifest = read_evaluation_set(
        data,
        settings,
        class_names=spec.class_names,
        index=index,
        split=split,
        progress=lambda total: console.progress("Checking", total),
    )
    for notice in manifest.notices:
        console.say(notice)
    odd = OddValues(spec.metadata)
    for record in manifest.records:
        odd.add(record.metadata)
    for sentence in odd.describe():
        console.warn(sentence)
    source = f"{data}, split {split}" if split else str(data)
    return EvaluationSet(source, manifest.root, split, manifest.records, manifest.skipped)


def _read_own_images(run: Path, split: str | None) -> EvaluationSet:
    """Return the held-out images of a run."""
    folder = find_run_folder(run)
    if folder is None:
        raise RunError(
            f"{run} is a bundle without its run, so it has no images.",
            expected="a run folder with its manifest.csv, or images to evaluate on",
            fix=f"tlkit evaluate {run} DATA",
        )
    manifest = read_manifest(folder)
    chosen = split or next((name for name in ("test", "validation") if manifest.in_split(name)), "test")
    records = manifest.in_split(chosen)
    if not records:
        raise DataError(
            f"{folder} has no images in its {chosen} split.",
            expected="a split with images: train, validation or test",
            fix=f"tlkit evaluate {run} DATA, with other labelled images.",
        )
    return EvaluationSet(f"the run's own {chosen} split", manifest.root, chosen, records, ())


def find_run_folder(run: Path) -> Path | None:
    """Return the folder with the manifest, given a run folder or its bundle; None without a run."""
    return next((place for place in (run, find_bundle(run).parent) if (place / MANIFEST_FILE).is_file()), None)
