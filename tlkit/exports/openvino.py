"""The OpenVINO format: a graph and its weights, for Intel's and other processors, in Python, C and C++."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from tlkit.backbones.engines.openvino_runtime import constant_vectors, import_converter, import_openvino, open_core
from tlkit.exports.base import FLOAT16, FLOAT32, INT8, CalibrationImages, Export
from tlkit.exports.model_json import format_document

if TYPE_CHECKING:
    import openvino

    from tlkit.exports.shipped import ShippedModel

DOCUMENT_KEY = ["tlkit", "model_json"]
"""Where `model.json` is in the runtime information of the graph."""


def write(
    model: ShippedModel, folder: Path, precision: str, calibration: CalibrationImages | None = None
) -> Sequence[Path]:
    """Write `model.xml` and `model.bin`. The input `image` is uint8; `metadata` is float32; the batch may have any size.

    With float16 the weights take half the space; a processor computes in float32 none the less. With int8 the file holds
    the graph that the format ONNX has, but for some roundings.

    Raises:
        NumericsError: int8 is asked for, and ONNX has no way to write a layer of the model.
    """
    graph = _read_quantized(model, calibration) if precision == INT8 else _convert(model)
    graph.set_rt_info(format_document(model.document), DOCUMENT_KEY)
    path = folder / EXPORT.file
    import_openvino().save_model(graph, path, compress_to_fp16=precision == FLOAT16)
    return [path, path.with_suffix(".bin")]


def _convert(model: ShippedModel) -> openvino.Model:
    """Convert a model to an OpenVINO graph."""
    import tensorflow as tf

    network = model.network
    dtypes = {name: tf.uint8 if name == "image" else tf.float32 for name in model.input_names}
    specs = [tf.TensorSpec((None, *network.input[name].shape[1:]), dtype, name) for name, dtype in dtypes.items()]

    @tf.function(input_signature=specs, autograph=False)  # type: ignore[untyped-decorator]
    def run(*inputs: Any) -> list[Any]:
        given = {name: tf.cast(value, tf.float32) for name, value in zip(dtypes, inputs, strict=True)}
        with constant_vectors(network):
            outputs = network(given, training=False)
        return [outputs[name] for name in model.output_names]

    converted = import_converter()(run.get_concrete_function())
    # EfficientNets' activations have custom gradients and become extra outputs, at a quarter of the speed.
    outputs = converted.outputs[: len(model.output_names)]
    graph = import_openvino().Model(outputs, converted.get_parameters(), "tlkit_model")
    for port, name in zip((*graph.inputs, *graph.outputs), (*dtypes, *model.output_names), strict=True):
        port.get_tensor().set_names({name})
    return graph


def _read_quantized(model: ShippedModel, calibration: CalibrationImages | None) -> openvino.Model:
    """Return a quantized graph of a model, through a temporary file in ONNX."""
    from tlkit.exports import onnx
    from tlkit.exports.calibration import fit_to_openvino

    openvino = import_openvino()
    assert calibration is not None, "the record says that int8 is calibrated"
    quantized = fit_to_openvino(onnx.convert(model, calibration), onnx.convert(model, None), calibration)
    with TemporaryDirectory() as scratch:
        path = onnx.save(quantized, model, Path(scratch) / onnx.EXPORT.file)
        graph = open_core().read_model(path)  # reads the weights, too
    process = openvino.preprocess.PrePostProcessor(graph)
    process.input("image").tensor().set_element_type(openvino.Type.u8)
    return process.build()


EXPORT = Export(
    name="openvino",
    title="OpenVINO",
    use="Intel and Arm processors, Intel graphics; Python, C and C++",
    packages=("openvino",),
    extra="",
    precisions=(FLOAT32, FLOAT16, INT8),
    calibrated=(INT8,),
    file="model.xml",
    write=write,
    int8_packages=("onnx", "onnxruntime"),
)
