"""Compare new images with those of a run: what is different, what score to expect, and what to look at first.

The story: ask the run's model about the new images and about those that the run held back, look at the pictures of both,
compare the two, and write the list with a page of pictures.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from tlkit.data.looks import read_looks
from tlkit.data.manifest import ImageRecord
from tlkit.data.sources import OUTPUT_MARKER
from tlkit.errors import DataError
from tlkit.inference.scoring import score_records
from tlkit.models.predictor import Predictor
from tlkit.places.copies import show_path
from tlkit.probes.drift import MIN_COMPARED, Drift, Sample, compute_drift
from tlkit.probes.drift_report import CSV_FILE, ENOUGH_IMAGES, PAGE_FILE, describe_drift, write_drift
from tlkit.probes.rehearsal import CHANGES, MAX_REHEARSED, rehearse
from tlkit.reports.console import Console
from tlkit.reports.output_folder import held_output_folder
from tlkit.runs.new_images import ComparisonOptions, draw_sample, open_comparison
from tlkit.runs.origin import describe_origin
from tlkit.tasks import find_task

DRIFT = "drift"
MAX_KNOWN = 1000
DEFAULTS = ComparisonOptions()


def run_drift(
    run: Path, sources: Sequence[str], options: ComparisonOptions = DEFAULTS, *, console: Console
) -> dict[str, Any]:
    """Compare new images with a run's and return the result for scripts.

    Args:
        run: A run folder, or the bundle in it.
        sources: Folders, globs or files of new images. Images that the run has are left out.
        options: How they are compared.
        console: Tells the story.

    Raises:
        BundleError: The model is missing, damaged or foreign.
        BackboneError: The engine asked for is not installed.
        DataError: There is no usable new image, or none of the run's held-out images can be read any more.
        RunError: The bundle is without its run, or `out` is in the way of something or in use.
        SettingError: The sources are those of standard input.
    """
    started = time.perf_counter()
    opened = open_comparison(run, sources, options, kind=DRIFT, purpose="compare new ones with", console=console)
    manifest, images, predictor, out = opened.manifest, opened.images, opened.predictor, opened.out
    spec = predictor.spec
    with held_output_folder(out, kind=DRIFT, marker=OUTPUT_MARKER, about=opened.about):
        held_out = draw_sample([each for each in manifest.records if each.split != "train"], MAX_KNOWN, options.seed)
        known = _look_at(predictor, held_out, "Held-out images", f"{opened.folder}'s held-out images", console)
        if find_task(spec.task).has_names and len(images.records) >= MIN_COMPARED:
            changed = draw_sample(known.scores.records, MAX_REHEARSED, options.seed)
            with console.progress("Held-out images, changed", len(CHANGES) * len(changed)) as advance:
                known = replace(known, rehearsed=rehearse(predictor, changed, advance=advance))
        new = _look_at(predictor, images.records, "New images", ", ".join(sources), console)
        if MIN_COMPARED <= len(new.scores.records) < ENOUGH_IMAGES:
            console.warn(
                f"With {len(new.scores.records)} new images the intervals are wide, and small changes stay unseen."
            )
        drift = compute_drift(spec, known, new, seed=options.seed)
        origin = describe_origin(spec, data=", ".join(sources), command=console.command)
        write_drift(out, drift, new, spec, title=f"New images for {opened.folder.resolve().name}", origin=origin)
    _say(drift, new, console)
    console.say(f"Written: {out / CSV_FILE}, {out / PAGE_FILE}")
    return {
        "run": run,
        "images": len(new.scores.records),
        "compared_with": len(known.scores.records),
        "skipped": len(images.skipped) + len(images.records) - len(new.scores.records),
        "already_seen": images.num_seen,
        **drift.to_payload(),
        "look_first": [show_path(new.scores.records[place].path) for place in drift.order[:20]],
        "out": out,
        "seconds": round(time.perf_counter() - started, 2),
    }


def _look_at(
    predictor: Predictor, records: Sequence[ImageRecord], title: str, described: str, console: Console
) -> Sample:
    """Return the model's answers and the looks of images, without those that cannot be read."""
    looks = read_looks(records, grey=predictor.spec.grey, progress=partial(console.progress, f"{title}, looks"))
    usable = [place for place in range(len(records)) if looks.is_usable[place]]
    with console.progress(title, len(usable)) as advance:
        scores = score_records(predictor, [records[place] for place in usable], with_features=True, advance=advance)
    if scores.features is None:
        raise DataError(
            f"{described}: none of {len(records):,} images can be read any more.",
            expected="images unchanged since they were checked",
            fix="restore the files.",
        )
    scored = {record.path for record in scores.records}
    return Sample(scores, looks.take([place for place in usable if records[place].path in scored]))


def _say(drift: Drift, new: Sample, console: Console) -> None:
    for sentence in describe_drift(drift):
        console.say(sentence)
    is_each_told = drift.expected is None
    first = [
        (new.scores.records[place].path.name, f"{drift.novelty[place]:.0%}", drift.reasons[place])
        for place in drift.order[:10]
        if drift.reasons[place] or is_each_told
    ]
    if first:
        title = "Each image by itself" if is_each_told else "Look at these first"
        console.table(title, ("image", "farther than", "reason"), first)
        console.say(
            "Farther than: the part of the held-out images that are nearer to the training images than this one."
        )
