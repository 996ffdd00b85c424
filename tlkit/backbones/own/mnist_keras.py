"""The network that course notes build with Keras for grey digits: convolutions of 32 and 64 filters of 3 x 3."""

from __future__ import annotations

import keras
from keras import layers

from tlkit.backbones.own.mnist_grey import finish, start_grey


def build(inputs: keras.KerasTensor, *, pooling: str | None) -> keras.Model:
    """Build two times convolution (3 x 3, ReLU) and max pooling, on grey pixels from 0 to 1.

    Args:
        inputs: RGB images, float (n, height, width, 3), 0..255, edges of 10 pixels or more.
        pooling: "avg" for the mean of the last map, None for the map itself.

    Returns:
        A model that gives float (n, 5, 5, 64) for images of 28 pixels, or (n, 64) pooled.
    """
    outputs = start_grey(inputs, scale=1.0 / 255)
    for number, filters in enumerate((32, 64), start=1):
        outputs = layers.Conv2D(filters, 3, activation="relu", name=f"conv{number}_conv")(outputs)
        outputs = layers.MaxPooling2D(name=f"conv{number}_pool")(outputs)
    return finish(inputs, outputs, pooling=pooling, name="mnist_keras")
