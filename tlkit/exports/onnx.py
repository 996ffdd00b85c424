"""The ONNX format: one file for onnxruntime on every system, in browsers, and for most other runtimes.

The graph is written from the layers (`onnx_writer`), not converted from TensorFlow's: it has no transposes between its
convolutions, and a layer that cannot be written is an error.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from tlkit.errors import NumericsError
from tlkit.exports.base import FLOAT16, FLOAT32, INT8, CalibrationImages, Export
from tlkit.exports.model_json import MODEL_JSON, format_document
from tlkit.version import __version__

if TYPE_CHECKING:
    from tlkit.exports.onnx_writer.graph import Graph
    from tlkit.exports.shipped import ShippedModel

MAX_BYTES = 2**31 - 1
"""A larger message is no valid file of its format."""
_QUANTIZED: WeakKeyDictionary[ShippedModel, tuple[CalibrationImages, Graph]] = WeakKeyDictionary()
"""The quantized graph of each model, as long as the model is used, and the images from which its ranges come."""


def write(
    model: ShippedModel, folder: Path, precision: str, calibration: CalibrationImages | None = None
) -> Sequence[Path]:
    """Write `model.onnx`. Its inputs `image` and `metadata` are float32; the batch may have any size.

    With float16 the weights take half the space; a processor computes in float32 none the less. With int8 the backbone
    computes with numbers of 8 bits; the last layers and the distance stay in float32.

    Raises:
        NumericsError: ONNX has no way to write a layer of the model, or the file would be too large.
    """
    graph = convert(model, calibration if precision == INT8 else None)
    return [save(graph, model, folder / EXPORT.file, half=precision == FLOAT16)]


def convert(model: ShippedModel, calibration: CalibrationImages | None) -> Graph:
    """Return the graph of a model; with calibration images, one that is quantized, once for all formats.

    Raises:
        NumericsError: There is no way to write a layer of the model.
    """
    if calibration is None:
        return _convert_network(model)
    images, graph = _QUANTIZED.get(model, (None, None))
    if graph is None or images is not calibration:
        from tlkit.exports.calibration import quantize

        graph = quantize(_convert_network(model), calibration)
        _QUANTIZED[model] = calibration, graph
    return graph


def _convert_network(model: ShippedModel) -> Graph:
    from tlkit.exports.onnx_writer.convert import UnknownLayerError, convert_model

    try:
        return convert_model(model.network)
    except UnknownLayerError as error:
        raise NumericsError(
            f"--format onnx: the layer {error} cannot be written.",
            expected="layers that tlkit can write as ONNX",
            fix="choose another format, and please report this as a bug in tlkit.",
        ) from error


def save(graph: Graph, model: ShippedModel, path: Path, *, half: bool = False) -> Path:
    """Write a graph to a file.

    Raises:
        NumericsError: The file would be too large.
    """
    from tlkit.exports.onnx_writer.proto import build_proto

    properties = {MODEL_JSON: format_document(model.document)}
    proto = build_proto(graph, half=half, properties=properties, producer="tlkit", version=__version__)
    if proto.ByteSize() > MAX_BYTES:
        raise NumericsError(
            f"--format onnx: the model takes {proto.ByteSize()} bytes.",
            expected=f"at most {MAX_BYTES}, the limit of an ONNX file",
            fix="give --precision float16, or choose another format.",
        )
    path.write_bytes(proto.SerializeToString())
    return path


EXPORT = Export(
    name="onnx",
    title="ONNX",
    use="onnxruntime on every system and in browsers, and most other runtimes",
    packages=("onnx", "onnxruntime"),
    extra="onnx",
    precisions=(FLOAT32, FLOAT16, INT8),
    calibrated=(INT8,),
    file="model.onnx",
    write=write,
)
