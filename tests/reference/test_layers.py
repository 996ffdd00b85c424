"""Every kind of layer: its gradients against finite differences. What it computes is compared with Keras' in
test_network.py and, in whole networks, in tests/backbones/test_families.py."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from tests.reference.differences import check_gradient
from tlkit.reference.layers import (
    Convolution,
    Dense,
    DepthwiseConvolution,
    Layer,
    Normalization,
    Scale,
    SeparableConvolution,
)
from tlkit.reference.operations import (
    Border,
    Concatenation,
    Elementwise,
    GlobalMean,
    Pooling,
    Product,
    Reorder,
    Softmax,
    Sum,
)
from tlkit.reference.patches import Window

RNG = np.random.default_rng(0)
MAPS = (2, 6, 5, 4)


def draw(*shape: int) -> np.ndarray:
    return RNG.normal(size=shape)


SAME = Window((3, 3), padding="same")
STATISTICS = {"moving_mean": draw(4), "moving_variance": draw(4) ** 2}
AFFINE = {"gamma": draw(4), "beta": draw(4)}
CASES: dict[str, tuple[Layer, Sequence[tuple[int, ...]]]] = {
    "convolution": (Convolution({"kernel": draw(3, 3, 4, 3), "bias": draw(3)}, SAME), [MAPS]),
    "convolution without bias": (Convolution({"kernel": draw(1, 1, 4, 3)}, Window((1, 1), (2, 2))), [MAPS]),
    "convolution in groups": (Convolution({"kernel": draw(3, 3, 2, 6), "bias": draw(6)}, SAME, groups=2), [MAPS]),
    "depthwise": (DepthwiseConvolution({"kernel": draw(3, 3, 4, 2), "bias": draw(8)}, SAME), [MAPS]),
    "separable": (
        SeparableConvolution(
            {"depthwise_kernel": draw(3, 3, 4, 2), "pointwise_kernel": draw(1, 1, 8, 3), "bias": draw(3)}, SAME
        ),
        [MAPS],
    ),
    "dense": (Dense({"kernel": draw(4, 3), "bias": draw(3)}), [(5, 4)]),
    "dense on maps": (Dense({"kernel": draw(4, 3)}), [MAPS]),
    "batch norm": (Normalization({**AFFINE, **STATISTICS}, 1e-3), [MAPS]),
    "batch norm without scale": (Normalization({"beta": draw(4), **STATISTICS}, 1e-3), [MAPS]),
    "batch norm in training": (Normalization(AFFINE, 1e-3, (0, 1, 2)), [MAPS]),
    "layer norm": (Normalization(AFFINE, 1e-6, (-1,)), [(5, 4)]),
    "activation": (Elementwise("silu"), [MAPS]),
    "softmax": (Softmax(), [(5, 4)]),
    "max pooling": (Pooling("max", Window((3, 3), (2, 2), "same")), [MAPS]),
    "mean pooling": (Pooling("mean", Window((3, 3), (2, 2), "same")), [MAPS]),
    "global mean": (GlobalMean(), [MAPS]),
    "global mean as a map": (GlobalMean(keeps_axes=True), [MAPS]),
    "padding": (Border((1, 2), (0, 3)), [MAPS]),
    "cropping": (Border((-1, -2), (0, -1)), [MAPS]),
    "sum": (Sum(), [MAPS, MAPS, MAPS]),
    "scaled sum": (Sum((1.0, 0.17)), [MAPS, MAPS]),
    "sum with a vector": (Sum(), [MAPS, (2, 1, 1, 4)]),
    "gate": (Product(), [MAPS, (2, 1, 1, 4)]),
    "layer scale": (Scale({"gamma": draw(4)}), [MAPS]),
    "rescaling": (Scale(factor=1 / 127.5, shift=np.array([-1.0, -2, 0, 1])), [MAPS]),
    "concatenation": (Concatenation(), [MAPS, (2, 6, 5, 1)]),
    "flattening": (Reorder(lambda array: array.reshape(len(array), -1)), [MAPS]),
    "flip": (Reorder(lambda array: np.flip(array, -1)), [MAPS]),
}


def test_every_kind_of_layer_is_tested_here() -> None:
    assert {type(layer) for layer, _ in CASES.values()} == set(Layer.__subclasses__())


@pytest.mark.parametrize("case", CASES)
def test_the_gradients_of_a_layer_are_the_slopes(case: str) -> None:
    layer, shapes = CASES[case]
    inputs = [draw(*shape) for shape in shapes]
    output = layer.forward(*inputs)
    above = draw(*output.shape)
    found = layer.backward(inputs, output, above)
    assert len(found.inputs) == len(inputs)

    def compute_loss() -> float:
        return float((layer.forward(*inputs) * above).sum())

    for place, gradient in enumerate(found.inputs):

        def move_input(value: np.ndarray, place: int = place) -> float:
            return float((layer.forward(*inputs[:place], value, *inputs[place + 1 :]) * above).sum())

        check_gradient(move_input, inputs[place], gradient)
    for name, gradient in found.weights.items():
        before = layer.weights

        def move_weight(value: np.ndarray, name: str = name, before: dict[str, np.ndarray] = dict(before)) -> float:  # noqa: B006
            layer.weights = {**before, name: value}
            return compute_loss()

        check_gradient(move_weight, np.asarray(before[name]), gradient)
        layer.weights = before
    assert set(found.weights) == set(layer.weights) - set(STATISTICS)


def test_cropping_undoes_padding() -> None:
    maps = draw(*MAPS)
    padded = Border((1, 2), (3, 0)).forward(maps)
    assert padded.shape == (2, 9, 8, 4)
    np.testing.assert_array_equal(Border((-1, -2), (-3, 0)).forward(padded), maps)
