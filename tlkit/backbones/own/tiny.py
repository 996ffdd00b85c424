"""The small residual network that is tlkit's own, for images of 64 to 160 pixels.

A stem and four groups of two residual blocks (He et al., 2015, https://arxiv.org/abs/1512.03385), each group but the
first at half the resolution of the one below. It is meant to be built in a moment and to run anywhere; from random
weights it serves demonstrations and tests.
"""

from __future__ import annotations

import keras
from keras import layers

STEM_FILTERS = 32
GROUP_FILTERS = (32, 64, 128, 224)
BLOCKS_PER_GROUP = (1, 2, 2, 2)


def build(inputs: keras.KerasTensor, *, pooling: str | None) -> keras.Model:
    """Build the network on `inputs`.

    Args:
        inputs: RGB images, float (n, height, width, 3), 0..255, edges of 32 pixels or more.
        pooling: "avg" for the mean of the last map, None for the map itself.

    Returns:
        A model that gives float (n, height / 16, width / 16, 224), or (n, 224) pooled.
    """
    outputs = layers.Rescaling(1.0 / 127.5, offset=-1.0, name="rescale_pixels")(inputs)
    outputs = _convolve(outputs, STEM_FILTERS, strides=2, name="stem")
    outputs = layers.ReLU(name="stem_relu")(outputs)
    for group, (filters, num_blocks) in enumerate(zip(GROUP_FILTERS, BLOCKS_PER_GROUP, strict=True), start=1):
        for block in range(num_blocks):
            strides = 2 if group > 1 and block == 0 else 1
            outputs = _add_residual_block(outputs, filters, strides=strides, name=f"block{group}{'ab'[block]}")
    if pooling == "avg":
        outputs = layers.GlobalAveragePooling2D(name="avg_pool")(outputs)
    return keras.Model(inputs, outputs, name="tiny")


def _add_residual_block(inputs: keras.KerasTensor, filters: int, *, strides: int, name: str) -> keras.KerasTensor:
    """Return relu(inputs + two convolutions of inputs), with a 1 by 1 convolution where the shapes differ."""
    outputs = _convolve(inputs, filters, strides=strides, name=f"{name}_1")
    outputs = layers.ReLU(name=f"{name}_1_relu")(outputs)
    outputs = _convolve(outputs, filters, strides=1, name=f"{name}_2")
    shortcut = inputs
    if strides > 1 or inputs.shape[-1] != filters:
        shortcut = _convolve(inputs, filters, strides=strides, kernel_size=1, name=f"{name}_shortcut")
    outputs = layers.Add(name=f"{name}_add")([outputs, shortcut])
    return layers.ReLU(name=f"{name}_out")(outputs)


def _convolve(
    inputs: keras.KerasTensor, filters: int, *, strides: int, name: str, kernel_size: int = 3
) -> keras.KerasTensor:
    """Return a convolution without bias, batch normalised."""
    outputs = layers.Conv2D(
        filters,
        kernel_size,
        strides=strides,
        padding="same",
        use_bias=False,
        kernel_initializer="he_normal",
        name=f"{name}_conv",
    )(inputs)
    return layers.BatchNormalization(momentum=0.9, name=f"{name}_bn")(outputs)
