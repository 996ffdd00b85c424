"""Every kind of layer and operation, written as ONNX, gives what Keras gives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers, ops
from numpy.typing import NDArray

from tlkit.exports.onnx_writer.convert import UnknownLayerError, convert_model
from tlkit.exports.onnx_writer.graph import Graph
from tlkit.exports.onnx_writer.proto import build_proto

pytest.importorskip("onnx", reason="pip install 'tlkit[onnx]' brings onnx and onnxruntime")
onnxruntime = pytest.importorskip("onnxruntime", reason="pip install 'tlkit[onnx]' brings onnx and onnxruntime")

MAP = (7, 6, 4)
VECTOR = (5,)

Build = Callable[[keras.KerasTensor], keras.KerasTensor]

ON_MAPS: dict[str, Build] = {
    "conv, same, strides": layers.Conv2D(3, 3, strides=2, padding="same", activation="relu"),
    "conv, valid, dilated": layers.Conv2D(3, 2, dilation_rate=2, use_bias=False),
    "conv, even kernel, same": layers.Conv2D(3, (2, 4), padding="same", activation="gelu"),
    "conv, groups": layers.Conv2D(6, 3, groups=2, padding="same", activation="silu"),
    "depthwise, multiplier": layers.DepthwiseConv2D(3, strides=2, padding="same", depth_multiplier=2),
    "separable": layers.SeparableConv2D(5, 3, strides=2, padding="same", depth_multiplier=2, activation="hard_silu"),
    "padding, then conv": lambda x: layers.Conv2D(3, 3, strides=2)(layers.ZeroPadding2D(((0, 1), (2, 0)))(x)),
    "padding, then two readers": lambda x: _read_twice(layers.ZeroPadding2D(1)(x)),
    "padding, then conv, same": lambda x: layers.Conv2D(3, 3, padding="same")(layers.ZeroPadding2D(1)(x)),
    "cropping": layers.Cropping2D(((1, 0), (2, 1))),
    "max pooling, same": layers.MaxPooling2D(3, strides=2, padding="same"),
    "max pooling, valid": layers.MaxPooling2D((2, 3)),
    "average pooling, same": layers.AveragePooling2D(3, strides=2, padding="same"),
    "global average": layers.GlobalAveragePooling2D(),
    "global average, kept": layers.GlobalAveragePooling2D(keepdims=True),
    "global max": layers.GlobalMaxPooling2D(),
    "batch norm": layers.BatchNormalization(),
    "batch norm after conv": lambda x: layers.BatchNormalization()(layers.Conv2D(3, 3)(x)),
    "batch norm after grouped conv": lambda x: layers.BatchNormalization(scale=False)(layers.DepthwiseConv2D(3)(x)),
    "batch norm after a conv with two readers": lambda x: _norm_beside(layers.Conv2D(4, 3)(x)),
    "layer norm": layers.LayerNormalization(epsilon=1e-3),
    "dense on the channels": lambda x: layers.Dense(4, activation="gelu")(layers.LayerNormalization(center=False)(x)),
    "one beside the other": lambda x: layers.Add()([x, layers.Dense(4)(x), layers.Conv2D(4, 1)(x)]),
    "enlarged": layers.UpSampling2D((2, 3)),
    "enlarged smoothly": layers.UpSampling2D((2, 3), interpolation="bilinear"),
    "enlarged, then conv": lambda x: layers.Conv2D(3, 3)(layers.UpSampling2D(2)(x)),
    "one conv on two maps": lambda x: _share(layers.Conv2D(3, 3, padding="same"), x, layers.MaxPooling2D(2)(x)),
    "places of two maps": lambda x: layers.Concatenate(axis=1)(
        [layers.Reshape((42, 4))(x), layers.Reshape((9, 4))(layers.MaxPooling2D(2)(x))]
    ),
    "a product with a number for each place": lambda x: ops.multiply(
        layers.Reshape((42, 4))(x), np.linspace(0, 1, 168, dtype=np.float32).reshape(1, 42, 4)
    ),
    "concatenated": lambda x: layers.Concatenate()([layers.Conv2D(2, 1)(x), layers.Dense(3)(x)]),
    "squeeze and excite": lambda x: _excite(x, layers.Reshape((1, 1, 4))),
    "squeeze and excite by ops": lambda x: x * ops.expand_dims(ops.expand_dims(ops.mean(x, (1, 2)), 1), 1),
    "flattened": layers.Flatten(),
    "reshaped": layers.Reshape((3, 14, 4)),
    "scaled by channel": layers.Rescaling([1.0, 2.0, 3.0, 0.5], offset=[0.0, -1.0, 1.0, 0.5]),
    "scaled": layers.Rescaling(0.5, offset=-1.0),
    "normalised": layers.Normalization(mean=[1.0, 2.0, 3.0, 4.0], variance=[1.0, 4.0, 9.0, 0.5]),
    "reversed": lambda x: ops.flip(x, axis=-1),
    "rectified and limited": layers.ReLU(6.0),
    "rectified and leaky": layers.ReLU(negative_slope=0.1),
    "softmax": layers.Softmax(),
    "dropped out": lambda x: layers.SpatialDropout2D(0.5)(layers.Dropout(0.5)(x)),
    "a constant for each channel": lambda x: ops.add(x, np.array([1.0, 2.0, 3.0, 4.0], np.float32)),
    "mean over rows": lambda x: ops.mean(x, axis=1),
    "mean over places": lambda x: ops.mean(x, axis=(1, 2), keepdims=True),
    "sum over channels": lambda x: ops.sum(layers.Conv2D(3, 1)(x), axis=-1, keepdims=True),
    "maximum over places": lambda x: ops.max(x, axis=(1, 2)),
    "another order": lambda x: ops.transpose(layers.Conv2D(3, 1)(x), (0, 3, 1, 2)),
    "reshaped by ops": lambda x: ops.reshape(layers.Conv2D(2, 1)(x), (-1, 42, 2)),
    "a network within": lambda x: _nest(layers.Conv2D(3, 3), layers.BatchNormalization())(x),
}
ON_VECTORS: dict[str, Build] = {
    "dense": layers.Dense(3, activation="softmax"),
    "dense without bias": layers.Dense(3, use_bias=False, activation="sigmoid"),
    "batch norm after dense": lambda x: layers.BatchNormalization(center=False)(layers.Dense(3)(x)),
    "batch norm": layers.BatchNormalization(),
    "exponential": layers.Activation("exponential"),
    "a scalar": lambda x: (2.0 - x) / 3.0 * 0.5,
    "distance": lambda x: ops.minimum(ops.sqrt(ops.sum(ops.square(x), axis=-1)), 1.0),
    "absolute, limited": lambda x: ops.clip(ops.absolute(x), 0.1, 0.5),
    "tanh, negative": lambda x: -ops.tanh(x),
    "softmax by ops": lambda x: ops.softmax(x, axis=-1),
    "sigmoid by ops": lambda x: ops.sigmoid(ops.maximum(x, 0.0)),
    "product with a matrix": lambda x: ops.matmul(x, np.arange(10, dtype=np.float32).reshape(5, 2)),
    "side by side": lambda x: ops.concatenate([x, ops.relu(x)], axis=-1),
    "squeezed": lambda x: ops.squeeze(layers.Dense(1)(x), axis=-1),
}


def _read_twice(x: keras.KerasTensor) -> keras.KerasTensor:
    return layers.Concatenate()([layers.Conv2D(3, 3, strides=2)(x), layers.MaxPooling2D(3, strides=2)(x)])


def _share(layer: keras.Layer, *maps: keras.KerasTensor) -> keras.KerasTensor:
    """Call one layer on several maps, with a norm of its own behind each."""
    return layers.Concatenate()([layers.Flatten()(layers.BatchNormalization()(layer(x))) for x in maps])


def _norm_beside(x: keras.KerasTensor) -> keras.KerasTensor:
    return layers.Add()([layers.BatchNormalization()(x), x])


def _excite(x: keras.KerasTensor, reshape: layers.Layer) -> keras.KerasTensor:
    weights = layers.Conv2D(4, 1, activation="sigmoid")(reshape(layers.GlobalAveragePooling2D()(x)))
    return layers.Multiply()([x, weights])


def _nest(*inner: layers.Layer) -> keras.Model:
    return keras.Sequential([keras.Input(MAP), *inner])


def write(build: Build, shape: tuple[int, ...]) -> tuple[keras.Model, Graph]:
    """Return a network with random weights, and its graph."""
    inputs = keras.Input(shape, name="image")
    model = keras.Model({"image": inputs}, {"output": build(inputs)})
    rng = np.random.default_rng(0)
    for weight in model.weights:
        low = 0.5 if "variance" in weight.path else -1.0
        weight.assign(rng.uniform(low, 1.5, weight.shape))
    return model, convert_model(model)


def run(graph: Graph, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return what onnxruntime computes."""
    import onnx

    proto = build_proto(graph, half=False, properties={}, producer="tlkit", version="0")
    onnx.checker.check_model(proto, full_check=True)
    output: NDArray[np.float32] = onnxruntime.InferenceSession(proto.SerializeToString()).run(
        ["output"], {"image": inputs}
    )[0]
    return output


