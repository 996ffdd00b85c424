"""IoU, its interval, and the error in pixels, on boxes made by hand."""

from __future__ import annotations

import numpy as np
import pytest

from tlkit.tasks.box_report import BoxReport, compute_box_scores
from tlkit.tasks.classification_report import compute_classification_report

SQUARE = (10.0, 10.0, 30.0, 30.0)


def test_equal_boxes_agree_wholly() -> None:
    scores = compute_box_scores([SQUARE] * 5, [SQUARE] * 5)
    assert (scores.iou.value, scores.iou.low, scores.iou.high, scores.error_px.value) == (1.0, 1.0, 1.0, 0.0)
    assert scores.share_good.value == 1.0


def test_shifted_and_separate_boxes_agree_by_what_they_share() -> None:
    shifted, separate = (20.0, 10.0, 40.0, 30.0), (100.0, 10.0, 120.0, 30.0)
    scores = compute_box_scores([SQUARE, SQUARE], [shifted, separate])
    np.testing.assert_allclose(scores.each, [1 / 3, 0.0])
    assert scores.share_good.value == 0.0
    assert scores.error_px.value == pytest.approx((10 + 0 + 10 + 0 + 90 + 0 + 90 + 0) / 8)


def test_the_interval_narrows_with_more_images() -> None:
    rng = np.random.default_rng(0)

    def width(number: int) -> float:
        predicted = [tuple(np.add(SQUARE, rng.uniform(-8, 8))) for _ in range(number)]
        iou = compute_box_scores([SQUARE] * number, predicted).iou
        assert iou.low < iou.value < iou.high
        return iou.high - iou.low

    assert width(400) < width(20) / 2


def test_the_payload_is_plain() -> None:
    payload = compute_box_scores([SQUARE], [SQUARE]).to_payload()
    assert payload["iou"] == {"value": 1.0, "low": 1.0, "high": 1.0}
    assert payload["images"] == 1


def test_a_report_with_boxes_tells_them_first_and_by_class() -> None:
    labels, probabilities = np.array([0, 0, 1]), np.eye(2, dtype=np.float32)[[0, 0, 1]]
    answers = compute_classification_report(labels, probabilities, ("cat", "dog"))
    boxes = compute_box_scores([(0, 0, 10, 10), (0, 0, 10, 10)], [(0, 0, 10, 10), (0, 0, 5, 10)])
    report = BoxReport(answers, boxes, ("cat", "cat"))
    assert report.headline() == f"{answers.headline()} {boxes.headline()}"
    assert list(report.facts())[:2] == ["mean IoU of the boxes", "IoU above 0.5"]
    assert report.facts()["mean IoU of the boxes"] == "0.750 (0.500 to 1.000)"
    columns, rows = report.score_table()
    assert columns[-1] == "IoU"
    assert [(row[0], row[-1]) for row in rows] == [("cat", "0.750"), ("dog", "-"), ("mean of the classes", "0.750")]
    assert report.to_payload()["boxes"]["iou"]["value"] == 0.75
    assert (report.details(), report.mistakes_table(), report.score_file()) == (
        answers.details(),
        answers.mistakes_table(),
        answers.score_file(),
    )
    assert BoxReport(answers, boxes).score_table() == answers.score_table()
