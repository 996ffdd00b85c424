"""LiteRT files with numbers of 8 bits: what stays in float32, and biases that take back the mean error.

TensorFlow quantizes a network, but does not correct its biases; see `calibration` for why that matters. Here they are
changed in the finished file, whose layers run in order on a few training images. As in an ONNX file, the last layers and
the distance stay in float32: TensorFlow would round a probability to 1/256, and lose a small distance.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tlkit.exports.base import CalibrationImages
from tlkit.exports.graph_running import Arrays, give_inputs
from tlkit.exports.onnx_writer.quantization import MAX_SMALL_DENSE

SIGNATURE = "serving_default"
NUM_CORRECTION_IMAGES = 20
"""Images from which mean errors are measured; the whole file runs on them once for each layer."""


@dataclass(frozen=True)
class Operation:
    """An operation of a file.

    Attributes:
        inputs: Numbers of its input tensors; -1 for one that is left out.
        output: Number of its first output tensor.
        is_convolution: Whether it is a convolution, depthwise or not.
        is_dense: Whether it is a dense layer.
    """

    inputs: tuple[int, ...]
    output: int
    is_convolution: bool
    is_dense: bool

    @property
    def has_weights(self) -> bool:
        """Whether it is a layer with weights."""
        return self.is_convolution or self.is_dense


class Content:
    """The parts of a file, whose arrays are views: what is written to them is written to the file."""

    def __init__(self, content: bytearray) -> None:
        from tensorflow.lite.python import schema_py_generated as schema

        self._content = content
        self._model = schema.Model.GetRootAs(content)
        self._graph = self._model.Subgraphs(0)
        kinds = schema.BuiltinOperator
        self.operations: list[Operation] = []
        for number in range(self._graph.OperatorsLength()):
            operation = self._graph.Operators(number)
            kind = self._model.OperatorCodes(operation.OpcodeIndex()).BuiltinCode()
            is_convolution = kind in (kinds.CONV_2D, kinds.DEPTHWISE_CONV_2D)
            inputs = tuple(operation.Inputs(place) for place in range(operation.InputsLength()))
            self.operations.append(
                Operation(inputs, operation.Outputs(0), is_convolution, kind == kinds.FULLY_CONNECTED)
            )

    def get_name(self, tensor: int) -> str:
        """Return the name of a tensor."""
        name: bytes = self._graph.Tensors(tensor).Name()
        return name.decode()

    def get_buffer(self, tensor: int) -> int:
        """Return the number of the buffer in which a constant is."""
        number: int = self._graph.Tensors(tensor).Buffer()
        return number

    def count_numbers(self, tensor: int) -> int:
        """Return how many numbers a constant has."""
        return int(np.prod(self._graph.Tensors(tensor).ShapeAsNumpy()))

    def get_scale(self, tensor: int) -> tuple[NDArray[np.float32], int]:
        """Return the scales, one or one for each channel, and the first zero point of a quantized tensor."""
        found = self._graph.Tensors(tensor).Quantization()
        return found.ScaleAsNumpy(), int(found.ZeroPointAsNumpy()[0])

    def get_bias(self, operation: Operation) -> NDArray[np.int32] | None:
        """Return the bias of a layer that computes with whole numbers; None for others, and for one without a bias."""
        from tensorflow.lite.python.schema_py_generated import TensorType

        if not operation.has_weights or len(operation.inputs) < 3 or operation.inputs[2] < 0:
            return None
        if self._graph.Tensors(operation.inputs[2]).Type() != TensorType.INT32:
            return None
        bias: NDArray[np.int32] = self._model.Buffers(self.get_buffer(operation.inputs[2])).DataAsNumpy().view(np.int32)
        return bias


def quantize(converter: Any, images: CalibrationImages) -> bytes:
    """Return the content of a file with numbers of 8 bits.

    Args:
        converter: TensorFlow's converter of the model, whose representative dataset are the images.
        images: Training images. Memory holds the maps of one.
    """
    from tensorflow.lite.python.convert import mlir_quantize

    step = -(-len(images.images) // NUM_CORRECTION_IMAGES)
    samples = list(give_inputs(CalibrationImages(images.images[::step], images.metadata[::step])))
    converter._experimental_calibrate_only = True  # noqa: SLF001 - as TensorFlow does to quantize with exceptions
    exact: bytes = converter.convert()
    content = bytearray(mlir_quantize(exact, denylisted_nodes=list_float_outputs(exact, samples[0])))
    correct_biases(content, exact, samples)
    return bytes(content)


def list_float_outputs(exact: bytes, sample: Arrays) -> list[str]:
    """Return the names of what stays in float32: all but the layers before the last ones, and what they depend on.

    Dense layers on vectors with few weights stay in float32, too.
    """
    file = Content(bytearray(exact))
    (values,) = compute_values(exact, [sample])
    read = {number for operation in file.operations if operation.has_weights for number in operation.inputs}
    needed: set[int] = _find_needed(file.operations, read)
    inner = {
        operation.output
        for operation in file.operations
        if operation.has_weights and operation.output in needed and not _is_small(file, operation, values)
    }
    quantized = _find_needed(file.operations, inner)
    return [file.get_name(each.output) for each in file.operations if each.output not in quantized]


def correct_biases(content: bytearray, exact: bytes, samples: Sequence[Arrays]) -> None:
    """Add to each bias in a quantized file what the layer's output lacks in the mean, channel by channel.

    Args:
        content: The file; its biases change.
        exact: The file in float32.
        samples: Inputs of some training images.
    """
    file, exact_file = Content(content), Content(bytearray(exact))
    places = {exact_file.get_name(each.output): each.output for each in exact_file.operations}
    uses = Counter(file.get_buffer(number) for each in file.operations for number in each.inputs if number >= 0)
    layers = [
        each
        for each in file.operations
        if file.get_bias(each) is not None
        and uses[file.get_buffer(each.inputs[2])] == 1
        and file.get_name(each.output) in places
    ]
    wanted = _average(exact, [places[file.get_name(each.output)] for each in layers], samples)
    for layer, mean in zip(layers, wanted, strict=True):
        (found,) = _average(bytes(content), [layer.output], samples)
        (scale,), zero = file.get_scale(layer.output)
        step, _ = file.get_scale(layer.inputs[2])
        bias = file.get_bias(layer)
        assert bias is not None, "these layers were chosen"
        bias += np.rint((mean - (found - zero) * scale) / step).astype(np.int32)


def compute_values(content: bytes, samples: Sequence[Arrays]) -> Iterator[Any]:
    """Run a file on one image after the other, and yield a function that returns a tensor by its number."""
    from ai_edge_litert.interpreter import Interpreter

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "(?s).*experimental_preserve_all_tensors", UserWarning)  # it needs memory
        interpreter = Interpreter(model_content=content, experimental_preserve_all_tensors=True)
    interpreter.allocate_tensors()
    ports = interpreter.get_signature_runner(SIGNATURE).get_input_details()
    for sample in samples:
        for name, port in ports.items():
            interpreter.set_tensor(port["index"], sample[name])
        interpreter.invoke()
        yield interpreter.get_tensor


def _average(content: bytes, tensors: Sequence[int], samples: Sequence[Arrays]) -> list[NDArray[np.float64]]:
    """Return the mean of each channel of some tensors."""
    found = []
    for values in compute_values(content, samples):
        arrays = [values(tensor) for tensor in tensors]
        found.append([array.mean(axis=(*range(array.ndim - 1),), dtype=np.float64) for array in arrays])
    return [np.mean(means, axis=0) for means in zip(*found, strict=True)]


def _is_small(file: Content, operation: Operation, values: Any) -> bool:
    """Return whether an operation is a dense layer on vectors that has few weights."""
    if not operation.is_dense or file.count_numbers(operation.inputs[1]) > MAX_SMALL_DENSE:
        return False
    output: NDArray[Any] = values(operation.output)
    return output.size == int(output.shape[-1])


def _find_needed(operations: Sequence[Operation], tensors: set[int]) -> set[int]:
    """Return tensors, and all on which they depend."""
    needed = set(tensors)
    for operation in reversed(operations):
        if operation.output in needed:
            needed.update(operation.inputs)
    return needed
