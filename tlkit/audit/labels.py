"""Label errors: the images whose answer contradicts what all other images say about them.

Classes are judged as they are, several labels one by one, and values by how far they lie from the prediction.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tlkit.audit.findings import ClassPair, Estimate, Finding
from tlkit.audit.held_out import predict_held_out
from tlkit.audit.noise import measure_label_noise
from tlkit.data.manifest import ImageRecord, Manifest
from tlkit.outputs import LABEL_SEPARATOR
from tlkit.tasks import find_task

LISTED_FROM = 0.2
"""Images are findings if their answer is wrong with at least this probability."""
_PAIR_BELOW = 0.75
_MAX_PAIRS = 10
_MIN_IMAGES_OF_A_PAIR = 10
_SCALES = np.logspace(-0.5, 0.5, 21)
_FRACTIONS = np.concatenate([[0.0], np.logspace(-3.5, -0.5, 50)])
_LIKELIHOOD_DROP = 1.92
_TINY = 1e-12


@dataclass(frozen=True, eq=False)
class LabelAudit:
    """What the features say about the answers.

    Attributes:
        wrong: Probability that an image's answer is wrong, float64 (n,).
        suggested: The answer that the features suggest instead, as text.
        estimate: Number of wrong answers; with several labels, number of wrong labels. None if the features do not
            predict the answers better than chance: then no answer is judged.
        num_judged: Number of answers; with several labels, number of labels that are judged times images.
        confusable: Pairs of classes that the features hardly tell apart.
        not_judged: Labels, of several, that the features do not predict better than chance.
    """

    wrong: NDArray[np.float64]
    suggested: tuple[str, ...]
    estimate: Estimate | None
    num_judged: int
    confusable: tuple[ClassPair, ...] = ()
    not_judged: tuple[str, ...] = ()


def audit_labels(
    manifest: Manifest,
    records: Sequence[ImageRecord],
    features: NDArray[np.floating[Any]],
    groups: NDArray[np.int64],
    *,
    is_log: bool = False,
    seed: int = 0,
    advance: Callable[[int], None] = lambda count: None,
) -> LabelAudit | None:
    """Judge the answers of a data set by cached features.

    Args:
        manifest: The data set, with its task and its classes or labels.
        records: Its images.
        features: One row for each, float (n, channels), finite.
        groups: Group of each image, int64 (n,), -1 for none: its images do not vouch for each other.
        is_log: Whether values are compared by their logarithms.
        seed: Chooses landmarks; see `predict_held_out`.
        advance: See `predict_held_out`.

    Returns:
        None if there is nothing to compare: fewer than three images, or only one class.
    """
    task, names, targets = find_task(manifest.task), manifest.class_names, manifest.targets(records)
    encoded = task.encode_targets(targets, len(names))
    values = np.log(encoded) if is_log else encoded
    if len(values) < 3 or (values == values[0]).all():
        return None
    predictions = predict_held_out(features, values, groups, seed=seed, advance=advance)
    if task.is_exclusive:
        return _audit_classes(names, targets, predictions)
    if task.has_names:
        return _audit_several_labels(names, encoded, predictions)
    return _audit_values(values[:, 0], np.mean(predictions, axis=0)[:, 0], is_log=is_log)


def make_label_findings(records: Sequence[ImageRecord], audit: LabelAudit, nearest: NDArray[np.int64]) -> list[Finding]:
    """Return a finding for each image whose answer is probably wrong.

    Args:
        records: The images.
        audit: The judgement.
        nearest: Their nearest images, int64 (n, k), which are shown beside them.
    """
    findings = []
    for place in np.flatnonzero(audit.wrong >= LISTED_FROM).tolist():
        record, wrong = records[place], float(audit.wrong[place])
        neighbours = tuple(records[other] for other in nearest[place])
        agreeing = sum(other.answer == audit.suggested[place] for other in neighbours)
        suggested = audit.suggested[place] or "no label at all"
        evidence = f"Wrong with a probability of {wrong:.0%}; the other images suggest {suggested}"
        verb = "does" if agreeing == 1 else "do"
        evidence += f", as {verb} {agreeing} of the {len(neighbours)} nearest." if agreeing else "."
        findings.append(
            Finding(
                "label",
                record.path,
                record.split,
                record.answer,
                audit.suggested[place],
                wrong,
                evidence=evidence,
                others=tuple(other.path for other in neighbours),
            )
        )
    return findings


def _audit_classes(
    names: Sequence[str], labels: NDArray[np.integer[Any]], predictions: list[NDArray[np.float32]]
) -> LabelAudit:
    noise = measure_label_noise(predictions, labels)
    suggested = tuple(names[label] for label in noise.suggested)
    confusable = find_confusable(names, labels, noise.probabilities)
    if not _beats_chance(labels, noise.probabilities):
        return LabelAudit(np.zeros(len(labels)), suggested, None, len(labels), confusable)
    return LabelAudit(noise.wrong, suggested, noise.estimate, len(labels), confusable)


def _beats_chance(labels: NDArray[np.integer[Any]], probabilities: NDArray[np.float64]) -> bool:
    """Return whether the mean recall of held-out predictions is above chance by more than two standard errors."""
    predicted = (probabilities / (probabilities.mean(axis=0) + _TINY)).argmax(axis=1)
    present, sizes = np.unique(labels, return_counts=True)
    recall = float(np.mean([(predicted[labels == label] == label).mean() for label in present]))
    chance = 1.0 / len(present)
    return recall > chance + 2.0 * float(np.sqrt(chance * (1.0 - chance) * (1.0 / sizes).sum())) / len(present)


def find_confusable(
    names: Sequence[str], labels: NDArray[np.integer[Any]], probabilities: NDArray[np.float64]
) -> tuple[ClassPair, ...]:
    """Return the pairs of classes between which held-out predictions choose rightly in less than 75% of the images.

    Pairs with a class of fewer than ten images are left out.

    Args:
        names: The classes.
        labels: Int (n,).
        probabilities: Float64 (n, classes): held-out predictions.
    """
    sizes = np.bincount(labels, minlength=len(names))
    prefers = np.empty((len(names), len(names)))
    for first in range(len(names)):
        own = probabilities[labels == first]
        prefers[first] = (own[:, [first]] > own).mean(axis=0) if len(own) else np.nan
    accuracies = (prefers + prefers.T) / 2
    pairs = []
    for first, second in itertools.combinations(range(len(names)), 2):
        if min(sizes[first], sizes[second]) >= _MIN_IMAGES_OF_A_PAIR and accuracies[first, second] < _PAIR_BELOW:
            number = int(sizes[first] + sizes[second])
            pairs.append(ClassPair(names[first], names[second], float(accuracies[first, second]), number))
    return tuple(sorted(pairs, key=lambda pair: pair.accuracy)[:_MAX_PAIRS])


def _audit_several_labels(
    names: Sequence[str], targets: NDArray[np.floating[Any]], predictions: list[NDArray[np.float32]]
) -> LabelAudit:
    """Judge each label of each image; an image is as wrong as its most doubtful label."""
    wrong = np.zeros(targets.shape)
    bounds = np.zeros(3)
    num_judged, not_judged = 0, []
    for label, name in enumerate(names):
        given = targets[:, label].astype(np.int64)
        if given.min() == given.max():
            continue
        noise = measure_label_noise(
            [np.column_stack([1 - part[:, label], part[:, label]]) for part in predictions], given
        )
        if not _beats_chance(given, noise.probabilities):
            not_judged.append(name)
            continue
        num_judged += len(given)
        wrong[:, label] = noise.wrong
        bounds += (noise.estimate.number, noise.estimate.low, noise.estimate.high)
    flipped = (targets > 0) ^ ((wrong > 0) & (wrong >= np.minimum(LISTED_FROM, wrong.max(axis=1, keepdims=True))))
    suggested = tuple(
        LABEL_SEPARATOR.join(name for name, is_set in zip(names, row, strict=True) if is_set) for row in flipped
    )
    estimate = Estimate(*map(float, bounds)) if num_judged else None
    return LabelAudit(wrong.max(axis=1), suggested, estimate, num_judged, not_judged=tuple(not_judged))


def _audit_values(values: NDArray[np.floating[Any]], predicted: NDArray[np.float32], *, is_log: bool) -> LabelAudit:
    """Judge values: a fraction ε of them is arbitrary within the range, the others lie around the prediction.

    The distances of those follow a Laplace distribution, whose heavy tails keep hard images from being errors. No value
    is judged if the mean distance is not below that from the median of all values by more than two standard errors.
    """
    distances = np.abs(values - predicted).astype(np.float64)
    shown = np.exp(predicted) if is_log else predicted
    suggested = tuple(_shorten(value) for value in shown)
    number = len(values)
    gains = np.abs(values - np.median(values)) - distances
    if gains.mean() <= 2.0 * gains.std() / np.sqrt(number):
        return LabelAudit(np.zeros(number), suggested, None, number)
    usual = max(float(np.median(distances)) / np.log(2.0), _TINY)
    spread = max(float(np.ptp(values)), _TINY)
    likelihoods = np.empty((len(_SCALES), len(_FRACTIONS)))
    for row, tried in enumerate(_SCALES * usual):
        near = np.exp(-distances / tried)[:, None] / (2 * tried)
        likelihoods[row] = np.log((1 - _FRACTIONS) * near + _FRACTIONS / spread + 1e-300).sum(axis=0)
    scale_place, place = np.unravel_index(likelihoods.argmax(), likelihoods.shape)
    possible = _FRACTIONS[likelihoods.max(axis=0) > likelihoods.max() - _LIKELIHOOD_DROP]
    fraction, scale = float(_FRACTIONS[place]), float(_SCALES[scale_place] * usual)
    assumed = max(fraction, 1.0 / len(values))
    odds = assumed / (1 - assumed) / spread * (2 * scale) * np.exp(np.minimum(distances / scale, 700.0))
    estimate = Estimate(fraction * number, float(possible.min()) * number, float(possible.max()) * number)
    return LabelAudit(odds / (1 + odds), suggested, estimate, number)


def _shorten(value: float) -> str:
    """Return a value with four digits that count, written out."""
    return f"{float(f'{value:.4g}'):.12g}"
