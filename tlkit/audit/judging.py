"""Judge the answers of a data set: labels and values by the features of all images, boxes by held-out detectors."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from tlkit.audit.box_features import read_box_features
from tlkit.audit.box_findings import make_box_findings
from tlkit.audit.box_pairs import Scene
from tlkit.audit.boxes import audit_boxes
from tlkit.audit.detector import MIN_IMAGES, NUM_FOLDS, DetectorSettings
from tlkit.audit.findings import Estimate, Finding
from tlkit.audit.held_out import NUM_PASSES
from tlkit.audit.labels import LabelAudit, audit_labels, make_label_findings
from tlkit.audit.rows import AuditRows
from tlkit.data.class_checks import name_some
from tlkit.data.manifest import ImageRecord, Manifest
from tlkit.metrics.detection_thresholds import choose_detection_thresholds
from tlkit.reports.console import Console
from tlkit.runtime import start_keras
from tlkit.tasks import find_task
from tlkit.tasks.objects import make_object_rows, make_object_targets

_FEW_IMAGES = 5
_FEW_FOUND = 0.5


@dataclass(frozen=True, eq=False)
class Subject:
    """What is judged.

    Attributes:
        manifest: The data set, with its classes and task.
        records: Its images that have features.
        features: A pooled row for each, float (n, channels), finite.
        nearest: The nearest images of each, int64 (n, k).
        groups: Group of copies of each, int64 (n,), -1 for none: its images do not vouch for each other.
    """

    manifest: Manifest
    records: Sequence[ImageRecord]
    features: NDArray[np.floating[Any]]
    nearest: NDArray[np.int64]
    groups: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Judgement:
    """What was found about the answers.

    Attributes:
        findings: The doubtful ones.
        notices: What limits the judgement, one sentence each.
        estimate: Number of wrong ones; None if it was not estimated.
        num_judged: Number of those to which the estimate applies.
        judged: What these are, in the plural.
        labels: The judgement of every label; None of other answers, or if there was nothing to compare.
    """

    findings: Sequence[Finding] = ()
    notices: Sequence[str] = ()
    estimate: Estimate | None = None
    num_judged: int = 0
    judged: str = "labels"
    labels: LabelAudit | None = None


class Judge(Protocol):
    """Judges answers."""

    def judge(self, subject: Subject, console: Console) -> Judgement:
        """Return what is doubtful about the answers of a data set."""


@dataclass(frozen=True)
class LabelJudge:
    """Judges classes, labels and values by the features of all other images.

    Attributes:
        is_log: Whether values are compared by their logarithms.
        seed: Chooses landmarks.
    """

    is_log: bool
    seed: int

    def judge(self, subject: Subject, console: Console) -> Judgement:
        """Return the wrong labels."""
        manifest, records = subject.manifest, subject.records
        with console.progress("Labels", NUM_PASSES * len(records), "rows") as advance:
            labels = audit_labels(
                manifest,
                records,
                subject.features,
                subject.groups,
                is_log=self.is_log,
                seed=self.seed,
                advance=advance,
            )
        if labels is None:
            return Judgement(
                notices=["Labels were not compared: all images have the same one, or there are fewer than three."]
            )
        findings = make_label_findings(records, labels, subject.nearest)
        notices = _name_limits(manifest, records, labels)
        return Judgement(findings, notices, labels.estimate, labels.num_judged, labels=labels)


@dataclass(frozen=True)
class BoxJudge:
    """Judges boxes by detectors, each of which is trained on images other than those it judges.

    Attributes:
        rows: The feature maps of the images.
        detector: What is trained.
    """

    rows: AuditRows
    detector: DetectorSettings

    def judge(self, subject: Subject, console: Console) -> Judgement:
        """Return the boxes that detectors contradict."""
        manifest, records = subject.manifest, subject.records
        num_different = len(records) - np.sum(subject.groups >= 0) + len(np.unique(subject.groups[subject.groups >= 0]))
        if num_different < MIN_IMAGES:
            return Judgement(
                notices=[
                    f"Boxes were not judged: that takes {MIN_IMAGES} different images, and there are {num_different}."
                ]
            )
        start_keras()
        from tlkit.audit.held_out_boxes import detect_held_out

        assert self.rows.layout is not None
        spec = self.detector.describe_model(manifest.class_names, self.rows.layout, manifest.grey)
        detections = detect_held_out(self.rows, subject.groups, self.detector, spec, console)
        boxes = [make_object_rows(record.answer, manifest.class_names) for record in records]
        features: Sequence[NDArray[np.floating[Any]] | None] = [None] * len(boxes)
        if len(manifest.class_names) > 1:
            features = read_box_features(self.rows, boxes, spec)
        scenes = [
            Scene(own, found[found[:, 4] > 0], shown, group)
            for own, found, shown, group in zip(boxes, detections, features, subject.groups.tolist(), strict=True)
        ]
        targets = make_object_targets([record.answer for record in records], manifest.class_names)
        thresholds = choose_detection_thresholds(targets, detections, len(manifest.class_names))
        return judge_scenes(records, scenes, thresholds, manifest.class_names)


class NoJudge:
    """Judges nothing: masks."""

    def judge(self, subject: Subject, console: Console) -> Judgement:
        """Return that nothing was judged."""
        return Judgement(notices=["Masks were not judged, only the pictures: see tlkit evaluate for the worst ones."])


def judge_scenes(
    records: Sequence[ImageRecord], scenes: Sequence[Scene], thresholds: Sequence[float], class_names: Sequence[str]
) -> Judgement:
    """Return the boxes that held-out detections contradict.

    Args:
        records: The images.
        scenes: Their boxes and detections.
        thresholds: Score from which a detection counts as found, for each class.
        class_names: The classes in label order.
    """
    audit = audit_boxes(scenes, thresholds)
    notice = (
        f"Boxes were judged by {NUM_FOLDS} detectors, each trained on other images than those it judges. They find "
        f"{audit.num_found:,} of the {audit.num_boxes:,} boxes"
    )
    if audit.num_found < _FEW_FOUND * audit.num_boxes:
        notice += ", so few that what they miss says little about the boxes"
    findings = make_box_findings(records, scenes, audit.doubts, class_names)
    return Judgement(findings, [f"{notice}."], audit.wrong_classes, audit.num_judged, "classes of boxes")


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
