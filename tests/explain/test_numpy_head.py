"""Heads in numpy: what Keras says, without Keras."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tests.explain.conftest import read_weights
from tlkit.errors import BundleError
from tlkit.explain.explainer import Explainer
from tlkit.explain.methods import DEFAULT, explain_features
from tlkit.explain.numpy_head import NumpyHead
from tlkit.heads import HEADS
from tlkit.outputs import MULTILABEL, REGRESSION

pytestmark = pytest.mark.usefixtures("untraced")
Make = Callable[..., Any]


@pytest.mark.parametrize("kind", [kind for kind, head in HEADS.items() if not head.finds_objects])
def test_every_head_explains_like_keras(kind: str, make_classifier: Make) -> None:
    for keywords in (
        {"whiten": "pca"},
        {"task": MULTILABEL, "whiten": "standard"},
        {"task": REGRESSION},
        {"has_metadata": HEADS[kind].takes_metadata},
    ):
        classifier = make_classifier(kind, backbone="mnist_cnn", edge=28, **keywords)
        explainer = Explainer(classifier)
        assert explainer.feature_shape[:2] == (5, 5)
        rng = np.random.default_rng(0)
        features = np.maximum(rng.normal(size=(4, *explainer.feature_shape)), 0).astype(np.float32)
        targets = rng.integers(0, classifier.spec.outputs.num_answers, 4)
        metadata = rng.normal(size=(4, classifier.spec.metadata.width)).astype(np.float32)
        expected = explain_features(explainer, features, targets, metadata)
        found = NumpyHead(classifier.spec, read_weights(classifier)).explain(features, targets)
        assert found.dtype == np.float32
        assert np.abs(found - expected).max() < 1e-5 * max(1, np.abs(expected).max())
        assert np.ptp(expected, axis=(1, 2)).min() > 1e-3


@pytest.mark.parametrize(
    ("kind", "has_metadata", "whiten"),
    [
        ("dense", True, "none"),
        ("fisheries", True, "none"),
        ("flat", False, "none"),
        ("flat", False, "zca"),
    ],
)
def test_the_box_is_explained_like_keras(kind: str, has_metadata: bool, whiten: str, make_classifier: Make) -> None:
    edge = 80 if whiten == "none" else 32
    classifier = make_classifier(kind, edge=edge, has_box=True, has_metadata=has_metadata, whiten=whiten)
    explainer = Explainer(classifier)
    rng = np.random.default_rng(0)
    features = np.maximum(rng.normal(size=(3, *explainer.feature_shape)), 0).astype(np.float32)
    metadata = rng.normal(size=(3, classifier.spec.metadata.width)).astype(np.float32)
    coordinates = [
        explain_features(explainer, features, np.full(3, number), metadata, method=DEFAULT) for number in range(3, 7)
    ]
    expected = np.sqrt(np.sum(np.square(coordinates), axis=0))
    boxes = explainer.compute_outputs(features, metadata)[:, 3:]
    found = NumpyHead(classifier.spec, read_weights(classifier)).explain_box(features, boxes)
    assert np.abs(found - expected).max() < 1e-5 * expected.max()
    weights = read_weights(classifier) | {"box/kernel": np.zeros((2, 2), np.float32)}
    with pytest.raises(BundleError, match="the weight 'box/kernel' of the head has the shape"):
        NumpyHead(classifier.spec, weights).explain_box(features, boxes)


@pytest.mark.parametrize(
    ("kind", "name", "shape"),
    [
        ("linear", "logits/kernel", (224, 3)),
        ("flat", "logits/bias", (3,)),
        ("conv", "norm_2/gamma", (8,)),
        ("dense", "dense_1/kernel", (896, 8)),
        ("vgg", "dense_1/kernel", (5 * 5 * 224, 8)),
    ],
)
def test_weights_of_another_head_are_refused(
    kind: str, name: str, shape: tuple[int, ...], make_classifier: Make
) -> None:
    classifier = make_classifier(kind, edge=80)
    size = Explainer(classifier).feature_shape
    for change, found in ((np.zeros((2, 2), np.float32), "(2, 2)"), (None, "None")):
        weights = read_weights(classifier) | ({name: change} if change is not None else {})
        if change is None:
            del weights[name]
        with pytest.raises(BundleError) as caught:
            NumpyHead(classifier.spec, weights).explain(np.zeros((1, *size), np.float32), np.zeros(1, np.int64))
        assert caught.value.found == f"the weight {name!r} of the head has the shape {found}."
        assert caught.value.expected == f"{shape}, as a {kind} head on this backbone has"
