"""Scores that are no means over images, with intervals and comparisons by resampling."""

from __future__ import annotations

import numpy as np
import pytest

from tlkit.metrics.detection_precision import compute_map50, compute_map50_by_image
from tlkit.tasks.scored_places import ScoredMasks, ScoredObjects

NUM_IMAGES = 40


def draw_targets() -> np.ndarray:
    """Return an object of one of two classes in each image, and none in the last."""
    rng = np.random.default_rng(0)
    corner = rng.uniform(0, 50, (NUM_IMAGES, 2))
    rows = np.column_stack([corner, corner + 30, 1 + np.arange(NUM_IMAGES) % 2, np.zeros(NUM_IMAGES)])
    rows[-1] = 0
    return rows[:, None].astype(np.float32)


TARGETS = draw_targets()


def find(num_right: int) -> ScoredObjects:
    """Return outputs that are right in the first images, and elsewhere beside the object."""
    outputs = TARGETS.copy()
    outputs[num_right:, :, :4] += 200
    outputs[..., 4], outputs[..., 5] = np.linspace(0.9, 0.5, NUM_IMAGES)[:, None], TARGETS[..., 4] - 1
    outputs[-1] = 0
    return ScoredObjects(outputs, compute_map50_by_image(TARGETS, outputs), TARGETS)


def test_objects_are_scored_as_by_their_average_precision() -> None:
    scored = find(20)
    assert scored.value == pytest.approx(compute_map50(TARGETS, scored.outputs), abs=1e-4)
    assert 0.3 < scored.score.low < scored.value < scored.score.high < 0.7
    assert scored.each.tolist() == [1.0] * 20 + [0.0] * 19 + [1.0]
    part = scored.select(np.arange(10))
    assert part.value == pytest.approx(1.0)
    assert len(part.each) == 10
    assert scored.score_part(np.array([NUM_IMAGES - 1])) is None


def test_more_objects_found_is_significantly_better_and_the_same_is_not() -> None:
    few, many = find(20), find(34)
    gain = many.compute_gain(few)
    assert gain.value == pytest.approx(many.value - few.value)
    assert 0 < gain.low < gain.high < 0.6
    assert many.is_better_than(few)
    assert not few.is_better_than(many)
    assert not few.is_better_than(find(20))


def test_an_interval_stays_within_what_a_score_can_be() -> None:
    assert find(NUM_IMAGES - 2).score.high <= 1.0
    perfect = find(NUM_IMAGES).score
    assert perfect.low < 0.95
    assert perfect.high == 1.0


def test_nothing_to_be_found_scores_nothing() -> None:
    nothing = np.zeros_like(TARGETS)
    scored = ScoredObjects(nothing, compute_map50_by_image(nothing, nothing), nothing)
    assert (scored.value, scored.score.low) == (0.0, 0.0)
    assert 0.05 < scored.score.high < 0.1, "Wilson's interval of 0 of 40"


def test_masks_are_scored_by_their_places_in_all_images_together() -> None:
    right = np.array([[50, 0], [0, 30]])
    counts = np.stack([right] * 10 + [np.array([[50, 0], [30, 0]])] * 10)
    scored, all_right = ScoredMasks.of(counts), ScoredMasks.of(np.stack([right] * 20))
    assert scored.value == pytest.approx(0.5)
    assert scored.each.tolist() == [1.0] * 10 + [0.0] * 10
    assert scored.score.low < 0.4
    assert all_right.is_better_than(scored)
    assert scored.select(np.arange(10)).value == pytest.approx(1.0)
