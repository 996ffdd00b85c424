"""The network that is exported: stock layers, whose outputs are what `tlkit predict` computes from the bundle's."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

import numpy as np
import pytest

from tests.exports.conftest import draw_images, make_classifier
from tlkit.backbones.catalogue import BACKBONES
from tlkit.detection.decoding import activate_answers
from tlkit.detection.grid import Grid
from tlkit.exports.shipped import ShippedModel, build_shipped_model
from tlkit.heads import HEADS
from tlkit.metadata.encoding import MetadataEncoding, NumberColumn
from tlkit.models.classifier import Classifier, assemble_classifier
from tlkit.models.novelty import fit_novelty
from tlkit.models.predictor import to_values
from tlkit.models.spec import BundleSpec
from tlkit.outputs import Target
from tlkit.recipes import HeadSettings

pytestmark = pytest.mark.usefixtures("untraced")

METADATA = MetadataEncoding((NumberColumn("weight", 0.0, 1.0, -3.0, 3.0),))
CLASSES = BundleSpec(
    "mnist_cnn", (32, 32), "squash", 1, "avg", HeadSettings("linear"), ("a", "b", "c"), temperature=1.7
)
LABELS = dataclasses.replace(CLASSES, task="multilabel", thresholds=(0.5, 0.4, 0.3), temperature=1.0)
VALUE = dataclasses.replace(
    CLASSES, task="regression", class_names=(), temperature=1.0, target=Target("kg", 5, 2, False)
)


def with_head(spec: BundleSpec, kind: str, *, whiten: str = "none", **changes: Any) -> BundleSpec:
    head = HeadSettings(kind, units=8, whiten=whiten)
    return dataclasses.replace(spec, pooling=HEADS[kind].pooling, head=head, **changes)


CASES = {
    "classes, linear": CLASSES,
    "classes, conv, batch norm": with_head(CLASSES, "conv", backbone="tiny"),
    "classes, linear, whitened": with_head(CLASSES, "linear", whiten="zca"),
    "classes, flat": with_head(CLASSES, "flat"),
    "labels, dense, whitened": with_head(LABELS, "dense", whiten="pca"),
    "labels, dense, metadata, box": with_head(LABELS, "dense", metadata=METADATA, has_box=True),
    "one class, box": with_head(CLASSES, "dense", class_names=("a",), has_box=True),
    "value, linear, metadata": dataclasses.replace(VALUE, metadata=METADATA),
    "logarithm of a value, conv": with_head(VALUE, "conv", target=Target("kg", 1.0, 0.5, is_log=True)),
}


@functools.cache
def build_case(case: str) -> tuple[Classifier, ShippedModel]:
    """Return the model of a case and what is exported of it; all tests share them, so none may change them."""
    classifier = make_classifier(CASES[case])
    return classifier, build_shipped_model(classifier)


def call(network: Any, images: np.ndarray[Any, Any], metadata: np.ndarray[Any, Any]) -> dict[str, np.ndarray[Any, Any]]:
    given = {"image": images.astype(np.float32), "metadata": metadata}
    outputs = network({name: given[name] for name in network.input}, training=False)
    return {name: np.asarray(value) for name, value in outputs.items()}


def test_a_detector_gives_the_boxes_and_scores_that_objects_are_chosen_from() -> None:
    spec = with_head(CLASSES, "detector", backbone="tiny", task="detection", temperature=1.0, thresholds=(0.5,) * 3)
    classifier = make_classifier(spec)
    model, images = build_shipped_model(classifier), draw_images(3)

    outputs = call(model.network, images, np.zeros((3, 0), np.float32))

    boxes, scores = activate_answers(classifier.logits(images), Grid(classifier.spec.map_sizes))
    assert tuple(outputs) == model.output_names == ("boxes", "scores", "distance")
    np.testing.assert_allclose(outputs["boxes"], boxes, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(outputs["scores"], scores, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(outputs["distance"], classifier.predict(images)[:, -1], atol=1e-5)
    assert np.ptp(scores) > 1e-4
    assert [(port["name"], port["shape"]) for port in model.document["outputs"]] == [
        ("boxes", ["batch", boxes.shape[1], 4]),
        ("scores", ["batch", boxes.shape[1], 3]),
        ("distance", ["batch"]),
    ]


def test_a_segmenter_gives_the_probabilities_that_masks_are_drawn_from() -> None:
    spec = with_head(CLASSES, "segmenter", backbone="tiny", task="segmentation")
    classifier = make_classifier(spec)
    model, images = build_shipped_model(classifier), draw_images(3)

    outputs = call(model.network, images, np.zeros((3, 0), np.float32))

    rows = classifier.predict(images)
    height, width = classifier.spec.map_sizes[0]
    assert tuple(outputs) == model.output_names == ("cells", "distance")
    assert outputs["cells"].shape == (3, height, width, 4)
    np.testing.assert_allclose(outputs["cells"].reshape(3, -1), rows[:, :-1], rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(outputs["distance"], rows[:, -1], atol=1e-5)
    assert np.ptp(outputs["cells"][..., 1]) > 1e-4
    assert [(port["name"], port["shape"]) for port in model.document["outputs"]] == [
        ("cells", ["batch", height, width, 4]),
        ("distance", ["batch"]),
    ]


@pytest.mark.parametrize("case", CASES)
def test_the_outputs_are_those_of_the_bundle(case: str) -> None:
    spec = CASES[case]
    classifier, model = build_case(case)
    images, metadata = draw_images(3), np.full((3, spec.metadata.width), 0.5, np.float32)

    outputs = call(model.network, images, metadata)

    rows = classifier.predict(images, metadata)
    number = spec.outputs.num_answers
    answers = rows[:, :number] if spec.target is None else to_values(spec.target, rows[:, :number])
    np.testing.assert_allclose(outputs["probabilities" if spec.target is None else "value"], answers, rtol=1e-5)
    np.testing.assert_allclose(outputs["distance"], rows[:, -1], atol=1e-5)
    if spec.has_box:
        x, y, width, height = rows[:, number : number + 4].T
        corners = np.stack([x - width / 2, y - height / 2, x + width / 2, y + height / 2], axis=1)
        np.testing.assert_allclose(outputs["box"], corners, atol=1e-6)
    assert tuple(outputs) == model.output_names
    assert ("map" in outputs) == (spec.head.kind in ("linear", "conv"))


@pytest.mark.parametrize("case", ["classes, linear", "classes, linear, whitened", "classes, conv, batch norm"])
def test_the_mean_of_a_map_is_the_logit(case: str) -> None:
    classifier, model = build_case(case)
    images = draw_images(2)

    outputs = call(model.network, images, np.zeros((2, 0), np.float32))

    assert outputs["map"].shape[1:3] == classifier.backbone.split_at_map("top")[0].output.shape[1:3]
    np.testing.assert_allclose(outputs["map"].mean(axis=(1, 2)), classifier.logits(images), rtol=1e-4, atol=1e-5)


def test_the_distance_of_a_training_image_is_0() -> None:
    classifier = make_classifier(CLASSES)
    images = draw_images(4)
    classifier.novelty = fit_novelty(classifier.compute_features(images))

    outputs = call(build_shipped_model(classifier).network, images, np.zeros((4, 0), np.float32))

    np.testing.assert_allclose(outputs["distance"], 0, atol=1e-4)


@pytest.mark.parametrize("backbone", ["tiny", "resnet50", "mobilenet_v3_small", "convnext_tiny"])
def test_the_network_has_only_layers_and_operations_of_keras(backbone: str) -> None:
    spec = dataclasses.replace(CLASSES, backbone=backbone, image_size=(BACKBONES[backbone].smallest_edge_px,) * 2)

    network = build_shipped_model(assemble_classifier(spec, weights="random", seed=5)).network

    assert {type(each).__module__.split(".")[0] for each in network.operations} == {"keras"}
    assert not any(hasattr(each, "layers") for each in network.operations)
