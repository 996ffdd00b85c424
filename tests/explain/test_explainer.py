"""Heads that answer at places, cut at maps of several resolutions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tests.explain.conftest import draw_pictures
from tlkit.explain.explainer import Explainer
from tlkit.explain.methods import explain_features
from tlkit.outputs import DETECTION, SEGMENTATION

pytestmark = pytest.mark.usefixtures("untraced")
EDGE = 64


@pytest.fixture(scope="module")
def detector(make_classifier: Callable[..., Any]) -> Any:
    return make_classifier("detector", task=DETECTION, edge=EDGE)


@pytest.fixture(scope="module")
def segmenter(make_classifier: Callable[..., Any]) -> Any:
    return make_classifier("segmenter", task=SEGMENTATION, edge=EDGE)


def make_pictures(count: int) -> Any:
    return np.repeat(np.repeat(draw_pictures(count), 2, axis=1), 2, axis=2)


@pytest.mark.parametrize("boundary", ["top", "block2", "block1"])
def test_the_parts_around_the_maps_give_what_the_model_gives(detector: Any, boundary: str) -> None:
    explainer = Explainer(detector, boundary)
    pictures = make_pictures(2)
    outputs = explainer.compute_outputs(explainer.compute_features(pictures))
    np.testing.assert_allclose(outputs, detector.logits(pictures).reshape(2, -1), atol=1e-4)


def test_several_maps_are_one_feature_and_masks_cover_the_same_places_of_each(detector: Any) -> None:
    explainer = Explainer(detector)
    assert [shape[:2] for shape in explainer.map_shapes] == [(8, 8), (4, 4)]
    assert explainer.map_size == (8, 8)
    features = explainer.compute_features(make_pictures(1))
    fine, coarse = explainer.take_maps(features)
    assert (fine.shape[1:], coarse.shape[1:]) == explainer.map_shapes
    mask = np.ones((1, 4, 4), np.float32)
    mask[0, 1, 2] = 0
    fine, coarse = explainer.take_maps(explainer.spread_masks(mask))
    assert np.argwhere(coarse[0, :, :, 0] == 0).tolist() == [[1, 2]]
    assert np.argwhere(fine[0, :, :, -1] == 0).tolist() == [[2, 4], [2, 5], [3, 4], [3, 5]]


@pytest.mark.parametrize("method", ["auto", "occlusion"])
def test_the_evidence_for_a_location_lies_around_it(detector: Any, method: str) -> None:
    explainer = Explainer(detector)
    features = explainer.compute_features(make_pictures(1))
    corner = np.array([[4]])
    evidence = explain_features(explainer, features, corner, method=method)[0]
    assert evidence.shape == (8, 8)
    assert abs(evidence[:3, :3]).max() > 0
    assert abs(evidence[7, 7]) < 1e-5


def test_a_location_of_a_coarse_map_knows_nothing_of_a_finer_one(detector: Any) -> None:
    explainer = Explainer(detector)
    features = explainer.compute_features(make_pictures(1))
    width = explainer.num_outputs // 80
    for location, knows_fine in ((0, True), (64, False)):
        _, gradients = explainer.compute_gradients(features, np.array([[location * width + 4]]))
        fine, coarse = explainer.take_maps(gradients)
        assert bool(abs(fine).max() > 0) == knows_fine
        assert abs(coarse).max() > 0


@pytest.mark.parametrize("method", ["hirescam", "gradcam"])
def test_maps_of_several_resolutions_add_up(detector: Any, method: str) -> None:
    explainer = Explainer(detector)
    features = explainer.compute_features(make_pictures(1))
    target = np.array([[27 * (explainer.num_outputs // 80) + 4]])
    evidence = explain_features(explainer, features, target, method=method)[0]
    _, gradients = explainer.compute_gradients(features, target)
    maps, slopes = explainer.take_maps(features), explainer.take_maps(gradients)
    if method == "hirescam":
        fine, coarse = ((each * slope).sum() for each, slope in zip(maps, slopes, strict=True))
    else:
        fine, coarse = (
            (each.mean(axis=(1, 2)) * slope.sum(axis=(1, 2))).sum() for each, slope in zip(maps, slopes, strict=True)
        )
    assert abs(fine) > 1e-3
    assert abs(coarse) > 1e-3
    # The coarse map is interpolated, which weighs the cells at its border a little more.
    assert float(evidence.mean()) == pytest.approx(float(fine + coarse), abs=0.2 * float(abs(coarse)))


def test_a_mask_is_explained_by_the_log_odds_of_its_class(segmenter: Any) -> None:
    explainer = Explainer(segmenter)
    pictures = make_pictures(2)
    features = explainer.compute_features(pictures)
    rows, columns, num_classes = segmenter.spec.outputs.answer_shape
    shares = segmenter.predict(pictures)[:, : rows * columns * num_classes].reshape(2, rows, columns, num_classes)
    odds = np.log(shares / (1 - shares))
    label, places = 2, np.array([3, 9, 10])
    targets = np.repeat((places * num_classes + label)[np.newaxis], 2, axis=0)
    np.testing.assert_allclose(explain_features(explainer, features, targets), odds[..., label], atol=1e-3)
    expected = odds[..., label].reshape(2, -1)[:, places].mean(axis=1)
    outputs, gradients = explainer.compute_gradients(features, targets)
    np.testing.assert_allclose(outputs, expected, atol=1e-3)
    np.testing.assert_allclose(explainer.compute_explained(features, targets), expected, atol=1e-3)
    step = 1e-2 * gradients / np.linalg.norm(gradients, axis=1, keepdims=True)
    ahead, behind = (explainer.compute_explained(features + sign * step, targets) for sign in (1, -1))
    np.testing.assert_allclose(ahead - behind, 2 * (gradients * step).sum(axis=1), rtol=0.1)
