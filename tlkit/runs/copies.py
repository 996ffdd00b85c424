"""Near copies on both sides of a run's split: what is said of them, and the score of the images without one."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from tlkit.data.manifest import Finding, Manifest
from tlkit.data.near_copies import SplitCopies
from tlkit.inference.scoring import Scores
from tlkit.inference.task_report import compute_task_report
from tlkit.models.spec import BundleSpec
from tlkit.tasks.report import Report

MIN_IMAGES = 2
"""With fewer images left, there is no score without copies."""


@dataclass(frozen=True)
class ScoreWithoutCopies:
    """The score of the validation images that have no near copy among the training images.

    Attributes:
        num_copies: Number of validation images that have one.
        num_others: Number of the others, which are scored.
        report: Their scores.
    """

    num_copies: int
    num_others: int
    report: Report

    def sentence(self) -> str:
        """Return the score in words."""
        return (
            f"Without the {self.num_copies:,} image{'s' * (self.num_copies != 1)} that {'have' if self.num_copies != 1 else 'has'} "
            f"a near copy among the training images: {self.report.headline()}"
        )

    def to_payload(self) -> dict[str, Any]:
        """Return the numbers of images, and the scores of those without a copy, for `--json` and `summary.json`."""
        return {"validation": self.num_copies, "without": {"images": self.num_others, **self.report.to_payload()}}


def note_split_copies(manifest: Manifest, copies: SplitCopies) -> Manifest:
    """Return a manifest whose notices and findings tell of near copies on both sides of its split."""
    if not copies.copies:
        return manifest
    findings = tuple(
        Finding(record.path, f"near copy of a training image: {other.path}") for record, other in copies.copies
    )
    return dataclasses.replace(
        manifest, notices=(*manifest.notices, copies.sentence()), findings=(*manifest.findings, *findings)
    )


def score_without_copies(spec: BundleSpec, scores: Scores | None, copies: SplitCopies) -> ScoreWithoutCopies | None:
    """Score the validation images that have no near copy among the training images; None if all have none, or too few."""
    named = {record.sha256 for record in copies.in_split("validation")}
    if scores is None or not named:
        return None
    others = [place for place, record in enumerate(scores.records) if record.sha256 not in named]
    if len(others) < MIN_IMAGES:
        return None
    report = compute_task_report(spec, scores.take(others))
    return ScoreWithoutCopies(len(scores.records) - len(others), len(others), report)
