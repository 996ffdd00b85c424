"""The layers of heads between the feature and the last layer, for one feature of an image.

Each takes a feature, float (n, channels) or (n, height, width, channels), the dropout, 0 <= dropout < 1, the units and one of
`tlkit.metrics.whitenings.WHITENINGS`, and returns what the last layer takes: (n, width), or a map. A map that is too small for
a body, or a feature too large to be whitened, raises a BackboneError.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tlkit.errors import BackboneError
from tlkit.metrics.whitenings import MAX_WHITENED, NONE, WITH_MATRIX

if TYPE_CHECKING:
    import keras

STANDARDISE, WHITEN = "standardise", "whiten"
"""Layers of fixed weights at the input: (x - mean) / deviation, and a matrix; see `tlkit.training.whitening`."""


def _build_input_norm(feature: keras.KerasTensor, whiten: str) -> keras.KerasTensor:
    """Build the fixed layers, whose weights training features determine."""
    from keras import layers

    x = layers.BatchNormalization(center=False, scale=False, trainable=False, name=STANDARDISE)(feature)
    if whiten not in WITH_MATRIX:
        return x
    width = x.shape[-1]
    if width > MAX_WHITENED:
        raise BackboneError(
            f"whiten = {whiten}, but the head's first layer has {width:,} inputs: their covariance is a matrix of "
            f"{width:,} x {width:,}.",
            expected=f"at most {MAX_WHITENED:,} inputs",
            fix="use --head linear, conv or dense, or --whiten standard.",
        )
    return layers.Dense(width, use_bias=False, kernel_initializer="identity", trainable=False, name=WHITEN)(x)


def build_linear(feature: keras.KerasTensor, dropout: float, units: int, whiten: str) -> keras.KerasTensor:
    """Standardise the pooled vector; scale and shift would be redundant with the dense layer."""
    from keras import layers

    if whiten == NONE:
        x = layers.BatchNormalization(momentum=0.9, center=False, scale=False, name=STANDARDISE)(feature)
    else:
        x = _build_input_norm(feature, whiten)
    return layers.Dropout(dropout, name="dropout")(x)


def build_flat(feature: keras.KerasTensor, dropout: float, units: int, whiten: str) -> keras.KerasTensor:
    """Flatten the whole map, so that positions matter, as in digits."""
    from keras import layers

    x = layers.Flatten(name="flatten")(feature)
    return layers.Dropout(dropout, name="dropout")(x if whiten == NONE else _build_input_norm(x, whiten))


def build_dense(feature: keras.KerasTensor, dropout: float, units: int, whiten: str) -> keras.KerasTensor:
    """Build the Fisheries head of the course notes: pool, norm, dropout p/4, then two dense layers with norm and
    dropout.
    """
    from keras import layers

    if min(feature.shape[1:3]) < 2:
        raise BackboneError(
            f"The dense head halves the backbone's map, which is only {feature.shape[1]} x {feature.shape[2]}.",
            expected="a map of at least 2 x 2, which needs an image of at least 64 pixels with most backbones",
            fix="use a larger --image-size, or --head linear.",
        )
    x = layers.MaxPooling2D(name="pool")(feature)
    x = layers.BatchNormalization(momentum=0.9, name="norm_0")(x) if whiten == NONE else _build_input_norm(x, whiten)
    x = layers.Dropout(dropout / 4, name="dropout_0")(x)
    x = layers.Flatten(name="flatten")(x)
    for number, rate in ((1, dropout), (2, dropout / 2)):
        x = layers.Dense(units, activation="relu", name=f"dense_{number}")(x)
        x = layers.BatchNormalization(momentum=0.9, name=f"norm_{number}")(x)
        x = layers.Dropout(rate, name=f"dropout_{number}")(x)
    return x


def build_vgg(feature: keras.KerasTensor, dropout: float, units: int, whiten: str) -> keras.KerasTensor:
    """Build VGG's dense layers on the whole map, each followed by dropout (arXiv:1409.1556); VGG's own have 4,096 units."""
    from keras import layers

    x = feature if whiten == NONE else _build_input_norm(feature, whiten)
    x = layers.Flatten(name="flatten")(x)
    for number in (1, 2):
        x = layers.Dense(units, activation="relu", name=f"dense_{number}")(x)
        x = layers.Dropout(dropout, name=f"dropout_{number}")(x)
    return x


def build_conv(feature: keras.KerasTensor, dropout: float, units: int, whiten: str) -> keras.KerasTensor:
    """Build two 3x3 convolutions at the map's resolution, so that the score map keeps the image's layout."""
    from keras import layers

    if whiten == NONE:
        x = layers.BatchNormalization(momentum=0.9, name="norm_0")(feature)
    else:
        x = _build_input_norm(feature, whiten)
    for number in (1, 2):
        x = layers.Conv2D(units, 3, padding="same", activation="relu", name=f"conv_{number}")(x)
        x = layers.BatchNormalization(momentum=0.9, name=f"norm_{number}")(x)
    return layers.SpatialDropout2D(dropout, name="dropout")(x)
