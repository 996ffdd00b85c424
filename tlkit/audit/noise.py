"""How probable it is that a label is wrong, and how many are, from held-out scores.

The held-out scores s of an image give the probabilities of its true class, p = softmax(t s). A fraction ε of the labels
is wrong. Temperature t and ε are those under which the given labels are most probable, if wrong labels are arbitrary:
P(label y) = (1 - ε) p_y + ε (1 - p_y) / (C - 1). Without wrong labels, ε is 0 however hard the classes are.

People also confuse classes that look alike, which this does not tell from an image that is hard. So a second look counts
how many labels contradict the predictions that the regression is surest of, beyond what p expects. If labels are wrong
independently of how clear the picture is, that fraction is ε. The estimate is the mean of both; its interval spans the
intervals of both. What the second finds beyond the first is taken for confusions.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tlkit.audit.findings import Estimate
from tlkit.metrics.intervals import compute_wilson_interval

Matrix = NDArray[np.float64]

_CONFUSED = (0.02, 0.9)
"""Bounds of the part of the wrong labels that name the class which looks most like the true one, not an arbitrary one."""
_CONFUSIONS_SEEN = 0.45
"""Part of such confusions that the first look counts, too; measured with planted ones."""
_TEMPERATURES = np.logspace(-0.7, 2.2, 60)
_FRACTIONS = np.concatenate([[0.0], np.logspace(-3.5, -0.5, 50)])
_SUREST = (0.1, 0.2, 0.3, 0.4, 0.5)
_LIKELIHOOD_DROP = 1.92
"""Half the 95% quantile of the chi-squared distribution with one degree of freedom."""
_MAX_FITTED = 20_000
_TINY = 1e-9
_LEAST = np.float32(1e-37)


@dataclass(frozen=True, eq=False)
class LabelNoise:
    """How labels and held-out scores go together.

    Attributes:
        probabilities: Of each image's true class, float64 (n, C).
        wrong: Probability that the given label is wrong, float64 (n,).
        suggested: The most probable other class, int64 (n,).
        estimate: Number of wrong labels.
    """

    probabilities: Matrix
    wrong: NDArray[np.float64]
    suggested: NDArray[np.int64]
    estimate: Estimate


@dataclass(frozen=True)
class _Fraction:
    value: float
    low: float
    high: float


def measure_label_noise(scores: list[NDArray[np.floating[Any]]], labels: NDArray[np.integer[Any]]) -> LabelNoise:
    """Judge the labels of images by held-out scores.

    Args:
        scores: Of one or more predictors, float (n, C), C >= 2, higher for a more probable class. Each is calibrated;
            the geometric mean of the probabilities is calibrated again.
        labels: The given classes, int (n,).
    """
    logs = [_log_softmax(part * _fit(part, labels)[0]) for part in scores]
    mean: Matrix = np.asarray(np.mean(logs, axis=0))
    temperature, clear = _fit(mean, labels)
    probabilities = np.exp(_log_softmax(mean * temperature))
    rows = np.arange(len(labels))
    given = probabilities[rows, labels]
    others = probabilities.copy()
    others[rows, labels] = 0.0
    suggested = others.argmax(axis=1)
    best = others[rows, suggested]

    sure = _count_contradictions(best > given, np.maximum(best, given))
    fraction = _combine(clear, sure)
    unseen = 1.0 - clear.value / max(sure.value, _TINY)
    confused_part = float(np.clip(unseen / (1.0 - _CONFUSIONS_SEEN), *_CONFUSED))
    assumed = max(fraction.value, 1.0 / len(labels))
    arbitrary = (1.0 - given) / ((probabilities.shape[1] - 1) * (given + _TINY))
    confused = np.where(best > given, best / (1.0 - best + _TINY), 0.0)
    odds = assumed / (1.0 - assumed) * ((1.0 - confused_part) * arbitrary + confused_part * confused)
    number = len(labels)
    estimate = Estimate(fraction.value * number, fraction.low * number, fraction.high * number)
    return LabelNoise(probabilities, odds / (1.0 + odds), suggested, estimate)


def _fit(scores: NDArray[np.floating[Any]], labels: NDArray[np.integer[Any]]) -> tuple[float, _Fraction]:
    """Return the most probable temperature, and the most probable fraction of arbitrary labels with its interval."""
    step = -(-len(labels) // _MAX_FITTED)
    labels = labels[::step]
    gaps = (scores[::step] - scores[::step].max(axis=1, keepdims=True)).astype(np.float32)
    rows, others = np.arange(len(labels)), gaps.shape[1] - 1
    own, fractions = gaps[rows, labels], _FRACTIONS.astype(np.float32)
    likelihoods = np.empty((len(_TEMPERATURES), len(_FRACTIONS)))
    weights = np.empty_like(gaps)
    for place, temperature in enumerate(_TEMPERATURES):
        np.exp(np.multiply(gaps, np.float32(temperature), out=weights), out=weights)
        given = (np.exp(own * np.float32(temperature)) / weights.sum(axis=1))[:, None]
        mixed = fractions / others + (1.0 - fractions - fractions / others) * given
        likelihoods[place] = np.log(np.maximum(mixed, _LEAST)).sum(axis=0, dtype=np.float64) * step
    temperature_place, fraction_place = np.unravel_index(likelihoods.argmax(), likelihoods.shape)
    near = _FRACTIONS[likelihoods.max(axis=0) > likelihoods.max() - _LIKELIHOOD_DROP]
    fraction = _Fraction(float(_FRACTIONS[fraction_place]), float(near.min()), float(near.max()))
    return float(_TEMPERATURES[temperature_place]), fraction


def _count_contradictions(contradicts: NDArray[np.bool_], confidence: NDArray[np.float64]) -> _Fraction:
    """Return the fraction of wrong labels among the surest predictions, where its upper bound is lowest."""
    order = np.argsort(-confidence, kind="stable")
    found = []
    for part in _SUREST:
        surest = order[: max(1, round(part * len(order)))]
        count, number = int(contradicts[surest].sum()), len(surest)
        expected = float((1.0 - confidence[surest]).mean())
        interval = compute_wilson_interval(count, number)
        bounds = (interval.value, interval.low, interval.high)
        found.append(_Fraction(*(max(0.0, value - expected) for value in bounds)))
    return min(found, key=lambda fraction: fraction.high)


def _combine(clear: _Fraction, sure: _Fraction) -> _Fraction:
    value = (clear.value + max(clear.value, sure.value)) / 2
    return _Fraction(value, min(clear.low, value), max(clear.high, sure.high, value))


def _log_softmax(scores: NDArray[np.floating[Any]]) -> Matrix:
    shifted = scores.astype(np.float64) - scores.max(axis=1, keepdims=True)
    logs: Matrix = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return logs
