"""What is different about new images: their looks, their features, what the model answers, and the score to expect."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tlkit.data.looks import Looks
from tlkit.inference.scoring import Scores
from tlkit.metrics.intervals import Interval, compute_wilson_interval
from tlkit.models.spec import BundleSpec
from tlkit.probes.expected_score import estimate_error, estimate_score, list_decisions
from tlkit.probes.rehearsal import Answers, Rehearsal
from tlkit.probes.shift import Difference, FeatureShift, compare_features, compare_values
from tlkit.probes.suggestions import compute_uncertainty, estimate_residuals
from tlkit.similarity.search import find_neighbours
from tlkit.tasks import find_task

LOOKS = {
    "brightness": ("darker", "brighter"),
    "contrast": ("of less contrast", "of more contrast"),
    "sharpness": ("more blurred", "sharper"),
    "megapixels": ("smaller", "larger"),
}
"""What is measured of each picture, and words for less and for more of it."""
SIGNIFICANT = 0.05
MIN_EFFECT = 0.1
"""A difference is named if the chance of a higher value is so far from one half."""
VAGUE = 0.3
"""An interval of an accuracy that is wider is too wide to be of use."""
NO_CAMERA = "(not known)"
MIN_COMPARED = 5
"""Fewer new images are described one by one: of four that happen to be alike, a test would say that they differ."""


@dataclass(frozen=True, eq=False)
class Sample:
    """Images with all that is known of them.

    Attributes:
        scores: The model's answers, with features; all records can be read.
        looks: What they look like, in the same order.
        rehearsed: The answers to some of them, changed in the ways of `tlkit.probes.rehearsal.CHANGES`.
    """

    scores: Scores
    looks: Looks
    rehearsed: Mapping[str, Scores] = field(default_factory=dict)

    @property
    def features(self) -> NDArray[np.float16]:
        """Pooled features, float16 (n, channels)."""
        assert self.scores.features is not None
        return self.scores.features

    def figure(self, name: str) -> NDArray[np.float64]:
        """Return one of LOOKS of each image, float64 (n,)."""
        if name == "megapixels":
            return np.asarray(self.looks.width * self.looks.height / 1e6, np.float64)
        return np.asarray(getattr(self.looks, name), np.float64)


@dataclass(frozen=True, eq=False)
class Drift:
    """What is different.

    Attributes:
        quantity: What the score is: "accuracy", "labels right" or "mean absolute error".
        measured: The score on the run's held-out images, with its interval.
        expected: The score to expect on the new images; None with fewer than MIN_COMPARED.
        features: How far their features are away; likewise.
        looks: The figures of LOOKS that can be compared; empty with fewer than MIN_COMPARED.
        novelty: Of each new image, the part of known images that are more like the training images, 0..1.
        unknown: The part of new images that the model flags as unknown; None if it cannot.
        cameras: Cameras by name: the part of the known and of the new images.
        answers: Classes or labels by name, likewise, as the model answers.
        order: Places of new images, those to look at first first.
        reasons: Why to look at each new image, in their own order; empty for nothing in particular.
    """

    quantity: str
    measured: Interval
    expected: Interval | None
    features: FeatureShift | None
    looks: dict[str, Difference]
    novelty: list[float]
    unknown: Interval | None
    cameras: dict[str, tuple[float, float]]
    answers: dict[str, tuple[float, float]]
    order: list[int]
    reasons: list[str]

    def to_payload(self) -> dict[str, Any]:
        """Return what `--json` prints of it."""
        return {
            "quantity": self.quantity,
            "expected": None if self.expected is None else asdict(self.expected),
            "too_wide": self.is_vague,
            "measured": asdict(self.measured),
            "features": None if self.features is None else asdict(self.features),
            "looks": {name: asdict(found) for name, found in self.looks.items()},
            "novelty": self.novelty,
            "unknown": None if self.unknown is None else asdict(self.unknown),
            "cameras": {name: {"known": known, "new": new} for name, (known, new) in self.cameras.items()},
            "answers": {name: {"known": known, "new": new} for name, (known, new) in self.answers.items()},
        }

    @property
    def is_vague(self) -> bool:
        """Whether the expected score's interval is too wide to be of use: 30 points, or the value itself."""
        if self.expected is None:
            return True
        limit = self.expected.value if self.quantity == "mean absolute error" else VAGUE
        return self.expected.high - self.expected.low > limit

    def describe_looks(self) -> list[str]:
        """Return the significant differences in words, the p-values corrected for their number (Holm 1979)."""
        by_p = sorted(self.looks.items(), key=lambda each: each[1].p_value)
        sentences = []
        for place, (name, found) in enumerate(by_p):
            if found.p_value * (len(by_p) - place) > SIGNIFICANT:
                break
            if abs(found.above - 0.5) >= MIN_EFFECT:
                word = LOOKS[name][found.above > 0.5]
                sentences.append(f"{word}: {name} {found.new:.2g} instead of {found.known:.2g} (median)")
        return sentences

    def list_new_cameras(self) -> list[str]:
        """Return the cameras of new images that no known image has."""
        return [name for name, (known, new) in self.cameras.items() if new and not known and name != NO_CAMERA]


