"""Compare the answers of an exported model with those of the bundle, image by image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tlkit.exports.asking import Question
from tlkit.exports.base import TOLERANCES
from tlkit.exports.mask_comparison import compare_cells, compare_masks, read_masks
from tlkit.exports.object_comparison import compare_objects, compare_places, read_detections
from tlkit.metrics.intervals import Interval, compute_mean_interval
from tlkit.models.predictor import to_deviations
from tlkit.models.spec import BundleSpec
from tlkit.outputs import Box
from tlkit.tasks import find_task
from tlkit.tasks.box_report import measure_iou
from tlkit.tasks.scored_outputs import ScoredOutputs
from tlkit.tasks.thresholds import apply_thresholds

MAP_FACTOR = 5
"""A place's score, or a cell's probability, may differ by as much more than a probability that is made from the mean of all
places."""
NEGLIGIBLE_LOSS = 0.005
"""A lower loss of accuracy, R² or IoU is accepted even where it is certain, as it is with values on many images."""


MAX_DISTANCE_DIFFERENCE = 0.1
"""By how much a quantised export's distance from the training images may differ: beyond, other images would be unknown."""
DISTANCE_WORDS = "the distance from the training images"


@dataclass(frozen=True, eq=False)
class Reference:
    """What the bundle answers for the images of a proof.

    Attributes:
        source: What the images are, in words.
        questions: The images.
        answers: Probabilities, 0..1, or values in their own unit, float (n, outputs); or objects or masks, see
            `Scores`.
        sizes: Upright (height, width) of each image, in pixels.
        boxes: Predicted boxes in pixels; None if the model predicts none.
        distances: Distances from the training images, 0..1, (n,); None if they are not measured.
        targets: True targets, encoded as `Task.encode_targets` does, float (n, outputs); None if they are not known.
        true_boxes: The true box of each image, if known.
        pixels: The model's input for the first images, of which maps or places are compared: uint8 (n, height, width,
            3).
    """

    source: str
    questions: Sequence[Question]
    answers: NDArray[Any]
    sizes: Sequence[tuple[int, int]]
    boxes: Sequence[Box] | None = None
    distances: NDArray[np.floating[Any]] | None = None
    targets: NDArray[Any] | None = None
    true_boxes: Sequence[Box | None] = ()
    pixels: NDArray[np.uint8] = field(default_factory=lambda: np.zeros((0, 0, 0, 3), np.uint8))


