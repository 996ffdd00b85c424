"""Average precision of detections: against the evaluation of COCO itself, and by hand."""

from __future__ import annotations

import contextlib
import io
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tlkit.metrics.detection_matches import match_detections
from tlkit.metrics.detection_precision import compute_detection_scores, compute_map50

CASES = ("plain", "crowds", "many of one class", "equal scores", "whole pixels", "without objects", "few classes")


def draw_boxes(rng: np.random.Generator, shape: tuple[int, ...], *, is_whole: bool) -> NDArray[np.float32]:
    """Return boxes of all sizes in images of 400 px, some of them without area."""
    edges = np.exp(rng.uniform(np.log(4), np.log(300), (*shape, 2)))
    corners = rng.uniform(0, 400 - edges)
    boxes = np.concatenate([corners, corners + edges], axis=-1)
    return (np.round(boxes / 8) * 8 if is_whole else boxes).astype(np.float32)


def draw_set(case: str, *, num_images: int = 120) -> tuple[NDArray[np.float32], NDArray[np.float32], int]:
    """Return random targets and detections near them, and the number of classes."""
    rng = np.random.default_rng(CASES.index(case))
    num_classes = {"many of one class": 1, "few classes": 3}.get(case, 7)
    is_whole = case == "whole pixels"
    num_objects = 30 if case == "many of one class" else 9
    targets = np.zeros((num_images, num_objects, 6), np.float32)
    targets[..., :4] = draw_boxes(rng, targets.shape[:2], is_whole=is_whole)
    targets[..., 4] = rng.integers(0, num_classes, targets.shape[:2]) + 1
    targets[..., 5] = rng.random(targets.shape[:2]) < (0.3 if case == "crowds" else 0.05)
    targets[rng.random(targets.shape[:2]) < 0.4] = 0
    targets[rng.random(num_images) < (0.8 if case == "without objects" else 0.1)] = 0

    detections = np.zeros((num_images, 100, 6), np.float32)
    sources = rng.integers(0, num_objects, (num_images, 100))
    near = np.take_along_axis(targets, sources[..., None], axis=1)
    spread = (near[..., 2:4] - near[..., :2]).repeat(2, axis=-1).reshape(num_images, 100, 4)
    noise = rng.normal(0, 0.12, (num_images, 100, 4)) * spread * rng.integers(0, 2, (num_images, 100, 1))
    moved = near[..., :4] + (np.round(noise / 8) * 8 if is_whole else noise)
    moved = np.concatenate([np.minimum(moved[..., :2], moved[..., 2:]), np.maximum(moved[..., :2], moved[..., 2:])], -1)
    is_free = (near[..., 4] == 0) | (rng.random((num_images, 100)) < 0.4)
    detections[..., :4] = np.where(is_free[..., None], draw_boxes(rng, (num_images, 100), is_whole=is_whole), moved)
    other = rng.integers(0, num_classes, (num_images, 100))
    detections[..., 5] = np.where(is_free | (rng.random((num_images, 100)) < 0.15), other, near[..., 4] - 1)
    scores = 0.75 * rng.beta(1, 3, (num_images, 100)) + 0.25 * ~is_free * rng.random((num_images, 100))
    detections[..., 4] = np.round(scores * 10) / 10 if case == "equal scores" else scores
    detections[rng.random((num_images, 100)) < 0.3] = 0
    order = np.argsort(-detections[..., 4], axis=1, kind="stable")
    return targets, np.take_along_axis(detections, order[..., None], axis=1), num_classes


