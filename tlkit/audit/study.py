"""One pass over a data set: neighbours, copies, doubtful answers, outliers and poor pictures, from features and looks."""

from __future__ import annotations

import dataclasses
import operator
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tlkit.audit.box_pairs import match_objects
from tlkit.audit.copies import group_copies, make_copy_findings
from tlkit.audit.events import find_events
from tlkit.audit.findings import Audit, Finding, sort_findings
from tlkit.audit.judging import Judge, Subject
from tlkit.audit.labels import LabelAudit
from tlkit.audit.outliers import NUM_NEIGHBOURS, find_outliers
from tlkit.audit.quality import find_poor_pictures
from tlkit.data.looks import Looks
from tlkit.data.manifest import ImageRecord, Manifest
from tlkit.reports.console import Console
from tlkit.similarity.search import find_neighbours
from tlkit.tasks import find_task


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
    judge: Judge,
    console: Console,
) -> Study:
    """Look for everything that is wrong with a data set.

    Args:
        manifest: The data set, with its classes and task.
        records: Its images that have features.
        features: One row for each, float (n, channels), finite; a memory map will do.
        looks: What each looks like.
        judge: Judges their answers.
        console: Shows progress.
    """
    with console.progress("Neighbours", len(records)) as advance:
        nearest, cosines = find_neighbours(features, features, NUM_NEIGHBOURS, exclude_self=True, advance=advance)
    with console.progress("Copies", len(records)) as advance:
        copies = group_copies(records, (nearest, cosines), looks, advance=advance)
    task = find_task(manifest.task)
    describe = task.describe_answer if task.has_objects else str
    about_pictures: list[Finding] = find_outliers(records, nearest, cosines, copies.groups)
    about_pictures += find_poor_pictures(records, looks)
    about_pictures += find_events(records, features, looks)
    judgement = judge.judge(Subject(manifest, records, features, nearest, copies.groups), console)
    findings = [
        *make_copy_findings(
            records, copies, describe=describe, agree=match_objects if task.lists_objects else operator.eq
        ),
        *judgement.findings,
        *(dataclasses.replace(each, given=describe(each.given)) for each in about_pictures),
    ]
    labels = judgement.labels
    audit = Audit(
        len(records),
        tuple(sort_findings(findings)),
        judgement.estimate,
        labels.confusable if labels else (),
        tuple(judgement.notices),
        judgement.num_judged,
        judgement.judged,
    )
    return Study(audit, labels, nearest)
