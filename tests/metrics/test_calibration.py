"""Probabilities that lie by a known temperature are found out, and fixed."""

from __future__ import annotations

import numpy as np
import pytest

from tlkit.metrics.calibration import compute_calibration, fit_temperature, measure_calibration_error
from tlkit.outputs import CLASSIFICATION
from tlkit.tasks import find_task

NUM_IMAGES, NUM_CLASSES = 4000, 5


def draw_honest() -> tuple[np.ndarray, np.ndarray]:
    """Logits, and labels drawn with the probabilities that these say."""
    rng = np.random.default_rng(0)
    logits = (2 * rng.normal(size=(NUM_IMAGES, NUM_CLASSES))).astype(np.float32)
    probabilities = find_task(CLASSIFICATION).activate(logits)
    labels = (probabilities.cumsum(axis=1) < rng.random((NUM_IMAGES, 1))).sum(axis=1)
    return logits, labels


def test_the_interval_of_the_error_covers_that_of_very_many_images_and_is_not_that_of_the_larger_resampled_errors() -> (
    None
):
    rng = np.random.default_rng(0)
    hits = 0
    for _ in range(60):
        confidences = rng.uniform(0.5, 1, 300)
        labels = (rng.random(300) > confidences - 0.1).astype(int)
        probabilities = np.stack([confidences, 1 - confidences], axis=1)
        interval = measure_calibration_error(labels, probabilities, compute_calibration(labels, probabilities))
        hits += interval.low <= 0.1 <= interval.high
    assert hits > 52


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_the_temperature_by_which_logits_were_spoilt_is_found(temperature: float) -> None:
    logits, labels = draw_honest()
    spoilt = find_task(CLASSIFICATION).activate((logits / temperature).astype(np.float32))
    assert fit_temperature(labels, spoilt) == pytest.approx(1 / temperature, rel=0.08)


def test_the_error_is_small_where_probabilities_are_honest_and_large_where_they_are_not() -> None:
    logits, labels = draw_honest()
    honest = compute_calibration(labels, find_task(CLASSIFICATION).activate(logits))
    boastful = compute_calibration(labels, find_task(CLASSIFICATION).activate(4 * logits))
    assert honest.error < 0.02
    assert boastful.error > 0.1
    assert sum(each.num_images for each in honest.bins) == NUM_IMAGES
    confidences = [each.confidence for each in honest.bins]
    assert confidences == sorted(confidences)


def test_a_temperature_changes_no_answer() -> None:
    logits, _ = draw_honest()
    cold, hot = (find_task(CLASSIFICATION).activate(logits, temperature=value) for value in (0.3, 5.0))
    assert (cold.argmax(axis=1) == hot.argmax(axis=1)).all()
    assert cold.max(axis=1).mean() > hot.max(axis=1).mean()


def test_a_model_that_is_always_right_does_not_become_infinitely_sure() -> None:
    probabilities = np.tile(np.array([[0.9, 0.1]], np.float32), (50, 1))
    assert fit_temperature(np.zeros(50, np.int64), probabilities) == pytest.approx(0.2, rel=1e-3)


def test_few_images_share_one_bin() -> None:
    calibration = compute_calibration(np.array([0, 1]), np.array([[0.8, 0.2], [0.6, 0.4]]))
    assert len(calibration.bins) == 1
    assert calibration.error == pytest.approx(0.2)
