"""The Keras format: one file that `keras.saving.load_model` opens in safe mode, without tlkit, on any backend."""

from __future__ import annotations

import warnings
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tlkit.exports.base import FLOAT32, CalibrationImages, Export
from tlkit.exports.model_json import MODEL_JSON, format_document

if TYPE_CHECKING:
    from tlkit.exports.shipped import ShippedModel


def write(
    model: ShippedModel, folder: Path, precision: str, calibration: CalibrationImages | None = None
) -> Sequence[Path]:
    """Write `model.keras`; `model.json` is added to its archive."""
    path = folder / EXPORT.file
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Keras 3.15 reads its variables in an old way of NumPy's
        model.network.save(path)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(MODEL_JSON, format_document(model.document))
    return [path]


EXPORT = Export(
    name="keras",
    title="Keras",
    use="Python with TensorFlow, JAX or PyTorch; training it further",
    packages=("keras",),
    extra="",
    precisions=(FLOAT32,),
    calibrated=(),
    file="model.keras",
    write=write,
)
