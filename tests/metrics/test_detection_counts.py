"""What is shown at the thresholds: found, counted, on empty images, and as sure as the scores say."""

from __future__ import annotations

import numpy as np
import pytest

from tests.metrics.test_detection_errors import CAT, DOG, make_box, make_object, stack
from tests.metrics.test_detection_precision import draw_set
from tlkit.metrics.detection_counts import (
    count_detections,
    measure_counting,
    measure_detection_calibration,
    measure_shown,
    measure_undisturbed,
)
from tlkit.metrics.detection_matches import match_detections
from tlkit.metrics.detection_thresholds import find_shown

TARGETS = stack(
    [make_object(0, CAT), make_object(100, CAT), make_object(200, DOG)],
    [make_object(0, CAT, ignored=1)],
    [],
    [],
)
DETECTIONS = stack(
    [make_box(0, CAT, 0.9), make_box(500, CAT, 0.8), make_box(100, CAT, 0.3), make_box(200, DOG, 0.4)],
    [make_box(0, CAT, 0.9)],
    [make_box(0, DOG, 0.45)],
    [make_box(0, CAT, 0.2)],
)


def test_objects_and_shown_boxes_are_counted_by_image_and_class() -> None:
    matches = match_detections(TARGETS, DETECTIONS, 2)
    counts = count_detections(matches, find_shown(matches.detected.scores, matches.detected.labels, (0.5, 0.4)))
    assert counts.objects.tolist() == [[2, 1], [0, 0], [0, 0], [0, 0]]
    assert counts.right.tolist() == [[1, 1], [0, 0], [0, 0], [0, 0]]
    assert counts.shown.tolist() == [[2, 1], [0, 0], [0, 1], [0, 0]]
    assert counts.missed.tolist() == [[1, 0], [0, 0], [0, 0], [0, 0]]
    assert counts.false.tolist() == [[1, 0], [0, 0], [0, 1], [0, 0]]
    assert (counts.of_class(CAT), counts.of_class(DOG), counts.totals()) == ((1, 2, 2), (1, 2, 1), (2, 4, 3))
    shown = measure_shown(counts)
    assert [shown[name].value for name in ("precision", "recall", "f1")] == [2 / 4, 2 / 3, 4 / 7]
    assert shown["precision"].low < 0.5 < shown["precision"].high
    counting = measure_counting(counts)
    assert (counting.error.value, counting.right.value, counting.excess.value) == (0.25, 0.75, 0.25)
    # An image with nothing but an ignored object is not empty.
    undisturbed = measure_undisturbed(matches, counts)
    assert undisturbed
    assert undisturbed.value == 0.5


def test_matching_only_what_is_shown_gives_the_same_numbers() -> None:
    targets, detections, num_classes = draw_set("plain", num_images=50)
    matches = match_detections(targets, detections, num_classes)
    is_shown = matches.detected.scores >= 0.3
    kept = np.where(detections[..., 4:5] >= 0.3, detections, 0)
    alone = match_detections(targets, kept, num_classes)
    for some, other in (
        (count_detections(matches, is_shown), count_detections(alone, np.ones(len(alone.detected), bool))),
    ):
        assert some.right.sum() > 20
        assert np.array_equal(some.right, other.right)
        assert np.array_equal(some.shown, other.shown)


def test_all_right_and_all_wrong_have_intervals_of_some_width() -> None:
    targets = stack(*[[make_object(0, CAT)]] * 10)
    for left, value in ((0, 1.0), (50, 0.0)):
        detections = stack(*[[make_box(left, CAT, 0.9)]] * 10)
        matches = match_detections(targets, detections, 1)
        shown = measure_shown(count_detections(matches, np.ones(10, bool)))
        for each in shown.values():
            assert each.value == value
            assert each.high - each.low == pytest.approx(0.2775, abs=1e-3)


def test_without_boxes_and_objects_nothing_is_measured() -> None:
    matches = match_detections(TARGETS * 0, DETECTIONS * 0, 2)
    counts = count_detections(matches, np.zeros(0, bool))
    assert measure_shown(counts) == {}
    assert measure_detection_calibration(matches) is None
    undisturbed = measure_undisturbed(matches, counts)
    assert undisturbed
    assert undisturbed.value == 1.0
    full = match_detections(TARGETS[:1], DETECTIONS[:1], 2)
    assert measure_undisturbed(full, count_detections(full, np.zeros(4, bool))) is None


def test_scores_that_are_probabilities_have_no_calibration_error_and_others_do() -> None:
    rng = np.random.default_rng(0)
    scores = rng.uniform(0.1, 0.9, (400, 5)).astype(np.float32)
    targets, detections = np.zeros((400, 5, 6), np.float32), np.zeros((400, 5, 6), np.float32)
    for place in range(5):
        detections[:, place, :4] = targets[:, place, :4] = (20 * place, 0, 20 * place + 10, 10)
    detections[..., 4] = scores
    targets[..., 4] = rng.random((400, 5)) < scores
    measured = measure_detection_calibration(match_detections(targets, detections, 1))
    assert measured
    assert measured.error.value < 0.06
    assert [round(each.confidence, 1) for each in measured.calibration.bins] == pytest.approx(
        np.arange(0.15, 0.9, 0.1), abs=0.06
    )
    assert measured.error.low < measured.error.value < measured.error.high
    # Resamples of few boxes have larger errors than the boxes themselves; the interval lies around the value all the same.
    few = measure_detection_calibration(match_detections(targets[:30], detections[:30], 1))
    assert few
    assert (few.error.low + few.error.high) / 2 == pytest.approx(few.error.value, abs=0.01)
    detections[..., 4] = scores / 2
    halved = measure_detection_calibration(match_detections(targets, detections, 1))
    assert halved
    assert halved.error.value == pytest.approx(0.25, abs=0.03)
    assert halved.error.low > 0.2
    # Those below 0.05 are left out.
    detections[..., 4] = np.where(scores < 0.5, 0.04, scores)
    above = measure_detection_calibration(match_detections(targets, detections, 1))
    assert above
    assert sum(each.num_images for each in above.calibration.bins) == int((scores >= 0.5).sum())
