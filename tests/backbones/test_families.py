"""One member of each family, built once from random weights at the smallest size that it works on.

The parameters were counted by hand for VGG16, ResNet50 and MobileNetV2; the digests of the weights' names are a
promise: a bundle that was written with these names must be readable by every later tlkit.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import pytest
from numpy.typing import NDArray

from tests.reference.keras_networks import by_hand
from tlkit.backbones.build import Backbone, build_backbone
from tlkit.backbones.catalogue import BACKBONES, find_backbone
from tlkit.backbones.folding import ScaleAndShift, fold_batch_norm
from tlkit.backbones.fused import make_lean
from tlkit.backbones.weights import finalize_normalization


@dataclass(frozen=True)
class Family:
    """What a family's member is like at the smallest size.

    Attributes:
        backbone: The member.
        groups: For each layer group the feature above it and its parameters.
        names_sha256: Begin of the hash of the names of its weights.
        folded: How many of its batch norms join a convolution, and how many there are.
    """

    backbone: str
    groups: dict[str, tuple[tuple[int, ...], int]]
    names_sha256: str
    folded: tuple[int, int]


FAMILIES = [
    Family(
        "tiny",
        {
            "stem": ((16, 16, 32), 992),
            "block1": ((16, 16, 32), 18_688),
            "block2": ((8, 8, 64), 132_352),
            "block3": ((4, 4, 128), 526_848),
            "block4": ((224,), 1_645_952),
        },
        "ac6d051018fdf858",
        (18, 18),
    ),
    Family("mnist_cnn", {"conv1": ((4, 4, 32), 896), "conv2": ((64,), 18_496)}, "925f8d3ba893b0ff", (0, 0)),
    Family("mnist_norm", {"conv1": ((10, 10, 32), 324), "conv2": ((32,), 9_248)}, "538bc787b838d43e", (0, 1)),
    Family(
        "vgg16",
        {
            "block1": ((16, 16, 64), 38_720),
            "block2": ((8, 8, 128), 221_440),
            "block3": ((4, 4, 256), 1_475_328),
            "block4": ((2, 2, 512), 5_899_776),
            "block5": ((512,), 7_079_424),
        },
        "08e1a6e174172efa",
        (0, 0),
    ),
    Family(
        "resnet50",
        {
            "conv1": ((8, 8, 64), 9_728),
            "conv2": ((8, 8, 256), 220_032),
            "conv3": ((4, 4, 512), 1_230_336),
            "conv4": ((2, 2, 1024), 7_129_088),
            "conv5": ((2048,), 14_998_528),
        },
        "ce0c2f528bf8272c",
        (53, 53),
    ),
    Family(
        "resnet50_v2",
        {
            "conv1": ((8, 8, 64), 9_472),
            "conv2": ((4, 4, 256), 217_856),
            "conv3": ((2, 2, 512), 1_226_240),
            "conv4": ((1, 1, 1024), 7_119_872),
            "conv5": ((2048,), 14_991_360),
        },
        "11f7a7cc5020347f",
        (32, 49),
    ),
    Family(
        "mobilenet",
        {
            "group1": ((16, 16, 64), 3_712),
            "group2": ((8, 8, 128), 28_096),
            "group3": ((4, 4, 256), 105_344),
            "group4": ((2, 2, 512), 1_490_688),
            "group5": ((1024,), 1_601_024),
        },
        "baa9650a3bae4278",
        (27, 27),
    ),
    Family(
        "mobilenet_v2",
        {
            "group1": ((16, 16, 16), 1_984),
            "group2": ((8, 8, 24), 15_024),
            "group3": ((4, 4, 32), 42_000),
            "group4": ((2, 2, 96), 499_648),
            "group5": ((1280,), 1_699_328),
        },
        "7647c5d7520fad31",
        (52, 52),
    ),
    Family(
        "mobilenet_v3_small",
        {
            "group1": ((16, 16, 16), 496),
            "group2": ((8, 8, 16), 808),
            "group3": ((4, 4, 24), 10_016),
            "group4": ((2, 2, 48), 183_824),
            "group5": ((576,), 743_976),
        },
        "5dd8557c4cec52cb",
        (34, 34),
    ),
    Family(
        "efficientnet_b0",
        {
            "stem": ((16, 16, 32), 999),
            "block1": ((16, 16, 16), 1_544),
            "block2": ((8, 8, 24), 17_770),
            "block3": ((4, 4, 40), 48_336),
            "block4": ((2, 2, 80), 248_210),
            "block5": ((2, 2, 112), 551_116),
            "block6": ((1, 1, 192), 2_044_396),
            "block7": ((1, 1, 320), 722_480),
            "top": ((1280,), 414_720),
        },
        "bc3113bb5a230eda",
        (49, 49),
    ),
    Family(
        "efficientnet_v2_b0",
        {
            "stem": ((16, 16, 32), 992),
            "block1": ((16, 16, 16), 4_672),
            "block2": ((8, 8, 32), 53_248),
            "block3": ((4, 4, 48), 136_832),
            "block4": ((2, 2, 96), 235_068),
            "block5": ((2, 2, 112), 961_224),
            "block6": ((1, 1, 192), 4_276_396),
            "top": ((1280,), 250_880),
        },
        "7c78e313501931d5",
        (59, 59),
    ),
    Family(
        "densenet121",
        {
            "conv1": ((8, 8, 64), 9_664),
            "conv2": ((4, 4, 128), 372_096),
            "conv3": ((2, 2, 256), 1_063_168),
            "conv4": ((1, 1, 512), 3_402_240),
            "conv5": ((1024,), 2_190_336),
        },
        "4807f6c45d70e44d",
        (59, 121),
    ),
    Family(
        "xception",
        {
            "block1": ((33, 33, 64), 19_680),
            "block2": ((17, 17, 128), 36_032),
            "block3": ((9, 9, 256), 137_600),
            "block4": ((5, 5, 728), 920_312),
            **{f"block{number}": ((5, 5, 728), 1_618_344) for number in range(5, 13)},
            "block13": ((3, 3, 1024), 2_045_136),
            "block14": ((2048,), 4_755_968),
        },
        "38f6c843b3dbcb5b",
        (40, 40),
    ),
    Family(
        "convnext_tiny",
        {
            "group1": ((8, 8, 96), 242_784),
            "group2": ((4, 4, 192), 992_256),
            "group3": ((2, 2, 384), 11_112_960),
            "group4": ((768,), 15_472_128),
        },
        "6c2e37a11ed75da0",
        (0, 0),
    ),
    Family(
        "inception_v3",
        {
            "group1": ((17, 17, 64), 28_896),
            "group2": ((7, 7, 192), 144_176),
            "group3": ((7, 7, 288), 819_984),
            "group4": ((3, 3, 768), 7_982_208),
            "group5": ((2048,), 12_827_520),
        },
        "73518f36e33a538e",
        (94, 94),
    ),
]
SLOW_FAMILIES = [
    Family(
        "inception_resnet_v2",
        {
            "group1": ((17, 17, 64), 28_896),
            "group2": ((7, 7, 192), 144_176),
            "group3": ((7, 7, 320), 1_502_928),
            "group4": ((3, 3, 1088), 25_215_360),
            "group5": ((1536,), 27_445_376),
        },
        "1a9a02324ac79682",
        (204, 204),
    ),
    Family(
        "nasnet_mobile", {"stem": ((15, 15, 32), 992), "cells": ((1056,), 4_268_724)}, "fa5a7b7048b361ba", (188, 192)
    ),
]
skip_slow = pytest.mark.skipif(
    "TLKIT_TEST_SLOW" not in os.environ, reason="takes 10 to 20 seconds to build; set TLKIT_TEST_SLOW=1 to run it"
)


@pytest.fixture(
    scope="module",
    params=[*FAMILIES, *(pytest.param(family, marks=skip_slow) for family in SLOW_FAMILIES)],
    ids=lambda family: family.backbone,
)
def built(request: pytest.FixtureRequest) -> Iterator[tuple[Family, Backbone]]:
    family: Family = request.param
    smallest = find_backbone(family.backbone).smallest_edge_px
    yield family, build_backbone(family.backbone, image_size=(smallest, smallest), pooling="avg", weights="random")
    keras.backend.clear_session()


def test_every_family_of_the_catalogue_is_tested_here() -> None:
    tested = [find_backbone(family.backbone).family for family in (*FAMILIES, *SLOW_FAMILIES)]
    assert sorted(tested) == sorted({entry.family for entry in BACKBONES.values()})


def test_a_family_falls_into_the_groups_of_the_catalogue(built: tuple[Family, Backbone]) -> None:
    family, backbone = built
    found = {group.name: (backbone.feature_shape(group.name), group.num_parameters) for group in backbone.groups}
    assert found == family.groups
    assert tuple(found) == backbone.entry.groups
    assert sum(group.num_parameters for group in backbone.groups) == backbone.entry.num_parameters
    assert backbone.model.count_params() == backbone.entry.num_parameters


@dataclass(frozen=True)
class Trained:
    """A family's member as if it were trained, a random image, and what it, its trunks and its last map give for it."""

    backbone: Backbone
    images: NDArray[np.float32]
    outputs: NDArray[np.float32]
    features: dict[str, Any]
    last_map: NDArray[np.float32]
    above_the_map: keras.Model | None

    def compute_difference(self, other: keras.Model) -> float:
        """Return the largest difference from another model's outputs, in parts of the largest output."""
        difference = np.abs(np.asarray(other(self.images, training=False)) - self.outputs).max()
        return float(difference / np.abs(self.outputs).max())


