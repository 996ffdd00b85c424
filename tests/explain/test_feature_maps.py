from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.explain.conftest import draw_pictures
from tlkit.explain.explainer import Explainer
from tlkit.explain.methods import FEATURE_METHODS, explain_features
from tlkit.heads import HEADS
from tlkit.outputs import MULTILABEL, REGRESSION
from tlkit.runtime import start_keras

pytestmark = pytest.mark.usefixtures("untraced")
Make = Callable[..., Any]
TARGETS = np.array([0, 1, 2, 1])


def test_the_mean_of_a_score_map_or_of_contributions_is_the_logit(make_classifier: Make) -> None:
    pictures = draw_pictures(4)
    for kind in ("linear", "conv", "flat"):
        classifier = make_classifier(kind)
        explainer = Explainer(classifier)
        maps = explain_features(explainer, explainer.compute_features(pictures), TARGETS)
        logits = classifier.logits(pictures)[np.arange(4), TARGETS]
        assert maps.dtype == np.float32
        assert np.abs(maps.mean(axis=(1, 2)) - logits).max() < 1e-4
        assert np.ptp(maps, axis=(1, 2)).min() > 1e-3
        if kind == "conv":
            features = explainer.compute_features(pictures)
            first, second = (explain_features(explainer, features, np.full(4, each)) for each in (0, 2))
            both = explain_features(explainer, features, np.tile([0, 2], (4, 1)))
            np.testing.assert_allclose(both, (first + second) / 2, atol=1e-5)


def test_what_metadata_add_is_no_evidence_of_a_place(make_classifier: Make) -> None:
    classifier = make_classifier("linear", has_metadata=True)
    explainer = Explainer(classifier)
    features = explainer.compute_features(draw_pictures(4))
    rows = classifier.spec.metadata.encode([("1",), ("2",), ("4",), ("",)])
    maps = explain_features(explainer, features, TARGETS, rows)
    again = explain_features(explainer, features, TARGETS, rows[::-1].copy())
    assert np.abs(maps - again).max() < 1e-4
    others = explain_features(explainer, features, TARGETS[::-1].copy(), rows)
    both = explain_features(explainer, features, np.stack([TARGETS, TARGETS[::-1]], axis=1), rows)
    np.testing.assert_allclose(both, (maps + others) / 2, atol=1e-5)
    with pytest.raises(ValueError, match=r"^Expected metadata of shape \(4, 2\)\. Received: shape=\(4, 0\)$"):
        explain_features(explainer, features, TARGETS)


@pytest.mark.parametrize("kind", [kind for kind, head in HEADS.items() if not head.finds_objects])
def test_gradcam_from_features_is_that_of_the_whole_network(kind: str, make_classifier: Make) -> None:
    classifier = make_classifier(kind)
    pictures = draw_pictures(4)
    explainer = Explainer(classifier)
    whole = keras.Model(explainer.trunk.input, [explainer.trunk.output, classifier.backbone._graph[0].output])
    with tf.GradientTape() as tape:
        features, top = whole(pictures.astype(np.float32), training=False)
        said = classifier.head({"feature": top}, training=False)
        chosen = tf.gather(said["answer"], TARGETS, axis=1, batch_dims=1)
    gradients = tape.gradient(chosen, features)
    expected = tf.einsum("nhwc,nc->nhw", features, tf.reduce_sum(gradients, axis=(1, 2))).numpy()
    stored = explainer.compute_features(pictures)
    for dtype, tolerance in ((np.float32, 1e-5), (np.float16, 5e-3)):
        found = explain_features(explainer, stored.astype(dtype), TARGETS, method="gradcam")
        assert np.abs(found - expected).max() < tolerance * np.abs(expected).max()


def test_every_boundary_gives_the_same_outputs(make_classifier: Make) -> None:
    classifier = make_classifier("dense", edge=64)
    pictures = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3), np.uint8)
    logits = classifier.logits(pictures)
    for boundary in classifier.backbone.entry.boundaries[1:]:
        explainer = Explainer(classifier, boundary)
        features = explainer.compute_features(pictures)
        assert np.abs(explainer.compute_outputs(features) - logits).max() < 1e-4
        assert explain_features(explainer, features, TARGETS[:2]).shape == features.shape[:3]


@pytest.mark.parametrize("method", FEATURE_METHODS)
def test_every_method_finds_the_place_that_decides(method: str, make_classifier: Make) -> None:
    classifier = make_classifier("linear", edge=96)
    explainer = Explainer(classifier)
    kernel = np.asarray(classifier.head.get_layer("logits").kernel)
    rng = np.random.default_rng(0)
    features = np.abs(rng.normal(0, 0.1, (2, *explainer.feature_shape))).astype(np.float32)
    features[0, 1, 4] += 50 * np.maximum(kernel[:, 2], 0)
    features[1, 4, 1] += 50 * np.maximum(-kernel[:, 2], 0)
    speaks_for, speaks_against = explain_features(explainer, features, np.array([2, 2]), method=method)
    reach = 0 if method in ("exact", "gradcam", "hirescam") else 1  # a cover hides the neighbours, too
    assert np.abs(np.subtract(np.unravel_index(speaks_for.argmax(), speaks_for.shape), (1, 4))).max() <= reach
    assert np.abs(np.subtract(np.unravel_index(speaks_against.argmin(), speaks_for.shape), (4, 1))).max() <= reach


def test_labels_values_and_box_coordinates_are_explained(make_classifier: Make) -> None:
    for kind, keywords, targets in (
        ("linear", {"task": MULTILABEL}, [0, 2]),
        ("dense", {"task": REGRESSION}, [0, 0]),
        ("flat", {"has_box": True}, [3, 6]),
    ):
        edge = 64 if kind == "dense" else 32
        explainer = Explainer(make_classifier(kind, edge=edge, **keywords))
        pictures = np.random.default_rng(0).integers(0, 256, (2, edge, edge, 3), np.uint8)
        features = explainer.compute_features(pictures)
        maps = explain_features(explainer, features, np.array(targets))
        assert np.isfinite(maps).all()
        assert np.ptp(maps, axis=(1, 2)).min() > 0


def test_a_head_without_scores_of_places_has_no_exact_map(make_classifier: Make) -> None:
    explainer = Explainer(make_classifier("dense", edge=64))
    features = np.zeros((1, *explainer.feature_shape), np.float32)
    with pytest.raises(ValueError, match=r"^Expected a head that scores places or is affine, and targets that are"):
        explain_features(explainer, features, np.array([0]), method="exact")
    assert explain_features(explainer, features[:0], np.array([], np.int64)).shape == (0, 4, 4)


def test_many_explainers_are_traced_once_each_and_without_a_warning(
    traced: None, make_classifier: Make, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger("tensorflow"), "propagate", True)
    caplog.set_level(logging.WARNING, "tensorflow")
    start_keras()
    for _ in range(5):
        explainer = Explainer(make_classifier("linear"))
        for count in (1, 2, 65):
            features = np.ones((count, *explainer.feature_shape), np.float32)
            explain_features(explainer, features, np.zeros(count, np.int64))
            explainer.compute_outputs(features)
        traced_functions = (explainer._outputs, explainer._gradients)
        assert [each.experimental_get_tracing_count() for each in traced_functions] == [1, 1]
    assert caplog.messages == []
