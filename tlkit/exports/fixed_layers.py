"""Layers of an export that are copied or made for it, and not trained."""

from __future__ import annotations

import keras
import numpy as np
from numpy.typing import NDArray


def copy_layers(model: keras.Model) -> keras.Model:
    """Return a head with copies of its layers under names of their own: a backbone may have a `conv_1`, too."""

    def rename(layer: keras.Layer) -> keras.Layer:
        return layer.__class__.from_config({**layer.get_config(), "name": f"head_{layer.name}"})

    copy = keras.models.clone_model(model, clone_function=rename)
    copy.set_weights(model.get_weights())
    return copy


def multiply(rows: keras.KerasTensor, matrix: NDArray[np.float32], name: str) -> keras.KerasTensor:
    """Return rows @ matrix, by a layer that is not trained."""
    layer = keras.layers.Dense(matrix.shape[1], use_bias=False, trainable=False, name=name)
    product: keras.KerasTensor = layer(rows)
    layer.set_weights([matrix])
    return product
