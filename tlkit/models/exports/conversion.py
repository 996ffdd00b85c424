"""From a classifier in Keras to the same network for OpenVINO, which then needs no Keras any more."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from tlkit.backbones.engines.openvino_runtime import import_converter, import_openvino
from tlkit.errors import NumericsError
from tlkit.models.classifier import Classifier
from tlkit.models.exports.openvino import OpenvinoClassifier, describe_ports
from tlkit.models.golden import GOLDEN_TOLERANCE, predict_one_by_one
from tlkit.models.predictor import output_names

if TYPE_CHECKING:
    import openvino


def convert_classifier(
    classifier: Classifier, images: NDArray[np.uint8], metadata: NDArray[np.float32]
) -> OpenvinoClassifier:
    """Return what a classifier is now, run by OpenVINO. Takes 1 to 20 seconds.

    Args:
        classifier: The trained model; the result has its spec and novelty.
        images: Some that both are compared on: uint8 (n, image_size, image_size, 3), RGB, 0..255, n >= 1.
        metadata: Theirs, float32 (n, width).

    Raises:
        ImportError: There is no OpenVINO.
        NumericsError: The two differ by more than 0.001 in an answer.
    """
    converted = OpenvinoClassifier(classifier.spec, _convert(classifier), classifier.novelty)
    samples: dict[str, NDArray[Any]] = {"images": images, "metadata": metadata}
    difference = float(np.abs(predict_one_by_one(converted, samples) - predict_one_by_one(classifier, samples)).max())
    if not difference <= GOLDEN_TOLERANCE:  # the comparison is written so that NaN fails it
        raise NumericsError(
            f"OpenVINO gives other answers than Keras, by up to {difference:.2g}.",
            expected=f"at most {GOLDEN_TOLERANCE:g}",
            fix="give --engine keras, and please report this as a bug in tlkit.",
        )
    return converted


def _convert(classifier: Classifier) -> openvino.Model:
    spec = classifier.spec
    names = output_names(spec)
    signature = [tf.TensorSpec((1, spec.image_size, spec.image_size, 3), tf.uint8)]
    if spec.metadata.width:
        signature.append(tf.TensorSpec((1, spec.metadata.width), tf.float32))

    @tf.function(input_signature=signature)  # type: ignore[untyped-decorator]
    def run(images: tf.Tensor, metadata: tf.Tensor = None) -> list[tf.Tensor]:
        said = classifier.forward(images, tf.zeros((1, 0)) if metadata is None else metadata)
        return [said[name] for name in names]

    model = import_converter()(run.get_concrete_function())
    # EfficientNets' activations, which have gradients of their own, come out as more outputs: a quarter of the speed.
    model = import_openvino().Model(model.outputs[: len(names)], model.get_parameters())
    for port, name in zip((*model.inputs, *model.outputs), describe_ports(spec), strict=True):
        port.get_tensor().set_names({name})
    return model
