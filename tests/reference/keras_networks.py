"""Translate functional Keras models to networks by hand, layer by layer, from their settings and weights."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np

from tlkit.backbones.folding import ScaleAndShift
from tlkit.backbones.own.mnist_grey import THIRDS
from tlkit.reference.activations import ACTIVATIONS
from tlkit.reference.layers import (
    Convolution,
    Dense,
    DepthwiseConvolution,
    Layer,
    Normalization,
    Scale,
    SeparableConvolution,
)
from tlkit.reference.network import INPUT, Network, Node
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

Made = list[Layer]
"""Layers one after the other, the first of which takes the inputs."""


@dataclass
class _Translation:
    """The nodes so far, and the name of each tensor."""

    norms_train: bool
    nodes: list[Node] = field(default_factory=list)
    names: dict[int, str] = field(default_factory=dict)

    def add(self, name: str, made: Made, inputs: Sequence[str]) -> str:
        """Add layers one after the other, and return the name of the last one's output."""
        names = tuple(inputs)
        for layer in made:
            taken = {node.name for node in self.nodes}
            unique = next(each for each in _count_names(name) if each not in taken)
            self.nodes.append(Node(unique, layer, names))
            names = (unique,)
        return names[0]

    def call(self, operation: Any, *arguments: Any, **keywords: Any) -> Any:
        """Call an operation as Keras does, and add what it is by hand."""
        output = operation(*arguments, **keywords)
        if isinstance(output, keras.KerasTensor):
            read = [each for each in keras.tree.flatten((arguments, keywords)) if isinstance(each, keras.KerasTensor)]
            names = [self.names.get(id(each), INPUT) for each in read]
            layers = operation.layers if isinstance(operation, keras.Model) else [operation]
            for layer in layers:
                if not isinstance(layer, keras.layers.InputLayer):
                    constants = [each for each in arguments if isinstance(each, (int, float))]
                    names = [self.add(layer.name, _translate(layer, constants, self.norms_train), names)]
            self.names[id(output)] = names[0]
            self.kept.append(output)
        return output

    kept: list[Any] = field(default_factory=list)
    """The tensors, so that no two of them get the same id."""


def _count_names(name: str) -> Iterator[str]:
    yield name
    yield from (f"{name}_{number}" for number in range(1, 1000))


def by_hand(model: keras.Model, *, norms_train: bool = False) -> Network:
    """Return a model by hand, in float64.

    A layer with an activation of its own becomes two; the first has the layer's name.

    Args:
        model: Functional.
        norms_train: Whether batch norm takes the statistics of the batch.
    """
    translation = _Translation(norms_train)
    keras.models.clone_model(model, clone_function=lambda layer: layer, call_function=translation.call)
    return Network(translation.nodes)


def _translate(operation: Any, constants: list[float], norms_train: bool) -> Made:
    """Return what a layer or an operation is by hand."""
    kind = type(operation).__name__
    if kind == "BatchNormalization":
        axes = tuple(range(operation.input_spec.ndim - 1)) if norms_train else None
        names = ("gamma", "beta", *(() if norms_train else ("moving_mean", "moving_variance")))
        return [Normalization(_read(operation, names), operation.epsilon, axes)]
    if kind not in _TRANSLATIONS:
        raise NotImplementedError(f"{kind} is not written by hand")
    if kind in ("Add", "Multiply") and constants:
        return [Scale(shift=constants[0]) if kind == "Add" else Scale(factor=constants[0])]
    return _TRANSLATIONS[kind](operation)


def _read(layer: Any, names: Sequence[str]) -> dict[str, np.ndarray]:
    found = {name: getattr(layer, name, None) for name in names}
    return {name: np.asarray(value, np.float64) for name, value in found.items() if value is not None}


def _make_window(layer: Any, size: Any) -> Window:
    dilation = getattr(layer, "dilation_rate", (1, 1))
    return Window(tuple(size), tuple(layer.strides), layer.padding, tuple(dilation))


def _translate_activation(function: Any) -> Made:
    name = {"hard_swish": "hard_silu", "swish": "silu"}.get(function.__name__, function.__name__)
    if name == "softmax":
        return [Softmax()]
    if name not in ACTIVATIONS:
        raise NotImplementedError(f"{name} is not written by hand")
    return [] if name == "linear" else [Elementwise(name)]


