"""The LiteRT format (once TensorFlow Lite): one file for phones and small computers."""

from __future__ import annotations

import warnings
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np

from tlkit.errors import NumericsError
from tlkit.exports.base import DYNAMIC, FLOAT16, FLOAT32, INT8, CalibrationImages, Export
from tlkit.exports.model_json import MODEL_JSON, format_document
from tlkit.exports.savedmodel import save_network

if TYPE_CHECKING:
    from tlkit.exports.shipped import ShippedModel

SIGNATURE = "serving_default"
FIXED_DATE = (1980, 1, 1, 0, 0, 0)
"""Of the document in the file, so that equal models are equal files."""


def write(
    model: ShippedModel, folder: Path, precision: str, calibration: CalibrationImages | None = None
) -> Sequence[Path]:
    """Write `model.tflite`. Its signature `serving_default` has the model's names, float32, and a batch of any size.

    With float16 and `dynamic` only the weights are smaller; with int8 all layers compute with whole numbers that have 8
    bits, and the ports stay float32. The file is also a ZIP archive, in which `model.json` is.

    Raises:
        NumericsError: TensorFlow cannot convert the model.
    """
    import tensorflow as tf
    from tensorflow.lite.python.convert import ConverterError

    with TemporaryDirectory() as scratch:
        # The other routes write a file without its weights, and say nothing.
        converter = tf.lite.TFLiteConverter.from_saved_model(str(save_network(model, Path(scratch) / "saved_model")))
        _set_precision(converter, precision, model, calibration)
        try:
            content = _convert(converter)
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


def _set_precision(converter: Any, precision: str, model: ShippedModel, calibration: CalibrationImages | None) -> None:
    """Tell a converter how to store weights and how to compute."""
    import tensorflow as tf

    if precision != FLOAT32:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if precision == FLOAT16:
        converter.target_spec.supported_types = [tf.float16]
    if precision == INT8:
        assert calibration is not None, "the record says that int8 is calibrated"
        # What has no 8-bit form, such as an error function, stays in float32.
        sets = tf.lite.OpsSet
        converter.target_spec.supported_ops = [sets.TFLITE_BUILTINS_INT8, sets.TFLITE_BUILTINS]
        converter.representative_dataset = lambda: _feed(model, calibration)


def _convert(converter: Any) -> bytes:
    with warnings.catch_warnings():
        # The converter calibrates by an interpreter that programs should no longer use.
        warnings.filterwarnings("ignore", "(?s).*tf.lite.Interpreter is deprecated", UserWarning)
        content: bytes = converter.convert()
    return content


def _feed(model: ShippedModel, calibration: CalibrationImages) -> Iterator[tuple[str, dict[str, Any]]]:
    """Give the inputs of one image after the other."""
    for image, row in zip(calibration.images, calibration.metadata, strict=True):
        given = {"image": image[np.newaxis].astype(np.float32), "metadata": row[np.newaxis]}
        yield SIGNATURE, {name: given[name] for name in model.input_names}


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
