"""Small networks that course notes train on grey digits, to be trained from random weights.

They see one channel, the mean of red, green and blue, so that their layers have the parameters of networks for grey
pictures: 320 in a first convolution of 32 filters of 3 x 3.
"""

from __future__ import annotations

import keras
import numpy as np
from keras import layers

THIRDS = np.full((3, 1), 1 / 3, np.float32)
"""What red, green and blue count in grey. As a product, OpenVINO needs no shapes to compute it."""


def start_grey(inputs: keras.KerasTensor, *, scale: float, offset: float = 0.0) -> keras.KerasTensor:
    """Return grey pixels times `scale` plus `offset`.

    Args:
        inputs: RGB images, float (n, height, width, 3), 0..255.
        scale: Factor of a grey level.
        offset: What is added.

    Returns:
        Float (n, height, width, 1).
    """
    grey = keras.ops.matmul(inputs, THIRDS)
    return layers.Rescaling(scale, offset=offset, name="rescale_pixels")(grey)


def finish(inputs: keras.KerasTensor, outputs: keras.KerasTensor, *, pooling: str | None, name: str) -> keras.Model:
    """Return the network from images to its last map, or with pooling "avg" to the map's mean."""
    if pooling == "avg":
        outputs = layers.GlobalAveragePooling2D(name="avg_pool")(outputs)
    return keras.Model(inputs, outputs, name=name)