@pytest.mark.parametrize(
    ("build", "shape"),
    [pytest.param(build, MAP, id=name) for name, build in ON_MAPS.items()]
    + [pytest.param(build, VECTOR, id=f"vector: {name}") for name, build in ON_VECTORS.items()],
)
def test_a_layer_computes_in_onnx_what_it_computes_in_keras(build: Build, shape: tuple[int, ...]) -> None:
    inputs = np.random.default_rng(1).normal(size=(3, *shape)).astype(np.float32)
    model, graph = write(build, shape)
    expected = np.asarray(model({"image": inputs}, training=False)["output"])
    np.testing.assert_allclose(run(graph, inputs), expected, rtol=1e-4, atol=1e-5)


def test_batch_norm_and_padding_are_part_of_the_convolution() -> None:
    def build(x: keras.KerasTensor) -> Any:
        return layers.BatchNormalization()(layers.Conv2D(3, 3, use_bias=False)(layers.ZeroPadding2D(1)(x)))

    graph = write(build, MAP)[1]
    assert [node.kind for node in graph.nodes.values()] == ["Transpose", "Conv", "Transpose", "Identity"]


def test_squeeze_and_excite_has_no_change_of_shape() -> None:
    graph = write(ON_MAPS["squeeze and excite"], MAP)[1]
    kinds = [node.kind for node in graph.nodes.values()]
    assert kinds == ["Transpose", "GlobalAveragePool", "Conv", "Sigmoid", "Mul", "Transpose", "Identity"]


