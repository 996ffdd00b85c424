from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from tlkit.audit.noise import LabelNoise, measure_label_noise

NUM_IMAGES, NUM_CLASSES = 1000, 6


def judge(fraction: float, seed: int = 0, *, spread: float = 5.0) -> tuple[LabelNoise, NDArray[np.bool_]]:
    """Draw scores, true classes from their probabilities, and a fraction of wrong labels."""
    rng = np.random.default_rng(seed)
    scores = rng.normal(size=(NUM_IMAGES, NUM_CLASSES)) * spread
    chances = np.exp(scores - scores.max(axis=1, keepdims=True))
    chances /= chances.sum(axis=1, keepdims=True)
    labels = (rng.random((NUM_IMAGES, 1)) > chances.cumsum(axis=1)).sum(axis=1).clip(0, NUM_CLASSES - 1)
    is_wrong = np.zeros(NUM_IMAGES, np.bool_)
    is_wrong[rng.choice(NUM_IMAGES, round(fraction * NUM_IMAGES), replace=False)] = True
    labels = np.where(is_wrong, (labels + rng.integers(1, NUM_CLASSES, NUM_IMAGES)) % NUM_CLASSES, labels)
    return measure_label_noise([0.3 * scores, 0.3 * scores], labels), is_wrong


@pytest.mark.parametrize("fraction", [0.02, 0.05, 0.1])
@pytest.mark.parametrize("seed", [0, 1])
def test_planted_wrong_labels_are_counted(fraction: float, seed: int) -> None:
    noise, is_wrong = judge(fraction, seed)
    assert noise.estimate.low <= is_wrong.sum() <= noise.estimate.high
    assert noise.estimate.number == pytest.approx(is_wrong.sum(), rel=0.35)


@pytest.mark.parametrize("spread", [2.0, 5.0])
def test_without_wrong_labels_none_is_accused_however_hard_the_classes_are(spread: float) -> None:
    noise, _ = judge(0.0, spread=spread)
    assert noise.estimate.low == 0.0
    assert noise.estimate.number < 0.01 * NUM_IMAGES
    assert not (noise.wrong > 0.8).any()


def test_probabilities_are_honest() -> None:
    noise, is_wrong = judge(0.08)
    sure = noise.wrong > 0.9
    assert sure.sum() > 20
    assert is_wrong[sure].mean() > 0.9
    assert noise.wrong.sum() == pytest.approx(is_wrong.sum(), rel=0.3)
    assert noise.wrong[is_wrong].mean() > 10 * noise.wrong[~is_wrong].mean()


def test_the_suggestion_is_another_class() -> None:
    labels = np.array([0, 1, 1, 0])
    scores = np.array([[2.0, 1.0, 0.0], [1.0, 2.0, 0.0], [2.0, 0.0, 1.0], [3.0, 0.0, 2.0]])
    assert measure_label_noise([scores], labels).suggested.tolist() == [1, 0, 0, 2]


def test_planted_confusions_are_ranked_better_than_by_the_probability_of_the_label() -> None:
    rng = np.random.default_rng(0)
    scores = rng.normal(size=(NUM_IMAGES, NUM_CLASSES)) * 3.0
    noisy = scores + rng.gumbel(size=scores.shape)
    labels = noisy.argmax(axis=1)
    is_wrong = np.zeros(NUM_IMAGES, np.bool_)
    is_wrong[rng.choice(NUM_IMAGES, 50, replace=False)] = True
    scores[np.arange(NUM_IMAGES), labels] = np.where(is_wrong, -np.inf, scores[np.arange(NUM_IMAGES), labels])
    runner_up = scores.argmax(axis=1)
    original = np.where(np.isfinite(scores), scores, 6.0)
    swapped = np.where(is_wrong, runner_up, labels)
    noise = measure_label_noise([0.3 * original], swapped)
    given = noise.probabilities[np.arange(NUM_IMAGES), swapped]
    assert average_precision(is_wrong, noise.wrong) > average_precision(is_wrong, 1 - given) + 0.05


def average_precision(is_wrong: NDArray[np.bool_], doubt: NDArray[np.float64]) -> float:
    found = is_wrong[np.argsort(-doubt, kind="stable")]
    return float((np.cumsum(found) / np.arange(1, len(found) + 1))[found].mean())
