"""Layers whose output for an image depends on the whole batch, where several devices divide it."""

from __future__ import annotations

import math
from typing import Any

import keras
import tensorflow as tf
from keras import ops

from tlkit.training.shares import assign_here, find_share


class SharedNorm(keras.layers.Layer):  # type: ignore[misc]  # Keras has no types
    """Batch norm by the mean and variance of the whole batch, on the weights of a layer of Keras.

    Args:
        norm: Batch norm over the channels, which come last.
    """

    def __init__(self, norm: keras.layers.BatchNormalization) -> None:
        super().__init__(name=norm.name, dtype=norm.dtype_policy, autocast=False)
        self.norm = norm
        self.built = True

    def call(self, maps: Any, training: bool = False, mask: Any = None) -> Any:
        """Return the normalised maps, float (n, ..., channels)."""
        norm, share = self.norm, find_share()
        if share is None or not (training and norm.trainable):
            return norm(maps, training=training)
        values = ops.cast(maps, "float32")
        axes = list(range(len(values.shape) - 1))
        count = tf.cast(share.num_images * math.prod(values.shape[1:-1]), tf.float32)
        (total,) = share.add([share.counts * tf.reduce_sum(values, axes)])
        mean = total / count
        deviations = tf.math.squared_difference(values, tf.stop_gradient(mean))
        (total,) = share.add([share.counts * tf.reduce_sum(deviations, axes)])
        variance = total / count
        for moving, found in ((norm.moving_mean, mean), (norm.moving_variance, variance)):
            assign_here(moving, moving * norm.momentum + found * (1.0 - norm.momentum))
        scale, shift = norm.gamma if norm.scale else None, norm.beta if norm.center else None
        normed = ops.batch_normalization(
            values, mean, variance, axis=-1, offset=shift, scale=scale, epsilon=norm.epsilon
        )
        return ops.cast(normed, self.compute_dtype)


class SharedDropout(keras.layers.Layer):  # type: ignore[misc]
    """Dropout with the share's rows of the mask that Keras draws for the whole batch."""

    def __init__(self, dropout: keras.layers.Dropout) -> None:
        super().__init__(name=dropout.name, dtype=dropout.dtype_policy)
        self.dropout = dropout
        self.shape = _find_mask_shape(dropout)

    def call(self, inputs: Any, training: bool = False) -> Any:
        """Return the kept units, scaled."""
        share, generator = find_share(), self.dropout.seed_generator
        if share is None or not training:
            return self.dropout(inputs, training=training)
        with keras.StatelessScope() as scope:
            mask = keras.random.dropout(ops.ones((share.num_images, *self.shape)), self.dropout.rate, seed=generator)
        assign_here(generator.state, scope.get_current_value(generator.state))
        return inputs * ops.cast(share.take(mask), inputs.dtype)


def _find_mask_shape(dropout: keras.layers.Dropout) -> tuple[int, ...]:
    """Return the shape of an image's mask: 1 along axes whose units are kept or dropped together."""
    shape = tuple(dropout.input.shape[1:])
    if isinstance(dropout, keras.layers.SpatialDropout2D):
        return (1, 1, shape[-1])
    given = dropout.noise_shape[1:] if dropout.noise_shape else (None,) * len(shape)
    return tuple(size if fixed is None else fixed for size, fixed in zip(shape, given, strict=True))


def share_layers(model: keras.Model | None) -> keras.Model | None:
    """Return a model with the same layers and weights, of which a device can compute its share of a batch.

    Args:
        model: A functional model whose layers have their `trainable` set.
    """
    if model is None:
        return None
    shared = {layer.name: kind(layer) for layer in model.layers if (kind := _choose_shared(layer))}
    if not shared:
        return model
    return keras.models.clone_model(model, clone_function=lambda layer: shared.get(layer.name, layer))


def _choose_shared(layer: Any) -> type[SharedNorm | SharedDropout] | None:
    if isinstance(layer, keras.layers.BatchNormalization) and layer.trainable:
        return SharedNorm
    return SharedDropout if isinstance(layer, keras.layers.Dropout) and layer.rate else None
