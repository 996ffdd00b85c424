"""Intervals of average precision: those of sets that are really drawn anew."""

from __future__ import annotations

import numpy as np
import pytest

from tests.metrics.test_detection_precision import draw_set
from tlkit.metrics.detection_intervals import _ClassSteps, _iterate_classes, measure_precision
from tlkit.metrics.detection_matches import match_detections
from tlkit.metrics.detection_precision import compute_detection_scores
from tlkit.metrics.intervals import compute_wilson_interval


@pytest.mark.parametrize("case", ["plain", "crowds", "equal scores", "without objects"])
def test_a_resample_has_the_precision_of_the_set_with_its_images(case: str) -> None:
    targets, detections, num_classes = draw_set(case, num_images=40)
    drawn = np.sort(np.random.default_rng(1).integers(40, size=40))
    counts = np.bincount(drawn, minlength=40).astype(float)[:, None].repeat(3, axis=1)
    expected = compute_detection_scores(match_detections(targets[drawn], detections[drawn], num_classes))
    matches = match_detections(targets, detections, num_classes)
    for label, own in _iterate_classes(matches):
        areas = _ClassSteps.find(matches, own, label).resample(counts)
        # NaN in both: a class that the resample does not contain. Among equal scores, copies of an image are in another
        # order; a recall of exactly 0.07 or 0.14 reaches the step of that name, for COCO only up to rounding.
        atol = {"plain": 1e-6, "equal scores": 0.01}.get(case, 2e-3)
        np.testing.assert_allclose(areas, expected.precision[0, label][:, None].repeat(3, axis=1), atol=atol)


def test_intervals_are_those_of_sets_drawn_anew() -> None:
    targets, detections, num_classes = draw_set("few classes", num_images=50)
    rng, figures = np.random.default_rng(3), []
    for _ in range(300):
        drawn = rng.integers(50, size=50)
        scores = compute_detection_scores(match_detections(targets[drawn], detections[drawn], num_classes))
        figures.append(
            (
                scores.mean_precision(),
                scores.mean_precision(overlap=0),
                scores.mean_precision(overlap=5),
                scores.class_precision(1),
                scores.class_precision(1, overlap=0),
            )
        )
    matches = match_detections(targets, detections, num_classes)
    measured = measure_precision(matches, compute_detection_scores(matches))
    intervals = (measured.mean, measured.at_50, measured.at_75, measured.classes[1], measured.classes_at_50[1])
    for interval, resampled in zip(intervals, np.array(figures, float).T, strict=True):
        assert interval
        assert interval.low < interval.value < interval.high
        bias = resampled.mean() - interval.value
        assert bias > 0
        expected = np.percentile(resampled, [2.5, 97.5]) - 2 * bias
        np.testing.assert_allclose((interval.low, interval.high), expected, atol=0.012)


def test_the_values_are_those_of_the_images_themselves() -> None:
    targets, detections, num_classes = draw_set("plain", num_images=30)
    targets[targets[..., 4] == 3] = 0
    matches = match_detections(targets, detections, num_classes)
    scores = compute_detection_scores(matches)
    measured = measure_precision(matches, scores)
    assert measured.mean
    assert measured.at_50
    assert measured.mean.value == pytest.approx(scores.mean_precision())
    assert measured.at_50.value == pytest.approx(scores.mean_precision(overlap=0))
    assert measured.classes[2] is None
    assert [each.value for each in measured.classes_at_50 if each] == pytest.approx(
        [scores.class_precision(label, overlap=0) for label in (0, 1, 3, 4, 5, 6)]
    )


def test_a_set_without_objects_has_no_intervals() -> None:
    matches = match_detections(np.zeros((3, 1, 6), np.float32), draw_set("plain", num_images=3)[1], 7)
    measured = measure_precision(matches, compute_detection_scores(matches))
    assert (measured.mean, measured.at_50, measured.at_75) == (None, None, None)
    assert measured.classes == measured.classes_at_50 == (None,) * 7


def test_sets_without_a_mistake_have_intervals_of_some_width() -> None:
    targets = np.zeros((10, 1, 6), np.float32)
    targets[:8, 0] = (0, 0, 10, 10, 1, 0)
    detections = targets.copy()
    detections[:8, 0, 4:] = (0.9, 0)
    matches = match_detections(targets, detections, 1)
    measured = measure_precision(matches, compute_detection_scores(matches))
    assert measured.mean == measured.at_50 == measured.classes[0] == compute_wilson_interval(8, 8)