def _translate_conv(layer: Any) -> Made:
    weights = _read(layer, ("kernel", "bias"))
    window = _make_window(layer, layer.kernel_size)
    return [Convolution(weights, window, layer.groups), *_translate_activation(layer.activation)]


def _translate_depthwise(layer: Any) -> Made:
    weights = _read(layer, ("kernel", "bias"))
    return [
        DepthwiseConvolution(weights, _make_window(layer, layer.kernel_size)),
        *_translate_activation(layer.activation),
    ]


def _translate_separable(layer: Any) -> Made:
    weights = _read(layer, ("depthwise_kernel", "pointwise_kernel", "bias"))
    return [
        SeparableConvolution(weights, _make_window(layer, layer.kernel_size)),
        *_translate_activation(layer.activation),
    ]


def _translate_relu(layer: Any) -> Made:
    assert not layer.negative_slope
    assert not layer.threshold
    return [Elementwise({None: "relu", 6.0: "relu6"}[layer.max_value])]


def _translate_normalization(layer: Any) -> Made:
    """Return the pixels' normalisation, whose constants Keras keeps as mean and variance."""
    deviation = np.maximum(np.sqrt(np.asarray(layer.variance, np.float64)), keras.backend.epsilon())
    return [Scale(factor=1 / deviation, shift=-np.asarray(layer.mean, np.float64) / deviation)]


def _translate_pad(layer: Any) -> Made:
    rows, columns = map(tuple, layer.padding)
    return [Border(rows, columns)]


def _translate_crop(layer: Any) -> Made:
    rows, columns = ((-before, -after) for before, after in layer.cropping)
    return [Border(rows, columns)]


def _translate_grey(operation: Any) -> Made:
    """Return the only product of matrices in a backbone, that of pixels and thirds, as a convolution of 1 x 1."""
    return [Convolution({"kernel": THIRDS[np.newaxis, np.newaxis].astype(float)}, Window((1, 1)))]


def _translate_reshape(layer: Any) -> Made:
    return [Reorder(lambda array: array.reshape(len(array), *layer.target_shape))]


_TRANSLATIONS: dict[str, Callable[[Any], Made]] = {
    "Activation": lambda layer: _translate_activation(layer.activation) or [Scale()],
    "Add": lambda layer: [Sum()],
    "AveragePooling2D": lambda layer: [Pooling("mean", _make_window(layer, layer.pool_size))],
    "Concatenate": lambda layer: [Concatenation()],
    "Conv2D": _translate_conv,
    "Cropping2D": _translate_crop,
    "CustomScaleLayer": lambda layer: [Sum((1.0, float(layer.scale)))],
    "Dense": lambda layer: [Dense(_read(layer, ("kernel", "bias"))), *_translate_activation(layer.activation)],
    "DepthwiseConv2D": _translate_depthwise,
    "Dropout": lambda layer: [Scale()],
    "Flatten": lambda layer: [Reorder(lambda array: array.reshape(len(array), -1))],
    "Flip": lambda layer: [Reorder(lambda array: np.flip(array, layer.axis))],
    "GlobalAveragePooling2D": lambda layer: [GlobalMean(layer.keepdims)],
    "LayerNormalization": lambda layer: [Normalization(_read(layer, ("gamma", "beta")), layer.epsilon, (-1,))],
    "LayerScale": lambda layer: [Scale(_read(layer, ("gamma",)))],
    "Matmul": _translate_grey,
    "MaxPooling2D": lambda layer: [Pooling("max", _make_window(layer, layer.pool_size))],
    "Multiply": lambda layer: [Product()],
    "Normalization": _translate_normalization,
    "ReLU": _translate_relu,
    "Rescaling": lambda layer: [Scale(factor=np.asarray(layer.scale, float), shift=np.asarray(layer.offset, float))],
    "Reshape": _translate_reshape,
    "ScaleAndShift": lambda layer: [
        Normalization(
            {"gamma": np.asarray(layer.scale, float), "beta": np.asarray(layer.shift, float)}
            | {"moving_mean": np.zeros(layer.scale.shape), "moving_variance": np.ones(layer.scale.shape)},
            0.0,
        )
    ],
    "SeparableConv2D": _translate_separable,
    "StochasticDepth": lambda layer: [Scale()],
    "ZeroPadding2D": _translate_pad,
}
assert ScaleAndShift.__name__ in _TRANSLATIONS