def compute_drift(spec: BundleSpec, known: Sample, new: Sample, *, seed: int = 0) -> Drift:
    """Compare new images with those that a run held back.

    Args:
        spec: The model's.
        known: Labelled images that the model was not trained on; at least 1.
        new: Images without labels; at least 1.
        seed: Seed of permutations and resamples.
    """
    is_enough = len(new.scores.records) >= MIN_COMPARED
    features = compare_features(known.features, new.features, seed=seed) if is_enough else None
    quantity, measured, expected = _estimate(spec, known, new, features, seed)
    unknown = None
    if new.scores.distances is not None and spec.unknown_above is not None:
        num_unknown = int((new.scores.distances > spec.unknown_above).sum())
        unknown = compute_wilson_interval(num_unknown, len(new.scores.records))
    doubts = [_doubt(spec, sample, known) for sample in (known, new)]
    novelty = _measure_novelty(known, new)
    order, reasons = _rank(spec, known, new, novelty, doubts)
    return Drift(
        quantity,
        measured,
        expected,
        features,
        {name: compare_values(known.figure(name), new.figure(name), seed=seed) for name in LOOKS} if is_enough else {},
        novelty.tolist(),
        unknown,
        _compare_shares(
            [each or NO_CAMERA for each in known.looks.cameras], [each or NO_CAMERA for each in new.looks.cameras]
        ),
        _compare_answers(spec, known.scores, new.scores),
        order,
        reasons,
    )


def _estimate(
    spec: BundleSpec, known: Sample, new: Sample, shift: FeatureShift | None, seed: int
) -> tuple[str, Interval, Interval | None]:
    task = find_task(spec.task)
    targets = task.make_targets([record.answer for record in known.scores.records], spec.class_names)
    if not task.has_names:
        residuals = np.abs(known.scores.answers - targets)[:, 0]
        half = 1.96 * float(residuals.std()) / max(1, len(residuals)) ** 0.5
        error = float(residuals.mean())
        measured = Interval(error, max(0.0, error - half), error + half)
        if shift is None:
            return "mean absolute error", measured, None
        expected = estimate_error(known.features, residuals, new.features, shift, seed=seed)
        return "mean absolute error", measured, expected
    answers = judge_answers(spec, known.scores)
    measured = compute_wilson_interval(int(answers.is_right.sum()), answers.is_right.size)
    quantity = "accuracy" if task.is_exclusive else "labels right"
    if shift is None:
        return quantity, measured, None
    decisions = list_decisions(new.scores.answers, is_exclusive=task.is_exclusive)
    expected = estimate_score(
        answers,
        decisions,
        rehearsals=pair_rehearsals(spec, known.scores, known.rehearsed),
        separability=shift.separability,
        seed=seed,
    )
    return quantity, measured, expected


def pair_rehearsals(spec: BundleSpec, known: Scores, rehearsed: Mapping[str, Scores]) -> list[Rehearsal]:
    """Return the answers to known images before and after each change."""
    places = {record.path: place for place, record in enumerate(known.records)}
    pairs = []
    for scores in rehearsed.values():
        before = known.take([places[record.path] for record in scores.records])
        pairs.append(Rehearsal(judge_answers(spec, before), judge_answers(spec, scores)))
    return pairs


