"""The SavedModel format: a folder for TensorFlow Serving and everything else that is built on TensorFlow."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tlkit.exports.base import FLOAT32, CalibrationImages, Export
from tlkit.exports.model_json import MODEL_JSON, format_document

if TYPE_CHECKING:
    from tlkit.exports.shipped import ShippedModel

EXTRA_ASSETS = "assets.extra"
"""The folder of a SavedModel for files that TensorFlow does not read."""


def write(
    model: ShippedModel, folder: Path, precision: str, calibration: CalibrationImages | None = None
) -> Sequence[Path]:
    """Write `saved_model/` with the signature `serving_default`, whose inputs and outputs have the model's names."""
    path = save_network(model, folder / EXPORT.file)
    extra = path / EXTRA_ASSETS
    extra.mkdir()
    (extra / MODEL_JSON).write_text(format_document(model.document), "utf-8")
    return [path]


def save_network(model: ShippedModel, path: Path) -> Path:
    """Write the network alone as a SavedModel, and return its folder.

    Keras' own `export` stores all weights twice.
    """
    import tensorflow as tf

    network = model.network
    specs = {
        name: tf.TensorSpec((None, *network.input[name].shape[1:]), tf.float32, name=name) for name in model.input_names
    }

    @tf.function(input_signature=[specs])  # type: ignore[untyped-decorator]
    def serve(inputs: dict[str, Any]) -> dict[str, Any]:
        outputs: dict[str, Any] = network(inputs, training=False)
        return outputs

    module = tf.Module()
    module.weights = [weight.value for weight in network.weights]
    tf.saved_model.save(module, path, signatures={"serving_default": serve.get_concrete_function()})
    return path


EXPORT = Export(
    name="savedmodel",
    title="SavedModel",
    use="TensorFlow Serving, TensorFlow in Python, C++, Go and Java",
    packages=("tensorflow",),
    extra="",
    precisions=(FLOAT32,),
    calibrated=(),
    file="saved_model",
    write=write,
)
