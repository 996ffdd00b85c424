"""The LiteRT format (once TensorFlow Lite): one file for phones and small computers."""

from __future__ import annotations

import warnings
import zipfile
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from tlkit.errors import NumericsError
from tlkit.exports.base import DYNAMIC, FLOAT16, FLOAT32, INT8, CalibrationImages, Export
from tlkit.exports.graph_running import give_inputs
from tlkit.exports.litert_quantization import SIGNATURE, quantize
from tlkit.exports.model_json import MODEL_JSON, format_document
from tlkit.exports.savedmodel import save_network

if TYPE_CHECKING:
    from tlkit.exports.shipped import ShippedModel

FIXED_DATE = (1980, 1, 1, 0, 0, 0)
"""Of the document in the file, so that equal models are equal files."""


def write(
    model: ShippedModel, folder: Path, precision: str, calibration: CalibrationImages | None = None
) -> Sequence[Path]:
    """Write `model.tflite`. Its signature `serving_default` has the model's names, float32, and a batch of any size.

    With float16 and `dynamic` only the weights are smaller; with int8 the backbone computes with numbers of 8 bits, and the
    last layers, the distance and the ports stay float32. The file is also a ZIP archive, in which `model.json` is.

    Raises:
        NumericsError: TensorFlow cannot convert the model.
    """
    import tensorflow as tf
    from tensorflow.lite.python.convert import ConverterError

    with TemporaryDirectory() as scratch:
        # The other routes write a file without its weights, and say nothing.
        converter = tf.lite.TFLiteConverter.from_saved_model(str(save_network(model, Path(scratch) / "saved_model")))
        _set_precision(converter, precision)
        try:
            content = _convert(converter, model, calibration if precision == INT8 else None)
        except ConverterError as error:
            raise NumericsError(
                f"--format litert: TensorFlow cannot convert the model ({error}).",
                expected="a model that LiteRT can run",
                fix="choose another format, and please report this as a bug in tlkit.",
            ) from error
    path = folder / EXPORT.file
    path.write_bytes(content)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(zipfile.ZipInfo(MODEL_JSON, FIXED_DATE), format_document(model.document))
    return [path]


def _set_precision(converter: Any, precision: str) -> None:
    """Tell a converter how to store weights and how to compute."""
    import tensorflow as tf

    if precision != FLOAT32:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if precision == FLOAT16:
        converter.target_spec.supported_types = [tf.float16]
    if precision == INT8:
        # What has no 8-bit form, such as an error function, stays in float32.
        sets = tf.lite.OpsSet
        converter.target_spec.supported_ops = [sets.TFLITE_BUILTINS_INT8, sets.TFLITE_BUILTINS]


def _convert(converter: Any, model: ShippedModel, calibration: CalibrationImages | None) -> bytes:
    """Return the content of a file; with calibration images, of a quantized one."""
    with warnings.catch_warnings():
        # The converter calibrates by an interpreter that programs should no longer use.
        warnings.filterwarnings("ignore", "(?s).*tf.lite.Interpreter is deprecated", UserWarning)
        if calibration is None:
            content: bytes = converter.convert()
            return content
        names = model.input_names
        converter.representative_dataset = lambda: (
            (SIGNATURE, {name: inputs[name] for name in names}) for inputs in give_inputs(calibration)
        )
        return quantize(converter, calibration)


EXPORT = Export(
    name="litert",
    title="LiteRT",
    use="Android, iOS, Raspberry Pi and microcontrollers",
    packages=("tensorflow", "ai_edge_litert"),
    extra="litert",
    precisions=(FLOAT32, FLOAT16, DYNAMIC, INT8),
    calibrated=(INT8,),
    file="model.tflite",
    write=write,
)