def evaluate_as_coco(targets: NDArray[np.float32], detections: NDArray[np.float32], num_classes: int) -> Any:
    """Return the evaluation of COCO's own tool."""
    coco = pytest.importorskip("pycocotools.coco")
    cocoeval = pytest.importorskip("pycocotools.cocoeval")

    def to_bbox(row: NDArray[np.float64]) -> list[float]:
        return [row[0], row[1], row[2] - row[0], row[3] - row[1]]

    objects = [(image, row) for image, rows in enumerate(targets.astype(np.float64)) for row in rows if row[4]]
    found = [(image, row) for image, rows in enumerate(detections.astype(np.float64)) for row in rows if row[4]]
    annotations = [
        {
            "id": number + 1,
            "image_id": image + 1,
            "category_id": int(row[4]),
            "bbox": to_bbox(row),
            "area": (row[2] - row[0]) * (row[3] - row[1]),
            "iscrowd": int(row[5]),
        }
        for number, (image, row) in enumerate(objects)
    ]
    results = [
        {"image_id": image + 1, "category_id": int(row[5]) + 1, "bbox": to_bbox(row), "score": row[4]}
        for image, row in found
    ]
    with contextlib.redirect_stdout(io.StringIO()):
        truth = coco.COCO()
        truth.dataset = {
            "info": {},
            "images": [{"id": image + 1} for image in range(len(targets))],
            "categories": [{"id": label + 1, "name": str(label)} for label in range(num_classes)],
            "annotations": annotations,
        }
        truth.createIndex()
        evaluation = cocoeval.COCOeval(truth, truth.loadRes(results), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return evaluation


@pytest.mark.parametrize("case", CASES)
def test_precision_and_recall_are_those_of_coco(case: str) -> None:
    targets, detections, num_classes = draw_set(case)
    expected = evaluate_as_coco(targets, detections, num_classes)
    scores = compute_detection_scores(match_detections(targets, detections, num_classes))
    summary = [
        scores.mean_precision(),
        scores.mean_precision(overlap=0),
        scores.mean_precision(overlap=5),
        *(scores.mean_precision(size=size) for size in ("small", "medium", "large")),
        *(scores.mean_recall_of_best(number) for number in (1, 10, 100)),
        *(scores.mean_recall(size=size) for size in ("small", "medium", "large")),
    ]
    assert all(value is not None and 0 < value < 0.99 for value in summary)
    np.testing.assert_allclose(np.array(summary, float), expected.stats, atol=1e-9, rtol=0)

    # precision: overlaps, recalls, classes, sizes, numbers of detections; -1 where there are no objects
    precision = np.where(expected.eval["precision"] < 0, np.nan, expected.eval["precision"])[..., -1].mean(axis=1)
    np.testing.assert_allclose(scores.precision, precision.transpose(2, 1, 0), atol=1e-9, rtol=0)
    recall = np.where(expected.eval["recall"] < 0, np.nan, expected.eval["recall"])
    np.testing.assert_allclose(scores.recall, recall[..., -1].transpose(2, 1, 0), atol=1e-9, rtol=0)
    np.testing.assert_allclose(scores.recall_of_best, recall[:, :, 0].transpose(2, 1, 0), atol=1e-9, rtol=0)
    assert compute_map50(targets, detections) == pytest.approx(expected.stats[1], abs=1e-9)


def test_the_score_of_an_epoch_is_0_without_objects_or_detections() -> None:
    targets, detections, _ = draw_set("plain", num_images=5)
    assert compute_map50(targets * 0, detections) == 0
    assert compute_map50(targets, detections * 0) == 0
    ignored = targets.copy()
    ignored[..., 5] = 1
    assert compute_map50(ignored, detections) == 0


def test_classes_without_objects_are_left_out_of_the_means() -> None:
    targets, detections, num_classes = draw_set("plain", num_images=40)
    targets[targets[..., 4] == 2] = 0
    scores = compute_detection_scores(match_detections(targets, detections, num_classes))
    others = [scores.class_precision(label, overlap=0) for label in range(num_classes) if label != 1]
    assert scores.class_precision(1) is None
    assert scores.mean_precision(overlap=0) == pytest.approx(np.mean(np.array(others, float)))
    nothing = compute_detection_scores(match_detections(targets * 0, detections, num_classes))
    assert (nothing.mean_precision(), nothing.mean_recall(), nothing.mean_recall_of_best(1)) == (None, None, None)


def test_arrays_that_do_not_fit_together_are_refused() -> None:
    targets, detections, _ = draw_set("plain", num_images=5)
    for wrong in (detections[:4], detections[0], detections[..., :5]):
        with pytest.raises(ValueError) as caught:
            match_detections(targets, wrong, 7)
        assert str(caught.value) == (
            f"expected targets (n, m, 6) and detections (n, k, 6). Received: targets.shape={targets.shape}, "
            f"detections.shape={wrong.shape}"
        )


def test_of_two_objects_that_a_box_overlaps_equally_it_takes_the_last_as_for_coco() -> None:
    targets = np.array([[(0, 0, 10, 10, 1, 0), (4, 0, 14, 10, 1, 0)]], np.float32)
    detections = np.array([[(2, 0, 12, 10, 0.9, 0), (-1, 0, 9, 10, 0.8, 0)]], np.float32)
    matches = match_detections(targets, detections, 1)
    # The first takes the second object, which leaves the other one to the second box.
    assert matches.partners.tolist() == [1, 0]
    assert compute_map50(targets, detections) == 1 == pytest.approx(evaluate_as_coco(targets, detections, 1).stats[1])