def test_outputs_keep_their_names_in_whatever_order_they_are() -> None:
    inputs = keras.Input(VECTOR, name="image")
    model = keras.Model({"image": inputs}, {"second": layers.Dense(2)(inputs), "first": layers.Dense(3)(inputs)})
    assert {name: value.shape for name, value in convert_model(model).outputs.items()} == {
        "second": (None, 2),
        "first": (None, 3),
    }


class Twice(layers.Layer):  # type: ignore[misc]
    """A layer that no stock function writes."""

    def call(self, x: Any) -> Any:
        return x * 2


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (Twice(name="twice"), "Twice 'twice'"),
        (layers.Conv1D(3, 1, name="conv"), "Conv1D 'conv'"),
        (layers.BatchNormalization(axis=1, name="norm"), "BatchNormalization 'norm'"),
        (layers.LayerNormalization(axis=(1, 2), name="norm"), "LayerNormalization 'norm'"),
        (layers.ReLU(threshold=0.5, name="relu"), "ReLU 'relu'"),
        (layers.UpSampling2D(2, interpolation="bicubic", name="enlarged"), "UpSampling2D 'enlarged'"),
        (layers.Softmax(axis=1, name="softmax"), "Softmax 'softmax'"),
        (layers.Activation(keras.activations.selu, name="selu"), "Activation 'selu'"),
        (lambda x: ops.cumsum(x, axis=1), "Cumsum 'cumsum'"),
        (lambda x: ops.gelu(x, approximate=True), "Gelu 'gelu'"),
    ],
)
def test_a_layer_that_cannot_be_written_is_refused(build: Build, message: str) -> None:
    with pytest.raises(UnknownLayerError, match=f"^{message}$"):
        write(build, (6, 3) if isinstance(build, layers.Conv1D) else MAP)
