"""A head that slides over a map gives for every window what it gives for a map of that window."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from numpy.typing import NDArray

from tlkit.data.images import LOADER_VERSION
from tlkit.models.classifier import Classifier, assemble_classifier
from tlkit.models.sliding_head import SlidingHead
from tlkit.models.spec import BundleSpec
from tlkit.recipes import HeadSettings

pytestmark = pytest.mark.usefixtures("untraced_module")


def make_classifier(kind: str, edge_px: int, whiten: str = "none") -> Classifier:
    """Return a model with random weights everywhere, moving statistics included."""
    spec = BundleSpec(
        "mnist_cnn",
        (edge_px, edge_px),
        "squash",
        LOADER_VERSION,
        "avg" if kind == "linear" else "none",
        HeadSettings(kind=kind, units=6, whiten=whiten),
        ("carp", "eel", "pike"),
    )
    classifier = assemble_classifier(spec, weights="random", seed=1)
    rng = np.random.default_rng(5)
    for weight in classifier.head.weights:
        weight.assign(
            rng.uniform(0.5, 1.5, weight.shape) * rng.choice([-1, 1], weight.shape) ** ("variance" not in weight.name)
        )
    return classifier


def answer_windows(
    classifier: Classifier, features: NDArray[np.float32], window: tuple[int, int]
) -> NDArray[np.float32]:
    """Return what the head gives for the map of each window, (rows, columns, 3)."""
    views = np.lib.stride_tricks.sliding_window_view(features, window, axis=(0, 1)).transpose(0, 1, 3, 4, 2)
    maps = views.reshape(-1, *views.shape[2:])
    given = maps.mean(axis=(1, 2)) if classifier.spec.pooling == "avg" else maps
    logits = np.asarray(classifier.head({"feature": given}, training=False)["answer"])
    return logits.reshape(*views.shape[:2], -1)


@pytest.mark.parametrize(
    ("kind", "edge_px", "whiten"),
    [
        *((kind, edge_px, "none") for kind in ("linear", "dense", "flat") for edge_px in (28, 32)),
        ("dense", 28, "zca"),
        ("fisheries", 28, "none"),
        ("vgg", 28, "none"),
        ("vgg", 28, "pca"),
        ("flat", 28, "pca"),
        ("flat", 28, "standard"),
    ],
)
def test_a_window_gets_the_logits_of_its_own_map(kind: str, edge_px: int, whiten: str) -> None:
    classifier = make_classifier(kind, edge_px, whiten)
    head = SlidingHead(classifier)
    assert head.window == ((edge_px - 8) // 4,) * 2
    features = np.random.default_rng(2).normal(size=(9, 11, 64)).astype(np.float32)
    expected = answer_windows(classifier, features, head.window)
    found = head.compute_logits(features)
    assert found.shape == (9 - head.window[0] + 1, 11 - head.window[1] + 1, 3)
    np.testing.assert_allclose(found, expected, atol=1e-5 * np.abs(expected).max())
    assert np.ptp(expected, axis=(0, 1)).min() > 0.01 * np.abs(expected).max()


@pytest.mark.parametrize("whiten", ["none", "pca"])
def test_a_conv_head_gives_the_mean_of_the_scores_of_the_places(whiten: str) -> None:
    classifier = make_classifier("conv", 28, whiten)
    head = SlidingHead(classifier)
    pictures = np.random.default_rng(2).integers(0, 256, (2, 28, 28, 3), np.uint8)
    maps = np.asarray(head.trunk(pictures.astype(np.float32), training=False))
    assert maps.shape == (2, 5, 5, 3)
    found = np.stack([head.compute_logits(each)[0, 0] for each in maps])
    np.testing.assert_allclose(found, classifier.logits(pictures), rtol=1e-5)


def test_the_rest_of_a_pooled_backbone_is_applied_to_the_mean_of_a_window(monkeypatch: pytest.MonkeyPatch) -> None:
    classifier = make_classifier("linear", 28)
    trunk, _ = classifier.backbone.split_at_map("top")
    mean = keras.layers.GlobalAveragePooling2D()(trunk.output)
    normed = keras.layers.LayerNormalization()(mean)
    after = keras.Model(trunk.output, normed)
    monkeypatch.setattr(classifier.backbone, "split_at_map", lambda _: (trunk, after))
    features = np.random.default_rng(2).normal(size=(6, 7, 64)).astype(np.float32)
    found = SlidingHead(classifier).compute_logits(features)
    window = features[1:6, 2:7][np.newaxis]
    expected = classifier.head({"feature": after(window)}, training=False)["answer"]
    np.testing.assert_allclose(found[1, 2], np.asarray(expected)[0], rtol=1e-4)
