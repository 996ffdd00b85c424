"""A network for grey digits that normalises its own input: batch norm, then two convolutions of 32 filters."""

from __future__ import annotations

import keras
from keras import layers

from tlkit.backbones.own.mnist_grey import finish, start_grey


def build(inputs: keras.KerasTensor, *, pooling: str | None) -> keras.Model:
    """Build batch norm, two padded convolutions (3 x 3, ReLU) and max pooling, on grey pixels from 0 to 1.

    Args:
        inputs: RGB images, float (n, height, width, 3), 0..255, edges of 10 pixels or more.
        pooling: "avg" for the mean of the last map, None for the map itself.

    Returns:
        A model that gives float (n, 14, 14, 32) for images of 28 pixels, or (n, 32) pooled.
    """
    outputs = start_grey(inputs, scale=1.0 / 255)
    outputs = layers.BatchNormalization(name="conv1_norm")(outputs)
    for number in (1, 2):
        outputs = layers.Conv2D(32, 3, padding="same", activation="relu", name=f"conv{number}_conv")(outputs)
    outputs = layers.MaxPooling2D(name="conv2_pool")(outputs)
    return finish(inputs, outputs, pooling=pooling, name="mnist_norm")