@pytest.fixture(scope="module")
def trained(built: tuple[Family, Backbone]) -> Trained:
    """The family after its batch norm has got weights and statistics as of a trained network.

    Fresh statistics would let the signal of deep networks die.
    """
    _, backbone = built
    rng = np.random.default_rng(1)
    for weight in backbone.model.weights:
        if weight.name in ("gamma", "moving_variance", "variance"):
            weight.assign(rng.uniform(0.5, 1.5, weight.shape))
        elif weight.name in ("beta", "bias", "moving_mean", "mean"):
            weight.assign(rng.normal(0, 0.2, weight.shape))
    finalize_normalization(backbone.model)
    images = np.random.default_rng(1).integers(0, 256, (1, *backbone.image_size, 3)).astype(np.float32)
    boundaries = backbone.entry.boundaries[1:-1]
    if len(boundaries) > 3 and "TLKIT_TEST_SLOW" not in os.environ:
        boundaries = (boundaries[0], boundaries[len(boundaries) // 2], boundaries[-1])
    trunks = [trunk for boundary in boundaries if (trunk := backbone.trunk(boundary))]
    below, above = backbone.split_at_map("top")
    outputs = [*(trunk.output for trunk in trunks), below.output, backbone.groups[-1].output]
    *features, last_map, whole = keras.Model(trunks[0].input, outputs)(images, training=False)  # one pass for all
    known = dict(zip(boundaries, features, strict=True))
    return Trained(backbone, images, np.asarray(whole), known, np.asarray(last_map), above)


def test_trunk_and_tail_together_are_the_backbone_at_every_boundary(trained: Trained) -> None:
    assert np.abs(trained.outputs).max() > 0
    for boundary, features in trained.features.items():
        tail = trained.backbone.tail(boundary)
        assert tail is not None
        assert features.shape[1:] == trained.backbone.feature_shape(boundary)
        np.testing.assert_array_equal(np.asarray(tail(features, training=False)), trained.outputs)


def test_the_feature_is_the_mean_of_the_map_that_explains_answers(trained: Trained) -> None:
    assert trained.last_map.ndim == 4
    assert trained.above_the_map is not None
    above = [type(layer) for layer in trained.above_the_map.layers]
    if trained.backbone.entry.family == "convnext":  # it normalises the mean, so that places do not add up
        assert above[1:] == [keras.layers.GlobalAveragePooling2D, keras.layers.LayerNormalization]
        return
    largest = np.abs(trained.outputs).max()
    np.testing.assert_allclose(trained.last_map.mean(axis=(1, 2)), trained.outputs, rtol=0, atol=1e-6 * largest)
    assert above == [keras.layers.InputLayer, keras.layers.GlobalAveragePooling2D]


def test_a_folded_family_computes_the_same(built: tuple[Family, Backbone], trained: Trained) -> None:
    family, _ = built
    folded = fold_batch_norm(trained.backbone.model)
    norms = [layer for layer in trained.backbone.model.layers if isinstance(layer, keras.layers.BatchNormalization)]
    left = [layer for layer in folded.layers if isinstance(layer, ScaleAndShift)]
    assert (len(norms) - len(left), len(norms)) == family.folded
    assert not any(isinstance(layer, keras.layers.Conv2D) and layer.groups > 1 for layer in folded.layers)
    assert trained.compute_difference(folded) < 2e-5


def test_a_family_computes_the_same_while_it_is_trained(built: tuple[Family, Backbone], trained: Trained) -> None:
    family, _ = built
    norms = [layer for layer in trained.backbone.model.layers if isinstance(layer, keras.layers.BatchNormalization)]
    for norm in norms:
        norm.trainable = False
    lean = make_lean(trained.backbone.model)
    left = [layer for layer in lean.layers if isinstance(layer, keras.layers.BatchNormalization)]
    assert (len(norms) - len(left), len(norms)) == family.folded
    assert {id(weight) for weight in lean.variables} == {id(weight) for weight in trained.backbone.model.variables}
    assert trained.compute_difference(lean) < 2e-5


def test_a_family_is_the_network_by_hand(trained: Trained) -> None:
    output = by_hand(trained.backbone.model).forward(trained.images.astype(np.float64))
    assert np.abs(output - trained.outputs).max() < 2e-5 * np.abs(output).max()


def test_only_the_first_efficientnets_get_the_division_that_keras_leaves_out(built: tuple[Family, Backbone]) -> None:
    family, backbone = built
    divides = "divide_by_root_of_deviation" in {layer.name for layer in backbone.model.layers}
    assert divides == (family.backbone == "efficientnet_b0")


def test_the_names_of_the_weights_never_change(built: tuple[Family, Backbone]) -> None:
    family, backbone = built
    names = list(backbone.named_weights())
    assert hashlib.sha256("\n".join(names).encode()).hexdigest()[:16] == family.names_sha256
    floats = [weight for weight in backbone.model.weights if weight.dtype.startswith("float")]
    assert len(names) == len(floats)
    assert {id(weight) for weight in backbone.named_weights().values()} == {id(weight) for weight in floats}
