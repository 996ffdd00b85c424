"""The network from which every export is written: pixels in, calibrated answers out, in stock Keras layers only.

A `.keras` file of it loads without tlkit, and every converter knows its layers. What `tlkit predict` computes beside the
network is inside: the temperature, the scale of a value, the corners of a box, the distance from the training images.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from tlkit.backbones.catalogue import TOP
from tlkit.exports.fixed_layers import copy_layers, multiply
from tlkit.exports.model_json import build_document, describe_ports
from tlkit.exports.shipped_detector import build_places
from tlkit.exports.shipped_segmenter import build_cells
from tlkit.head_bodies import STANDARDISE, WHITEN
from tlkit.heads import DETECTOR, LINEAR, SEGMENTER
from tlkit.models.classifier import Classifier
from tlkit.models.novelty import Novelty
from tlkit.models.spec import BundleSpec
from tlkit.tasks import find_task

IMAGE, METADATA = "image", "metadata"
PROBABILITIES, VALUE, BOX, MAP, DISTANCE = "probabilities", "value", "box", "map", "distance"
SMALLEST_LENGTH = 1e-30
"""A squared length below it is taken for 0."""
_CORNERS = ((1, 0, 1, 0), (0, 1, 0, 1), (-0.5, 0, 0.5, 0), (0, -0.5, 0, 0.5))
"""cx, cy, w, h times this matrix are left, top, right, bottom."""


@dataclass(frozen=True, eq=False)
class ShippedModel:
    """What an export is written from.

    Attributes:
        network: A functional model of stock layers and `keras.ops`, without nested models. Its inputs, by name: `image`,
            float32 (n, height, width, 3), RGB, 0..255; `metadata`, float32 (n, width), if the model takes any. Its
            outputs, by name, in this order, each float32: `probabilities` (n, classes), calibrated, with sum 1, or of
            labels, each 0..1; or `value` (n, 1) in the target's own unit; `box` (n, 4), if predicted: left, top, right,
            bottom as fractions of the input, not clipped; or `boxes` and `scores` at every place, see
            `shipped_detector.build_places`; or `cells`, see `shipped_segmenter.build_cells`; `map` (n, h, w, classes), if each logit (before the temperature
            and without what metadata add) is the mean of a map; `distance` (n,), 0..1, if measured.
        spec: The model's description.
        document: The content of `model.json`, which a format also stores in its own file.
    """

    network: keras.Model
    spec: BundleSpec
    document: Mapping[str, Any]

    @property
    def input_names(self) -> tuple[str, ...]:
        """Names of the inputs, in order."""
        return (IMAGE, METADATA) if self.spec.metadata.width else (IMAGE,)

    @property
    def output_names(self) -> tuple[str, ...]:
        """Names of the outputs, in order."""
        return tuple(self.network.output)

    def compute(self, images: NDArray[np.uint8]) -> dict[str, NDArray[np.float32]]:
        """Return the outputs by name for images without metadata, uint8 (n, height, width, 3), RGB, 0..255."""
        shapes = {IMAGE: images.shape, METADATA: (len(images), self.spec.metadata.width)}
        given = {name: np.zeros(shapes[name], np.float32) for name in self.input_names}
        given[IMAGE][:] = images
        return {name: np.asarray(value) for name, value in self.network(given, training=False).items()}


def build_shipped_model(classifier: Classifier, *, bundle_sha256: str = "unknown") -> ShippedModel:
    """Build the network that is exported. It shares the classifier's layers and weights.

    Args:
        classifier: The trained model.
        bundle_sha256: Hash of the bundle's description, which `model.json` names, in hex.
    """
    spec = classifier.spec
    inputs = {IMAGE: keras.Input((*spec.image_size, 3), name=IMAGE)}
    if spec.metadata.width:
        inputs[METADATA] = keras.Input((spec.metadata.width,), name=METADATA)
    build = {DETECTOR: build_places, SEGMENTER: build_cells}.get(spec.head.kind, _build_answers)
    outputs, features = build(classifier, **inputs)
    if spec.measures_distance:
        assert classifier.novelty is not None, "the spec says that distances are measured"
        pooled = keras.layers.GlobalAveragePooling2D(name="feature")(features) if features.ndim == 4 else features
        outputs[DISTANCE] = _measure_distance(pooled, classifier.novelty)
    network = _flatten(keras.Model(inputs, outputs, name="tlkit_model"))
    shapes = {name: tuple(tensor.shape[1:]) for name, tensor in network.output.items()}
    document = build_document(spec, bundle_sha256=bundle_sha256) | describe_ports(spec, shapes)
    return ShippedModel(network, spec, document)


def _build_answers(
    classifier: Classifier, image: keras.KerasTensor, metadata: keras.KerasTensor | None = None
) -> tuple[dict[str, keras.KerasTensor], keras.KerasTensor]:
    """Return the outputs of a model with one answer for each image, and the feature that its head sees."""
    spec = classifier.spec
    trunk, tail = classifier.backbone.split_at_map(TOP)
    features = feature_map = _replay(trunk, image)
    if tail is not None:
        features = _replay(tail, feature_map)
    given = {"feature": features, METADATA: metadata}
    answers = _call_head(classifier, {name: given[name] for name in classifier.head.input})
    outputs = _name_answer(answers["answer"], spec)
    if spec.has_box:
        outputs[BOX] = multiply(answers["box"], np.array(_CORNERS, np.float32), "corners")
    if spec.head.record.scores_places:
        outputs[MAP] = answers[MAP]
    elif spec.head.kind == LINEAR and _is_mean(tail):
        outputs[MAP] = _score_places(classifier.head, feature_map)
    return outputs, features


def _call_head(classifier: Classifier, inputs: dict[str, keras.KerasTensor]) -> dict[str, keras.KerasTensor]:
    """Return the head's outputs by name; of a head that scores places also their scores."""
    head = copy_layers(classifier.head)
    outputs = dict(head.output)
    if classifier.spec.head.record.scores_places:
        outputs[MAP] = head.get_layer("head_score_map").output
    called: dict[str, keras.KerasTensor] = keras.Function(head.input, outputs).call(inputs)
    return called


