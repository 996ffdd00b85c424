"""The new layers on top of a backbone: feature and metadata in, answers and a box out, a small Keras model.

Each head takes the backbone's feature (a pooled vector or a map), and metadata beside it if there are any. It returns
logits, so that a loss and a later calibration both see unsquashed numbers, and with them a box if one is learnt. The
last layers start at zero: an untrained head is undecided, and no random start has to be unlearned (with few images it
never is). Layer names are fixed: a bundle addresses weights by them.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import layers

from tlkit.errors import BackboneError
from tlkit.outputs import Outputs


def build_head(
    kind: str, *, feature_shape: tuple[int, ...], outputs: Outputs, metadata_width: int = 0, dropout: float, units: int
) -> keras.Model:
    """Build an untrained head.

    Args:
        kind: `linear` (standardise, dropout, one dense layer), `dense` (the Fisheries head of the course notes),
            `conv` (fully convolutional: one score map a class, averaged) or `flat` (dropout and one dense layer on the
            whole map, flattened: what is where counts, as in digits).
        feature_shape: Without the batch axis; (channels,) for `linear`, (height, width, channels) otherwise.
        outputs: What it says.
        metadata_width: Numbers of metadata of each image; they go through batch norm and join in the last layer, as in
            the notes. The part of that layer which sees them is a layer of its own (the sum of two layers is one layer
            on both inputs), so that it can be trained first; see `metadata_part`.
        dropout: Dropout `p`, 0 <= p < 1; `dense` uses p/4, p and p/2 as the notes do.
        units: Width of the dense layers or number of filters; `linear` and `flat` have none.

    Returns:
        A model from `feature`, float (batch, *feature_shape), and `metadata`, float (batch, metadata_width) if there
        are any, to `answer`, float32 (batch, num_answers), any range, and, with a box, `box`: its centre and size as
        fractions of the input, float32 (batch, 4): cx, cy, w, h, 0..1. Both are mappings by these names.

    Raises:
        BackboneError: If the backbone's map is too small for the head's pooling.
        ValueError: If this kind of head cannot learn boxes or take metadata.
    """
    _check_kind(kind, outputs, metadata_width)
    feature = keras.Input(feature_shape, name="feature")
    inputs = {"feature": feature}
    if kind == "linear":
        # Scale and shift would add nothing to the dense layer's, and cost as much as all the rest.
        x = layers.BatchNormalization(momentum=0.9, center=False, scale=False, name="standardise")(feature)
        x = layers.Dropout(dropout, name="dropout")(x)
    elif kind == "flat":
        x = layers.Flatten(name="flatten")(feature)
        x = layers.Dropout(dropout, name="dropout")(x)
    elif kind == "dense":
        x = _dense_trunk(feature, dropout=dropout, units=units)
    else:
        x = _conv_trunk(feature, dropout=dropout, units=units)
    if kind == "conv":
        x = layers.Conv2D(outputs.num_answers, 3, padding="same", kernel_initializer="zeros", name="score_map")(x)
        said = {"answer": layers.GlobalAveragePooling2D(name="logits", dtype="float32")(x)}
    else:
        said = {"answer": _last_layer(outputs.num_answers, "logits")(x)}
    if metadata_width:
        metadata = keras.Input((metadata_width,), name="metadata")
        inputs["metadata"] = metadata
        normed = layers.BatchNormalization(momentum=0.9, name="metadata_norm")(metadata)
        known = _last_layer(outputs.num_answers, "metadata_logits")(normed)
        said["answer"] = layers.Add(name="sum", dtype="float32")([said["answer"], known])
        x = layers.Concatenate(name="join")([x, normed])
    if outputs.has_box:
        box = layers.Dense(4, activation="sigmoid", kernel_initializer="zeros", name="box", dtype="float32")(x)
        said["box"] = box
    return keras.Model(inputs, said, name="head")


def metadata_part(head: keras.Model) -> keras.Model:
    """Return the part of a head that knows nothing but the metadata; it shares the head's layers.

    Args:
        head: From `build_head`, with metadata.

    Returns:
        A model from `metadata`, float (batch, metadata_width), to `answer`, float32 (batch, num_answers).
    """
    metadata = head.input["metadata"]
    return keras.Model(
        {"metadata": metadata}, {"answer": head.get_layer("metadata_logits").output}, name="metadata_part"
    )


def call_head(head: keras.Model, feature: Any, metadata: Any, *, training: bool) -> dict[str, Any]:
    """Return what a head says of features, given what it takes of them and of metadata."""
    given = {"feature": feature, "metadata": metadata}
    said: dict[str, Any] = head({name: given[name] for name in head.input}, training=training)
    return said


def _check_kind(kind: str, outputs: Outputs, metadata_width: int) -> None:
    """Refuse what a head cannot do: a pooled vector no longer knows where things are; a score map has no last layer."""
    if outputs.has_box and kind not in ("dense", "flat"):
        raise ValueError(f"Boxes need a head that sees the whole map, dense or flat. Received: {kind!r}")
    if metadata_width and kind == "conv":
        raise ValueError("The conv head has no layer before which metadata could join.")


def _last_layer(num_answers: int, name: str) -> keras.Layer:
    return layers.Dense(num_answers, kernel_initializer="zeros", name=name, dtype="float32")


def _dense_trunk(feature: keras.KerasTensor, *, dropout: float, units: int) -> keras.KerasTensor:
    """Return the course notes' Fisheries layers: pool, norm, dropout p/4, then two dense layers with norm and dropout."""
    if min(feature.shape[1:3]) < 2:
        raise BackboneError(
            f"The dense head halves the backbone's map, which is only {feature.shape[1]} x {feature.shape[2]}.",
            expected="a map of at least 2 x 2, which needs an image of at least 64 pixels with most backbones",
            fix="use a larger --image-size, or --head linear.",
        )
    x = layers.MaxPooling2D(name="pool")(feature)
    x = layers.BatchNormalization(momentum=0.9, name="norm_0")(x)
    x = layers.Dropout(dropout / 4, name="dropout_0")(x)
    x = layers.Flatten(name="flatten")(x)
    for number, rate in ((1, dropout), (2, dropout / 2)):
        x = layers.Dense(units, activation="relu", name=f"dense_{number}")(x)
        x = layers.BatchNormalization(momentum=0.9, name=f"norm_{number}")(x)
        x = layers.Dropout(rate, name=f"dropout_{number}")(x)
    return x


def _conv_trunk(feature: keras.KerasTensor, *, dropout: float, units: int) -> keras.KerasTensor:
    """Return two 3x3 convolutions at the map's own resolution, so that the score map keeps the picture's layout."""
    x = layers.BatchNormalization(momentum=0.9, name="norm_0")(feature)
    for number in (1, 2):
        x = layers.Conv2D(units, 3, padding="same", activation="relu", name=f"conv_{number}")(x)
        x = layers.BatchNormalization(momentum=0.9, name=f"norm_{number}")(x)
    return layers.SpatialDropout2D(dropout, name="dropout")(x)