def judge_answers(spec: BundleSpec, scores: Scores) -> Answers:
    """Return the answers to labelled images, each with whether it is right."""
    task = find_task(spec.task)
    targets = task.make_targets([record.answer for record in scores.records], spec.class_names)
    if task.is_exclusive:
        is_right = (scores.answers.argmax(axis=1) == targets)[:, None]
    else:
        is_right = (scores.answers >= np.array(spec.thresholds)) == (targets > 0.5)
    return Answers(list_decisions(scores.answers, is_exclusive=task.is_exclusive), is_right)


def _doubt(spec: BundleSpec, sample: Sample, known: Sample) -> NDArray[np.float64]:
    """Return how doubtful each answer is, float64 (n,)."""
    task = find_task(spec.task)
    if task.has_names:
        return compute_uncertainty(spec.task, sample.scores.answers)
    targets = task.make_targets([record.answer for record in known.scores.records], ())
    return estimate_residuals(sample.features, known.features, np.abs(known.scores.answers - targets)[:, 0])


def _rank(
    spec: BundleSpec,
    known: Sample,
    new: Sample,
    novelty: NDArray[np.float64],
    doubts: Sequence[NDArray[np.float64]],
) -> tuple[list[int], list[str]]:
    """Return new images in the order to look at them, and the reasons: unknown, unlike in looks, doubtful."""
    number = len(new.scores.records)
    is_unknown = np.zeros(number, np.bool_)
    if new.scores.distances is not None and spec.unknown_above is not None:
        is_unknown = new.scores.distances > spec.unknown_above
    doubt = _place_among(doubts[0], doubts[1])
    reasons: list[list[str]] = [["unlike the training images"] if each else [] for each in is_unknown]
    for name, (less, more) in LOOKS.items():
        places = _place_among(known.figure(name), new.figure(name))
        below = _place_among(-known.figure(name), -new.figure(name))
        for image in range(number):
            if max(places[image], below[image]) >= 1 and len(known.scores.records) >= 20:
                reasons[image].append(f"{more if places[image] >= 1 else less} than any known image")
    for image in range(number):
        if doubt[image] >= 0.9:
            reasons[image].append("a doubtful answer")
    odd = np.array([len(each) for each in reasons])
    order = np.lexsort((-novelty - doubt, -np.maximum(novelty, doubt), -odd, ~is_unknown))
    return order.tolist(), ["; ".join(each) for each in reasons]


def _measure_novelty(known: Sample, new: Sample) -> NDArray[np.float64]:
    """Return the part of known images that are nearer to the training images than each new one, float64 (m,), 0..1.

    A model that does not measure this distance lends its features: then the known images take the training images' place.
    """
    if known.scores.distances is not None and new.scores.distances is not None:
        return _place_among(known.scores.distances, new.scores.distances)
    if len(known.features) < 2:
        return np.zeros(len(new.features))
    _, own = find_neighbours(known.features, known.features, 1, exclude_self=True)
    _, cosines = find_neighbours(new.features, known.features, 1)
    return _place_among(-own[:, 0], -cosines[:, 0])


def _place_among(known: NDArray[np.floating[Any]], new: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Return the part of known values below each new one, float64 (m,), 0..1."""
    return np.searchsorted(np.sort(known), new, side="left") / len(known)


def _compare_shares(known: Sequence[str], new: Sequence[str]) -> dict[str, tuple[float, float]]:
    names = sorted({*known, *new})
    shares = {name: (known.count(name) / len(known), new.count(name) / len(new)) for name in names}
    return dict(sorted(shares.items(), key=lambda each: -each[1][1]))


def _compare_answers(spec: BundleSpec, known: Scores, new: Scores) -> dict[str, tuple[float, float]]:
    task = find_task(spec.task)
    if not task.has_names:
        return {}
    if task.is_exclusive:
        chosen = [scores.answers.argmax(axis=1)[:, None] == np.arange(len(spec.class_names)) for scores in (known, new)]
    else:
        chosen = [scores.answers >= np.array(spec.thresholds) for scores in (known, new)]
    first, second = (each.mean(axis=0).tolist() for each in chosen)
    return dict(zip(spec.class_names, zip(first, second, strict=True), strict=True))
