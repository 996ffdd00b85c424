"""The shapes of the heads, and how they start."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tlkit.backbones.maps import MapLayout
from tlkit.errors import BackboneError
from tlkit.heads import HEADS, build_head
from tlkit.outputs import CLASSIFICATION, DETECTION
from tlkit.reference.convolution import convolve
from tlkit.reference.patches import Window
from tlkit.tasks import Outputs

THREE_CLASSES = Outputs(CLASSIFICATION, 3)
SHAPES = {
    kind: (16,) if head.pooling == "avg" else (4, 4, 16) for kind, head in HEADS.items() if not head.finds_objects
}


@pytest.mark.parametrize("kind", SHAPES)
def test_an_untrained_head_gives_every_class_the_same_logit(kind: str) -> None:
    head = build_head(kind, feature_shape=SHAPES[kind], outputs=THREE_CLASSES, dropout=0.5, units=8)
    features = np.random.default_rng(0).normal(size=(5, *SHAPES[kind])).astype(np.float32)
    logits = np.asarray(head({"feature": features})["answer"])
    assert logits.shape == (5, 3)
    assert logits.dtype == np.float32
    assert not logits.any()


def test_the_dense_head_is_the_one_of_the_course_notes() -> None:
    head = build_head("dense", feature_shape=(7, 7, 512), outputs=Outputs(CLASSIFICATION, 8), dropout=0.6, units=512)
    assert [type(layer).__name__ for layer in head.layers[1:]] == [
        "MaxPooling2D", "BatchNormalization", "Dropout", "Flatten", "Dense", "BatchNormalization", "Dropout",
        "Dense", "BatchNormalization", "Dropout", "Dense",
    ]  # fmt: skip
    rates = [layer.rate for layer in head.layers if type(layer).__name__ == "Dropout"]
    assert rates == pytest.approx([0.15, 0.6, 0.3])
    assert head.get_layer("dense_1").units == head.get_layer("dense_2").units == 512


def test_metadata_are_merged_before_the_last_layer_of_the_fisheries_head() -> None:
    head = build_head(
        "fisheries",
        feature_shape=(4, 4, 16),
        outputs=Outputs(CLASSIFICATION, 3, has_box=True),
        metadata_width=5,
        dropout=0.5,
        units=8,
    )
    join, logits, box = (head.get_layer(name) for name in ("join", "logits", "box"))
    assert [tuple(each.shape) for each in join.input] == [(None, 8), (None, 5)]
    assert logits.input is join.output
    assert box.input is join.output
    assert logits.count_params() == (8 + 5) * 3 + 3
    assert "metadata_logits" not in [layer.name for layer in head.layers]


def test_the_dense_layers_of_the_vgg_head_are_a_convolution_over_a_larger_map() -> None:
    """With the weights of a head for 4 x 4 places, convolutions score every window of 4 x 4 places of a larger map."""
    head = build_head("vgg", feature_shape=(4, 4, 6), outputs=THREE_CLASSES, dropout=0.5, units=8)
    rng = np.random.default_rng(0)
    for weight in head.trainable_weights:
        weight.assign(rng.normal(size=weight.shape))
    kernels = {name: head.get_layer(name).get_weights() for name in ("dense_1", "dense_2", "logits")}
    large = rng.normal(size=(1, 5, 6, 6)).astype(np.float32)
    maps = large
    for name, edge in (("dense_1", 4), ("dense_2", 1), ("logits", 1)):
        kernel, bias = kernels[name]
        maps = convolve(maps, kernel.reshape(edge, edge, -1, len(bias)), Window((edge, edge))) + bias
        maps = maps if name == "logits" else np.maximum(maps, 0)
    assert maps.shape == (1, 2, 3, 3)
    windows = np.stack([large[0, row : row + 4, column : column + 4] for row in range(2) for column in range(3)])
    np.testing.assert_allclose(head({"feature": windows})["answer"], maps.reshape(6, 3), rtol=1e-3, atol=1e-3)


def test_the_conv_head_scores_every_place_of_the_map() -> None:
    head = build_head("conv", feature_shape=(5, 6, 16), outputs=THREE_CLASSES, dropout=0.5, units=8)
    assert head.get_layer("score_map").output.shape == (None, 5, 6, 3)


def test_the_detector_finds_nothing_before_it_has_learnt() -> None:
    layout = MapLayout(((4, 4, 16), (2, 2, 8)))
    outputs = Outputs(DETECTION, 6, map_sizes=layout.sizes)
    head = build_head("detector", feature_shape=layout, outputs=outputs, dropout=0.0, units=8)
    features = np.random.default_rng(0).normal(size=(5, layout.width)).astype(np.float32)
    answers = np.asarray(head({"feature": features})["answer"])
    assert answers.shape == (5, *outputs.answer_shape) == (5, 20, 6)
    assert answers.dtype == np.float32
    assert answers[..., 4:] == pytest.approx(np.log(0.01 / 0.99))
    assert outputs.num_row_values == 600


def test_only_the_linear_head_takes_a_pooled_vector() -> None:
    assert [kind for kind, head in HEADS.items() if head.pooling == "avg"] == ["linear"]


def test_a_map_too_small_to_pool_is_refused_by_the_dense_head() -> None:
    with pytest.raises(BackboneError) as problem:
        build_head("dense", feature_shape=(1, 1, 16), outputs=THREE_CLASSES, dropout=0.5, units=8)
    assert str(problem.value) == (
        "The dense head halves the backbone's map, which is only 1 x 1.\n"
        "  Expected: a map of at least 2 x 2, which needs an image of at least 64 pixels with most backbones\n"
        "  Fix: use a larger --image-size, or --head linear."
    )


@pytest.mark.parametrize("whiten", ["standard", "zca"])
@pytest.mark.parametrize("kind", SHAPES)
def test_a_whitened_head_has_fixed_layers_in_the_place_of_its_first_batch_norm(kind: str, whiten: str) -> None:
    head = build_head(kind, feature_shape=SHAPES[kind], outputs=THREE_CLASSES, dropout=0.5, units=8, whiten=whiten)
    fixed = [layer.name for layer in head.layers if layer.weights and not layer.trainable]
    assert fixed == ["standardise", "whiten"][: 1 + (whiten == "zca")]
    assert "norm_0" not in {layer.name for layer in head.layers}


def test_a_feature_too_large_to_be_whitened_is_refused() -> None:
    sizes: dict[str, Any] = {"feature_shape": (7, 7, 1280), "outputs": THREE_CLASSES, "dropout": 0.5, "units": 8}
    with pytest.raises(BackboneError) as refused:
        build_head("flat", whiten="pca", **sizes)
    assert str(refused.value) == (
        "whiten = pca, but the head's first layer has 62,720 inputs: their covariance is a matrix of 62,720 x 62,720.\n"
        "  Expected: at most 4,096 inputs\n"
        "  Fix: use --head linear, conv or dense, or --whiten standard."
    )
    assert build_head("flat", whiten="standard", **sizes).get_layer("standardise").input.shape == (None, 62_720)