@dataclass(frozen=True)
class Comparison:
    """How an exported model's answers differ from the bundle's.

    Attributes:
        images: Number of images.
        unread: The first image that the export's reader could not read and why; empty if it read all.
        largest_difference: Of a probability, or of a value in standard deviations of the target.
        mean_difference: The mean over images and outputs, likewise.
        same_answer: Fraction of the images with the same class, or the same labels, or of the places of all masks with the
            same class; None for values.
        same_by_label: Fraction of the images for which the decision on a label is the same, by label.
        mask_iou: Mean IoU of the classes of the export's masks with the bundle's; None without masks.
        largest_in_unit: Largest difference of a value in its own unit; None for probabilities.
        box_difference: Largest difference of a box's edge, as a fraction of the image; None without boxes.
        smallest_iou: Smallest intersection over union of the two boxes of an image; None without boxes.
        distance_difference: Largest difference of the distance from the training images; None if it is not measured.
        map_difference: Largest difference of a map, as a fraction of its largest score; None without maps.
        bundle_score: The bundle's score with its 95% interval: accuracy, label accuracy, R², mAP@.5 or mIoU; None
            without targets.
        score: The export's.
        gain: Their difference, image by image; above 0 where the export is better.
        is_worse: Whether the export's score is worse beyond chance (95%, two-sided).
        box_gain: Difference of the mean IoU with true boxes, with its 95% interval; None without true boxes.
        latency_ms: Median time for one image in the fresh process, without reading it.
    """

    images: int
    unread: str
    largest_difference: float
    mean_difference: float
    same_answer: float | None = None
    same_by_label: Mapping[str, float] | None = None
    mask_iou: float | None = None
    largest_in_unit: float | None = None
    box_difference: float | None = None
    smallest_iou: float | None = None
    distance_difference: float | None = None
    map_difference: float | None = None
    bundle_score: Interval | None = None
    score: Interval | None = None
    gain: Interval | None = None
    is_worse: bool = False
    box_gain: Interval | None = None
    latency_ms: float = 0.0

    def find_fault(self, precision: str, *, allowed_loss: float | None = None) -> str:
        """Return why the export is not good enough, as a clause; empty if it is.

        Args:
            precision: The export's.
            allowed_loss: How much lower the score of a quantised export may be; None: not beyond chance.
        """
        if self.unread:
            return f"the export's reader cannot read {self.unread}"
        if precision in TOLERANCES:
            return self._find_difference(TOLERANCES[precision])
        if not np.isfinite(self.largest_difference):
            return "an output is not finite"
        if self.distance_difference is not None and not self.distance_difference <= MAX_DISTANCE_DIFFERENCE:
            return _describe_excess(DISTANCE_WORDS, self.distance_difference, MAX_DISTANCE_DIFFERENCE)
        if self.gain is not None and allowed_loss is not None:
            lost = -self.gain.value
            return f"the score is {lost:.3f} lower, and --allow is {allowed_loss:g}" if lost > allowed_loss else ""
        if self.is_worse and self.gain is not None and self.gain.value < -NEGLIGIBLE_LOSS:
            return f"the score is worse beyond chance: by {self.gain.in_words('{:+.3f}'.format)}"
        if self.box_gain is not None and self.box_gain.high < 0 and self.box_gain.value < -NEGLIGIBLE_LOSS:
            return f"the boxes are worse beyond chance: IoU {self.box_gain.in_words('{:+.3f}'.format)}"
        return ""

    def _find_difference(self, tolerance: float) -> str:
        answer = "a probability" if self.largest_in_unit is None else "a value, in standard deviations,"
        if self.mask_iou is not None:
            answer = "a probability of a cell"
        found = (
            (answer, self.largest_difference, tolerance if self.mask_iou is None else MAP_FACTOR * tolerance),
            ("an edge of a box", self.box_difference, tolerance),
            (DISTANCE_WORDS, self.distance_difference, tolerance),
            ("a map", self.map_difference, MAP_FACTOR * tolerance),
        )
        faults = [
            _describe_excess(what, difference, limit)
            for what, difference, limit in found
            if difference is not None and not difference <= limit  # also for NaN
        ]
        return " and ".join(faults)

    def to_payload(self) -> dict[str, Any]:
        """Return the figures as JSON values; one that is not finite is None."""
        plain = asdict(self)
        return {
            key: None if isinstance(value, float) and not np.isfinite(value) else value for key, value in plain.items()
        }


def compare(
    spec: BundleSpec, reference: Reference, rows: Sequence[Mapping[str, Any]], maps: Sequence[Any] = ()
) -> Comparison:
    """Compare the rows that an export's program printed with the bundle's answers.

    Args:
        spec: The model's description.
        reference: The bundle's answers.
        rows: As from `ask_export`.
        maps: The network's own maps of the first images, each (h, w, outputs), or its `Places`, or its cells.
    """
    unread = [f"{row['image']} ({row['error']})" for row in rows if "error" in row]
    if unread:
        return Comparison(len(rows), unread[0], np.nan, np.nan)
    if find_task(spec.task).has_masks:
        facts: dict[str, Any] = compare_cells(rows, maps)
        facts |= compare_masks(read_masks(rows), reference.answers, len(spec.class_names), reference.targets)
    elif find_task(spec.task).has_objects:
        facts = compare_places(rows, maps)
        facts |= compare_objects(read_detections(rows), reference.answers, spec.thresholds, reference.targets)
    else:
        facts = _compare_answers(spec, reference, rows, maps)
    if reference.distances is not None:
        distances = np.array([row["distance"] for row in rows])
        facts["distance_difference"] = float(np.abs(distances - reference.distances).max())
    return Comparison(len(rows), "", latency_ms=1000 * float(np.median([row["seconds"] for row in rows])), **facts)