def _replay(model: keras.Model, inputs: Any) -> Any:
    """Return the outputs of a model's layers, called on other inputs one by one."""
    if isinstance(model, keras.Sequential):
        return keras.Function(model.inputs[0], model.outputs[0]).call(inputs)
    return keras.Function(model.input, model.output).call(inputs)


def _flatten(network: keras.Model) -> keras.Model:
    """Return a network with the layers of nested models (ConvNeXt's stem) in their place."""

    def call(operation: Any, *arguments: Any, **keywords: Any) -> Any:
        return (
            _replay(operation, *arguments) if isinstance(operation, keras.Model) else operation(*arguments, **keywords)
        )

    return keras.models.clone_model(network, clone_function=lambda layer: layer, call_function=call)


def _name_answer(logits: keras.KerasTensor, spec: BundleSpec) -> dict[str, keras.KerasTensor]:
    """Return what a task's logits mean, by the name of the output."""
    layers, task = keras.layers, find_task(spec.task)
    if spec.target is not None:
        is_log = spec.target.is_log
        name = "logarithm" if is_log else VALUE
        values = layers.Rescaling(spec.target.scale, offset=spec.target.mean, name=name)(logits)
        return {VALUE: layers.Activation("exponential", name=VALUE)(values) if is_log else values}
    if task.is_exclusive and spec.outputs.num_answers == 1:
        return {
            PROBABILITIES: layers.Rescaling(0.0, offset=1.0, name=PROBABILITIES)(logits)
        }  # Keras warns of a softmax
    if task.is_exclusive:
        cooled = layers.Rescaling(1.0 / spec.temperature, name="temperature")(logits)
        return {PROBABILITIES: layers.Softmax(name=PROBABILITIES)(cooled)}
    return {PROBABILITIES: layers.Activation("sigmoid", name=PROBABILITIES)(logits)}


def _is_mean(tail: keras.Model | None) -> bool:
    """Return whether what follows the last feature map is only its spatial mean."""
    layers = [] if tail is None else [layer for layer in tail.layers if not isinstance(layer, keras.layers.InputLayer)]
    return [type(layer) for layer in layers] == [keras.layers.GlobalAveragePooling2D]


def _score_places(head: keras.Model, feature_map: keras.KerasTensor) -> keras.KerasTensor:
    """Return the score of each place by a linear head, which it applies to the mean of the feature map.

    The mean of the scores is the logit (Zhou et al., 2015, https://arxiv.org/abs/1512.04150).
    """
    kernel, bias = (array.astype(np.float64) for array in head.get_layer("logits").get_weights())
    if WHITEN in {layer.name for layer in head.layers}:
        kernel = head.get_layer(WHITEN).get_weights()[0].astype(np.float64) @ kernel
    norm = head.get_layer(STANDARDISE)
    mean, variance = (np.asarray(weight, np.float64) for weight in (norm.moving_mean, norm.moving_variance))
    kernel /= np.sqrt(variance + norm.epsilon)[:, np.newaxis]
    layer = keras.layers.Conv2D(kernel.shape[1], 1, trainable=False, name="scores_of_places")
    scores: keras.KerasTensor = layer(feature_map)
    layer.set_weights([kernel[np.newaxis, np.newaxis].astype(np.float32), (bias - mean @ kernel).astype(np.float32)])
    return scores


def _measure_distance(features: keras.KerasTensor, novelty: Novelty) -> keras.KerasTensor:
    """Return the distance of pooled features; see `Novelty.measure`.

    The residual itself is computed: in float32, the small difference of two squared lengths would be noise. Features are
    scaled to the order of 1 first, because the squares of tiny ones would be 0.
    """
    ops, directions = keras.ops, novelty.directions
    centre = keras.layers.BatchNormalization(center=False, epsilon=0.0, trainable=False, name="centre")
    centred = centre(features)
    size = float(np.sqrt(np.square(novelty.mean.astype(np.float64)).mean())) or 1.0
    one = np.ones_like(novelty.mean)
    centre.set_weights([one / np.float32(size), novelty.mean, one])
    within = multiply(multiply(centred, directions.T, "project"), directions, "project_back")
    outside = ops.sum(ops.square(ops.subtract(centred, within)), axis=-1)
    whole = ops.maximum(ops.sum(ops.square(centred), axis=-1), SMALLEST_LENGTH)
    return ops.minimum(ops.sqrt(ops.divide(outside, whole)), 1.0)
