"""The new layers on top of a backbone: feature shape and outputs in, a small Keras model out.

Each head takes the backbone's feature (a pooled vector or a map) and returns logits, so that a loss and a later
calibration both see unsquashed numbers. The last layer starts at zero: an untrained head is undecided, and no random
start has to be unlearned (with few images it never is). Layer names are fixed: a bundle addresses weights by them.
"""

from __future__ import annotations

import keras
from keras import layers

from tlkit.errors import BackboneError


def build_head(
    kind: str, *, feature_shape: tuple[int, ...], num_classes: int, dropout: float, units: int
) -> keras.Model:
    """Build an untrained head.

    Args:
        kind: `linear` (standardise, dropout, one dense layer), `dense` (the Fisheries head of the course notes),
            `conv` (fully convolutional: one score map a class, averaged) or `flat` (dropout and one dense layer on the
            whole map, flattened: what is where counts, as in digits).
        feature_shape: Without the batch axis; (channels,) for `linear`, (height, width, channels) otherwise.
        num_classes: Number of logits.
        dropout: Dropout `p`, 0 <= p < 1; `dense` uses p/4, p and p/2 as the notes do.
        units: Width of the dense layers or number of filters; `linear` and `flat` have none.

    Returns:
        A model from float features (batch, *feature_shape) to float32 logits (batch, num_classes), any range.

    Raises:
        BackboneError: If the backbone's map is too small for the head's pooling.
    """
    feature = keras.Input(feature_shape, name="feature")
    if kind == "linear":
        x = layers.BatchNormalization(momentum=0.9, name="standardise")(feature)
        x = layers.Dropout(dropout, name="dropout")(x)
    elif kind == "flat":
        x = layers.Flatten(name="flatten")(feature)
        x = layers.Dropout(dropout, name="dropout")(x)
    elif kind == "dense":
        x = _dense_trunk(feature, dropout=dropout, units=units)
    else:
        x = _conv_trunk(feature, dropout=dropout, units=units)
    if kind == "conv":
        x = layers.Conv2D(num_classes, 3, padding="same", kernel_initializer="zeros", name="score_map")(x)
        logits = layers.GlobalAveragePooling2D(name="logits", dtype="float32")(x)
    else:
        logits = layers.Dense(num_classes, kernel_initializer="zeros", name="logits", dtype="float32")(x)
    return keras.Model(feature, logits, name="head")


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
