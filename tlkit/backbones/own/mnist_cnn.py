"""The small convolutional network that courses train on handwritten digits, to be trained from random weights."""

from __future__ import annotations

import keras
from keras import layers

FILTERS = (32, 64)


def build(inputs: keras.KerasTensor, *, pooling: str | None) -> keras.Model:
    """Build two times convolution (3 by 3, ReLU) and max pooling.

    With the head `flat` at 28 pixels it is the "simple MNIST convnet" of the Keras examples, on three channels.

    Args:
        inputs: RGB images, float (n, height, width, 3), 0..255, edges of 10 pixels or more.
        pooling: "avg" for the mean of the last map, None for the map itself.

    Returns:
        A model that gives float (n, 5, 5, 64) for images of 28 pixels, or (n, 64) pooled.
    """
    outputs = layers.Rescaling(1.0 / 255, name="rescale_pixels")(inputs)
    for number, filters in enumerate(FILTERS, start=1):
        outputs = layers.Conv2D(filters, 3, activation="relu", name=f"conv{number}_conv")(outputs)
        outputs = layers.MaxPooling2D(name=f"conv{number}_pool")(outputs)
    if pooling == "avg":
        outputs = layers.GlobalAveragePooling2D(name="avg_pool")(outputs)
    return keras.Model(inputs, outputs, name="mnist_cnn")
