"""The OpenVINO format: a graph and its weights, for Intel's and other processors, in Python, C and C++."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tlkit.backbones.engines.openvino_runtime import import_converter, import_openvino
from tlkit.exports.base import FLOAT16, FLOAT32, CalibrationImages, Export
from tlkit.exports.model_json import format_document

if TYPE_CHECKING:
    from tlkit.exports.shipped import ShippedModel

DOCUMENT_KEY = ["tlkit", "model_json"]
"""Where `model.json` is in the runtime information of the graph."""


def write(
    model: ShippedModel, folder: Path, precision: str, calibration: CalibrationImages | None = None
) -> Sequence[Path]:
    """Write `model.xml` and `model.bin`. The input `image` is uint8; `metadata` is float32; the batch may have any size.

    With float16 the weights take half the space; a processor computes in float32 none the less.
    """
    import tensorflow as tf

    network = model.network
    dtypes = {name: tf.uint8 if name == "image" else tf.float32 for name in model.input_names}
    specs = [tf.TensorSpec((None, *network.input[name].shape[1:]), dtype, name) for name, dtype in dtypes.items()]

    @tf.function(input_signature=specs)  # type: ignore[untyped-decorator]
    def run(*inputs: Any) -> list[Any]:
        given = {name: tf.cast(value, tf.float32) for name, value in zip(dtypes, inputs, strict=True)}
        outputs = network(given, training=False)
        return [outputs[name] for name in model.output_names]

    converted = import_converter()(run.get_concrete_function())
    openvino = import_openvino()
    # EfficientNets' activations have custom gradients and become extra outputs, at a quarter of the speed.
    graph = openvino.Model(converted.outputs[: len(model.output_names)], converted.get_parameters(), "tlkit_model")
    for port, name in zip((*graph.inputs, *graph.outputs), (*dtypes, *model.output_names), strict=True):
        port.get_tensor().set_names({name})
    graph.set_rt_info(format_document(model.document), DOCUMENT_KEY)
    path = folder / EXPORT.file
    openvino.save_model(graph, path, compress_to_fp16=precision == FLOAT16)
    return [path, path.with_suffix(".bin")]


EXPORT = Export(
    name="openvino",
    title="OpenVINO",
    use="Intel and Arm processors, Intel graphics; Python, C and C++",
    packages=("openvino",),
    extra="",
    precisions=(FLOAT32, FLOAT16),
    calibrated=(),
    file="model.xml",
    write=write,
)
