"""Compute the layers of a network in another number format than that of its weights."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import keras

PREPROCESSING = (keras.layers.Rescaling, keras.layers.Normalization)
"""Layers that stay in their own format: pixels would be rounded."""


@contextmanager
def computing_in(model: keras.Model, policy: str) -> Iterator[None]:
    """Let the layers of a model compute under a dtype policy, in what is called or traced inside.

    Weights, their gradients and batch norm stay in float32. The model's output has the compute dtype of the policy.

    Args:
        model: A functional model.
        policy: float32, which changes nothing, or mixed_bfloat16.
    """
    layers = [] if policy == "float32" else list(_list_layers(model))
    before = [layer.dtype_policy for layer in layers]
    try:
        for layer in layers:
            layer.dtype_policy = policy
        yield
    finally:
        for layer, own in zip(layers, before, strict=True):
            layer.dtype_policy = own


def _list_layers(model: keras.Model) -> Iterator[Any]:
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from _list_layers(layer)
        elif not isinstance(layer, (*PREPROCESSING, keras.layers.InputLayer)):
            yield layer
