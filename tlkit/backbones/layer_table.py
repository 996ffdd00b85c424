"""The layer table of a network: shapes, activations, parameters, work and receptive fields, layer by layer.

The network is Keras' own, with its classifier of 1,000 classes. It is built in a TensorFlow graph that never runs, so
no weights are allocated.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import keras
import tensorflow as tf

from tlkit.backbones.build import build_own_network
from tlkit.backbones.catalogue import BackboneEntry
from tlkit.backbones.cutting import LayerGroup, Step, find_groups, record_steps
from tlkit.backbones.layer_costs import WHOLE, Field, count_multiply_adds, find_receptive_fields

INPUT = "input"
CLASSIFIER = "classifier"
BYTES_PER_FLOAT32 = 4
ARRAYS_OF_A_WEIGHT = 4
"""In training with Adam: the weight, its gradient and two moments."""


@dataclass(frozen=True)
class LayerRow:
    """One layer of the table.

    Attributes:
        layer: Keras' name.
        kind: Its class.
        group: Its layer group, `input` or `classifier`.
        output_shape: Shape of its output, without the batch axis.
        num_parameters: Number of its weights, including moving statistics.
        ends_in_relu: Whether the layer ends with a relu, whose input is not counted as an output.
        num_multiply_adds: Multiplications for one image, each with an addition.
        field: The part of the image that a number of its output depends on.
    """

    layer: str
    kind: str
    group: str
    output_shape: tuple[int, ...]
    num_parameters: int
    ends_in_relu: bool
    num_multiply_adds: int
    field: Field

    @property
    def num_activations(self) -> int:
        """Number of output values per image."""
        return math.prod(self.output_shape)

    @property
    def sees_everything(self) -> bool:
        """Whether the output has been averaged or connected over all places."""
        return self.field == WHOLE

    @property
    def activation_bytes(self) -> int:
        """Memory of these values in float32."""
        return BYTES_PER_FLOAT32 * self.num_activations


@dataclass(frozen=True)
class LayerTable:
    """The layers of a network from the pixels upwards, the input first."""

    entry: BackboneEntry
    image_size: tuple[int, int]
    rows: tuple[LayerRow, ...]

    @property
    def num_parameters(self) -> int:
        """Number of weights, including the classifier."""
        return sum(row.num_parameters for row in self.rows)

    @property
    def num_backbone_parameters(self) -> int:
        """Number of weights below the classifier."""
        return sum(row.num_parameters for row in self.rows if row.group != CLASSIFIER)

    @property
    def num_activations(self) -> int:
        """Number of output values of all layers per image, including the input and flattened copies."""
        return sum(row.num_activations for row in self.rows)

    @property
    def num_activations_with_relus(self) -> int:
        """The same, with each relu inside a layer counted as a separate layer."""
        return self.num_activations + sum(row.num_activations for row in self.rows if row.ends_in_relu)

    @property
    def activation_bytes(self) -> int:
        """Memory of `num_activations` in float32."""
        return sum(row.activation_bytes for row in self.rows)

    @property
    def num_multiply_adds(self) -> int:
        """Multiplications for one image, each with an addition, including the classifier."""
        return sum(row.num_multiply_adds for row in self.rows)

    @property
    def training_bytes(self) -> int:
        """Memory of all weights in float32, their gradients and Adam's moments, without activations."""
        return ARRAYS_OF_A_WEIGHT * BYTES_PER_FLOAT32 * self.num_parameters

    def boundary_shape(self, group: str) -> tuple[int, ...]:
        """Return the shape of an image's unpooled feature at the end of a layer group."""
        return next(
            row.output_shape for row in reversed(self.rows) if row.group == group and len(row.output_shape) == 3
        )

    def group_parameters(self, group: str) -> int:
        """Return the number of weights of a layer group."""
        return sum(row.num_parameters for row in self.rows if row.group == group)


def build_layer_table(entry: BackboneEntry, *, image_size: tuple[int, int] | None = None) -> LayerTable:
    """Describe a network layer by layer; takes seconds, and no memory for weights.

    Args:
        entry: The network.
        image_size: (height, width) of the input in pixels; None for the backbone's own.

    Raises:
        BackboneError: the network cannot work on images so small.
    """
    image_size = image_size or entry.choose_image_size(None)
    entry.check_image_size(image_size)
    with tf.Graph().as_default():
        _, steps = record_steps(_build_with_classifier(entry, image_size))
        num_backbone_steps = _find_classifier(steps)
        groups = find_groups(entry, steps[:num_backbone_steps])
        rows = [LayerRow("image", "InputLayer", INPUT, (*image_size, 3), 0, False, 0, Field())]
        fields = find_receptive_fields(steps)
        rows += [
            _describe(step, _group_name(position, groups), field)
            for position, (step, field) in enumerate(zip(steps, fields, strict=True))
        ]
    return LayerTable(entry, image_size, tuple(rows))


def _build_with_classifier(entry: BackboneEntry, image_size: tuple[int, int]) -> keras.Model:
    if not entry.keras_name:
        return build_own_network(entry, keras.Input((*image_size, 3)), pooling=None)
    model: keras.Model = getattr(keras.applications, entry.keras_name)(
        include_top=True, weights=None, input_shape=(*image_size, 3)
    )
    return model


def _find_classifier(steps: Sequence[Step]) -> int:
    """Return the position of the classifier's first step: the last global pooling, else the first flattening.

    ConvNeXt normalises the pooled vector even without a classifier, so its classifier begins after that.
    """
    kinds = [type(step.operation).__name__ for step in steps]
    if "GlobalAveragePooling2D" in kinds:
        pooling = len(kinds) - 1 - kinds[::-1].index("GlobalAveragePooling2D")
        return pooling + 2 if kinds[pooling + 1] == "LayerNormalization" else pooling
    return kinds.index("Flatten") if "Flatten" in kinds else len(kinds)


def _group_name(position: int, groups: Sequence[LayerGroup]) -> str:
    """Return the layer group of a step."""
    return next((group.name for group in groups if position < group.num_steps), CLASSIFIER)


def _describe(step: Step, group: str, field: Field) -> LayerRow:
    operation = step.operation
    activation = getattr(getattr(operation, "activation", None), "__name__", "")
    return LayerRow(
        layer=operation.name,
        kind=type(operation).__name__,
        group=group,
        output_shape=tuple(step.output.shape[1:]),
        num_parameters=operation.count_params() if isinstance(operation, keras.Layer) else 0,
        ends_in_relu=activation == "relu" and not isinstance(operation, keras.layers.Activation),
        num_multiply_adds=count_multiply_adds(step),
        field=field,
    )