def _compare_answers(
    spec: BundleSpec, reference: Reference, rows: Sequence[Mapping[str, Any]], maps: Sequence[NDArray[np.float32]]
) -> dict[str, Any]:
    """Return what differs between one answer of each image and the bundle's."""
    names = "value" if spec.target else "probabilities"
    answers = np.array([np.atleast_1d(row[names]) for row in rows], np.float64)
    ours = reference.answers.astype(np.float64)
    task = find_task(spec.task)
    facts: dict[str, Any] = {}
    if spec.target is not None:
        facts["largest_in_unit"] = float(np.abs(answers - ours).max())
        differences = np.abs(to_deviations(spec.target, answers) - to_deviations(spec.target, ours))
    else:
        differences = np.abs(answers - ours)
        same = _decide(answers, spec) == _decide(ours, spec)
        facts["same_answer"] = float((same.all(axis=1)).mean())
        if task.has_labels:
            facts["same_by_label"] = dict(zip(spec.class_names, same.mean(axis=0).tolist(), strict=True))
    facts |= _compare_boxes(reference, rows) | _compare_maps(rows, maps) | _compare_scores(spec, reference, answers)
    return {"largest_difference": float(differences.max()), "mean_difference": float(differences.mean()), **facts}


def _describe_excess(what: str, difference: float, limit: float) -> str:
    return f"{what} differs by {difference:.2g}, more than {limit:g}"


def _decide(probabilities: NDArray[np.float64], spec: BundleSpec) -> NDArray[Any]:
    """Return the class of each image, (n, 1), or whether it has each label, (n, labels)."""
    if find_task(spec.task).has_labels:
        return apply_thresholds(probabilities, np.array(spec.thresholds))
    decided: NDArray[Any] = probabilities.argmax(axis=1)[:, np.newaxis]
    return decided


def _compare_boxes(reference: Reference, rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    if reference.boxes is None:
        return {}
    boxes, ours = np.array([row["box"] for row in rows]), np.array(reference.boxes)
    edges = np.array([(width, height, width, height) for height, width in reference.sizes])
    facts: dict[str, Any] = {
        "box_difference": float((np.abs(boxes - ours) / edges).max()),
        "smallest_iou": float(measure_iou(ours, boxes).min()),
    }
    known = [place for place, box in enumerate(reference.true_boxes) if box is not None]
    if known:
        true = np.array([reference.true_boxes[place] for place in known])
        facts["box_gain"] = compute_mean_interval(measure_iou(true, boxes[known]) - measure_iou(true, ours[known]))
    return facts


def _compare_maps(rows: Sequence[Mapping[str, Any]], maps: Sequence[NDArray[np.float32]]) -> dict[str, Any]:
    shares = [
        float(np.abs(np.array(row["map"]) - ours).max() / max(1.0, float(np.abs(ours).max())))
        for row, ours in zip(rows, maps, strict=False)
    ]
    return {"map_difference": max(shares)} if shares else {}


def _compare_scores(spec: BundleSpec, reference: Reference, answers: NDArray[np.float64]) -> dict[str, Any]:
    if reference.targets is None:
        return {}
    ours, theirs = (score_answers(spec, reference.targets, each) for each in (reference.answers, answers))
    return {
        "bundle_score": ours.score,
        "score": theirs.score,
        "gain": theirs.compute_gain(ours),
        "is_worse": ours.is_better_than(theirs),
    }


def score_answers(
    spec: BundleSpec, targets: NDArray[np.floating[Any]], answers: NDArray[np.floating[Any]]
) -> ScoredOutputs:
    """Score answers image by image: accuracy, the fraction of labels that are right, or R².

    Args:
        spec: The model's description.
        targets: Encoded, float (n, outputs).
        answers: Probabilities, 0..1, or values in their own unit, float (n, outputs).
    """
    task = find_task(spec.task)
    if spec.target is not None:
        targets, answers = to_deviations(spec.target, targets), to_deviations(spec.target, answers)
    elif task.has_labels:
        answers = apply_thresholds(answers, np.array(spec.thresholds)).astype(np.float64)
    return task.score_outputs(targets, answers.astype(np.float64), np.zeros((1, answers.shape[1])))
