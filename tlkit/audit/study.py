"""One pass over a data set: neighbours, copies, label errors, outliers and poor pictures, from features and looks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tlkit.audit.copies import group_copies, make_copy_findings
from tlkit.audit.events import find_events
from tlkit.audit.findings import Audit, Finding, sort_findings
from tlkit.audit.held_out import NUM_PASSES
from tlkit.audit.labels import LabelAudit, audit_labels, make_label_findings
from tlkit.audit.outliers import NUM_NEIGHBOURS, find_outliers
from tlkit.audit.quality import find_poor_pictures
from tlkit.data.class_checks import name_some
from tlkit.data.looks import Looks
from tlkit.data.manifest import ImageRecord, Manifest
from tlkit.reports.console import Console
from tlkit.similarity.search import find_neighbours
from tlkit.tasks import find_task

_FEW_IMAGES = 5


@dataclass(frozen=True, eq=False)
class Study:
    """An audit with what it rests on.

    Attributes:
        audit: What was found.
        labels: The judgement of every answer; None if there was nothing to compare.
        nearest: The nearest images of each, int64 (n, 10), fewer of a small data set.
    """

    audit: Audit
    labels: LabelAudit | None
    nearest: NDArray[np.int64]


def study_images(
    manifest: Manifest,
    records: Sequence[ImageRecord],
    features: NDArray[np.floating[Any]],
    looks: Looks,
    *,
    is_log: bool,
    seed: int,
    console: Console,
) -> Study:
    """Look for everything that is wrong with a data set.

    Args:
        manifest: The data set, with its classes and task.
        records: Its images that have features.
        features: One row for each, float (n, channels), finite; a memory map will do.
        looks: What each looks like.
        is_log: Whether values are compared by their logarithms.
        seed: Chooses landmarks.
        console: Shows progress.
    """
    with console.progress("Neighbours", len(records)) as advance:
        nearest, cosines = find_neighbours(features, features, NUM_NEIGHBOURS, exclude_self=True, advance=advance)
    with console.progress("Copies", len(records)) as advance:
        copies = group_copies(records, (nearest, cosines), looks, advance=advance)
    findings: list[Finding] = make_copy_findings(records, copies)
    with console.progress("Labels", NUM_PASSES * len(records), "rows") as advance:
        labels = audit_labels(manifest, records, features, copies.groups, is_log=is_log, seed=seed, advance=advance)
    notices = []
    if labels:
        findings += make_label_findings(records, labels, nearest)
        notices += _name_limits(manifest, records, labels)
    else:
        notices.append("Labels were not compared: all images have the same one, or there are fewer than three.")
    findings += find_outliers(records, nearest, cosines, copies.groups)
    findings += find_poor_pictures(records, looks)
    findings += find_events(records, features, looks)
    audit = Audit(
        len(records),
        tuple(sort_findings(findings)),
        labels.estimate if labels else None,
        labels.confusable if labels else (),
        tuple(notices),
        labels.num_judged if labels else 0,
    )
    return Study(audit, labels, nearest)


def _name_limits(manifest: Manifest, records: Sequence[ImageRecord], labels: LabelAudit) -> list[str]:
    """Return a notice if the other images cannot, or can hardly, speak for a label."""
    task = find_task(manifest.task)
    if labels.estimate is None:
        wrong = "labels" if task.has_names else "values"
        return [
            f"Wrong {wrong} were not looked for: the features do not predict the {task.nouns[1]} better than chance."
        ]
    notices = []
    if labels.not_judged:
        notices.append(
            f"Not judged, because the features do not predict them better than chance: {name_some(labels.not_judged)}."
        )
    sizes = Counter(name for record in records for name in task.names_of(record.answer))
    small = [name for name in manifest.class_names if 0 < sizes[name] < _FEW_IMAGES]
    if small:
        notices.append(
            f"{task.nouns[len(small) > 1].capitalize()} {name_some(small)}: fewer than {_FEW_IMAGES} images, so the "
            "probabilities that their labels are wrong are hardly more than a guess."
        )
    return notices
