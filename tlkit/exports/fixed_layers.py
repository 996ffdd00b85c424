"""Layers of an export that are copied or made for it, and not trained."""

from __future__ import annotations

import keras
import numpy as np
from numpy.typing import NDArray

from tlkit.backbones.catalogue import TOP
from tlkit.backbones.weights import stable_names
from tlkit.heads import build_on_maps
from tlkit.models.classifier import Classifier


def copy_layers(model: keras.Model) -> keras.Model:
    """Return a head with copies of its layers under names of their own: a backbone may have a `conv_1`, too."""

    def rename(layer: keras.Layer) -> keras.Layer:
        return layer.__class__.from_config({**layer.get_config(), "name": f"head_{layer.name}"})

    copy = keras.models.clone_model(model, clone_function=rename)
    copy.set_weights(model.get_weights())
    return copy


def copy_head_on_maps(classifier: Classifier) -> keras.Model:
    """Return a head that answers at places, on maps of their own, with copies of its layers.

    Args:
        classifier: A model with a head that finds objects or masks, whose feature is all maps in one vector.

    Returns:
        A model from the maps, float (n, height, width, channels), the finest first, to the logits.
    """
    layout = classifier.backbone.map_layout(TOP)
    assert layout is not None, "a head that answers at places sees several maps"
    maps, spec = [keras.Input(shape) for shape in layout.shapes], classifier.spec
    answer = build_on_maps(
        spec.head.kind, maps, num_answers=spec.outputs.num_answers, units=spec.head.units, dropout=spec.head.dropout
    )
    plain, trained = keras.Model(maps, answer), stable_names(classifier.head)
    for name, variable in stable_names(plain).items():
        variable.assign(trained[name])
    return copy_layers(plain)


def multiply(rows: keras.KerasTensor, matrix: NDArray[np.float32], name: str) -> keras.KerasTensor:
    """Return rows @ matrix, by a layer that is not trained."""
    layer = keras.layers.Dense(matrix.shape[1], use_bias=False, trainable=False, name=name)
    product: keras.KerasTensor = layer(rows)
    layer.set_weights([matrix])
    return product
