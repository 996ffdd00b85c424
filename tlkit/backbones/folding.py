"""Make an equivalent but faster network for inference: fold batch norm into convolutions, and make grouped convolutions
depthwise.

In inference, batch norm is one scale and one shift per channel. If it follows a convolution whose output nothing else
reads, both are merged into the convolution's weights; otherwise they become a layer of two weights. The output is the
same except for rounding (about 1e-5). Training merged weights would differ, as learning rates and decay act
differently; see `tlkit.backbones.fused`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from tlkit.backbones.cutting import Step, record_steps

FOLDABLE = (keras.layers.Conv2D, keras.layers.DepthwiseConv2D, keras.layers.SeparableConv2D, keras.layers.Dense)

Affine = tuple[NDArray[np.float64], NDArray[np.float64]]
"""A scale and a shift per channel."""


class ScaleAndShift(keras.layers.Layer):  # type: ignore[misc]
    """x * scale + shift per channel: batch norm in inference."""

    def build(self, input_shape: Sequence[int | None]) -> None:
        """Make the two weights."""
        self.scale = self.add_weight(name="scale", shape=(input_shape[-1],), initializer="ones")
        self.shift = self.add_weight(name="shift", shape=(input_shape[-1],), initializer="zeros")

    def call(self, features: Any) -> Any:
        """Return features (..., channels) scaled and shifted."""
        return features * keras.ops.cast(self.scale, features.dtype) + keras.ops.cast(self.shift, features.dtype)


@dataclass(frozen=True)
class FoldedLayer:
    """A layer of a folded network, and its source.

    Attributes:
        layer: The new layer, with its own weights.
        source: The layer that it replaces.
        norm: The batch norm after `source` that is folded in, if any.
    """

    layer: keras.Layer
    source: keras.Layer
    norm: keras.layers.BatchNormalization | None


def fold_batch_norm(model: keras.Model, *, dtype: str = "float32") -> keras.Model:
    """Return a faster network that computes the same as `model` in inference, with its own weights.

    Models nested in it are copied as they are.

    Args:
        model: A functional model, such as a backbone, its trunk or its tail; it is not changed.
        dtype: dtype policy of the new layers: float32, or mixed_bfloat16 with float32 weights.

    Returns:
        A model with the same input and output, without BatchNormalization.
    """
    replay, steps = record_steps(model)
    joined = find_joined(replay, steps)
    norms_of = {id(convolution): norm for norm, convolution in joined}
    passed_through = {id(norm) for norm, _ in joined}
    layers: list[FoldedLayer] = []

    def copy(layer: Any) -> Any:
        if id(layer) in passed_through or not isinstance(layer, keras.layers.Layer):
            return layer
        new = _copy_layer(layer, takes_norm=id(layer) in norms_of, dtype=dtype)
        layers.append(FoldedLayer(new, layer, norms_of.get(id(layer))))
        return new

    def call(layer: Any, *arguments: Any, **keywords: Any) -> Any:
        if id(layer) in passed_through:
            return arguments[0]
        # A batch norm's call says `mask=None`.
        return layer(arguments[0]) if isinstance(layer, ScaleAndShift) else layer(*arguments, **keywords)

    folded = keras.models.clone_model(replay, clone_function=copy, call_function=call)
    for each in layers:
        _set_weights(each)
    return folded


def find_joined(model: keras.Model, steps: Sequence[Step]) -> list[tuple[keras.Layer, keras.Layer]]:
    """Return each batch norm that can be folded, with its layer."""
    maker = {id(step.output): step.operation for step in steps if isinstance(step.output, keras.KerasTensor)}
    num_calls = Counter(id(step.operation) for step in steps)
    num_readers = Counter(id(tensor) for step in steps for tensor in step.inputs)
    num_readers.update(id(tensor) for tensor in keras.tree.flatten(model.output))
    joined = []
    for step in steps:
        norm = step.operation
        if not _is_channel_norm(norm):
            continue
        before = maker.get(id(step.inputs[0]))
        if (
            isinstance(before, FOLDABLE)
            and before.activation is keras.activations.linear
            and num_calls[id(before)] == num_calls[id(norm)] == num_readers[id(step.inputs[0])] == 1
        ):
            joined.append((norm, before))
    return joined


def _is_channel_norm(layer: Any) -> bool:
    """Return whether a layer is batch norm over the last axis."""
    return isinstance(layer, keras.layers.BatchNormalization) and layer.axis in (-1, layer.input_spec.ndim - 1)


def _copy_layer(layer: keras.Layer, *, takes_norm: bool, dtype: str) -> keras.Layer:
    """Return a new layer, not yet with weights, to replace the old one."""
    if isinstance(layer, keras.Model):
        return keras.models.clone_model(layer, clone_function=partial(_copy_layer, takes_norm=False, dtype=dtype))
    if _is_channel_norm(layer):
        return ScaleAndShift(name=layer.name, dtype=dtype)
    zeros = {key: "zeros" for key in layer.get_config() if key.endswith("_initializer")}  # random numbers take time
    config = {**layer.get_config(), **zeros, "dtype": dtype}
    if takes_norm:
        config["use_bias"] = True
    if has_a_group_for_each_channel(layer):
        kept = ("name", "dtype", "kernel_size", "strides", "padding", "dilation_rate", "activation", "use_bias")
        multiplier = layer.filters // layer.groups
        return keras.layers.DepthwiseConv2D(**{key: config[key] for key in kept}, depth_multiplier=multiplier)
    return layer.__class__.from_config(config)


def has_a_group_for_each_channel(layer: keras.Layer) -> bool:
    """Return whether a grouped convolution is depthwise; DepthwiseConv2D is several times faster."""
    return type(layer) is keras.layers.Conv2D and layer.groups > 1 and layer.kernel.shape[2] == 1


def _set_weights(folded: FoldedLayer) -> None:
    """Set the weights of a new layer from its source and the folded batch norm."""
    new, old = folded.layer, folded.source
    if isinstance(new, ScaleAndShift):
        new.set_weights(_affine(old))
        return
    if folded.norm is None and not _is_regrouped(folded):
        _copy_state(old, new)
        if isinstance(new, keras.layers.Normalization):
            new.finalize_state()
        return
    arrays = [np.asarray(weight) for weight in old.weights]
    if folded.norm is not None:
        arrays = _join(old, arrays, folded.norm)
    if _is_regrouped(folded):
        height, width, _, num_outputs = arrays[0].shape  # a group's outputs stand together, as a channel's do
        arrays[0] = arrays[0].reshape(height, width, old.groups, num_outputs // old.groups)
    new.set_weights(arrays)


def _copy_state(source: keras.Layer, target: keras.Layer) -> None:
    """Copy weights and random generator states (of Dropout) from a layer of the same kind."""
    for ours, theirs in zip(target.variables, source.variables, strict=True):
        ours.assign(theirs)


def _is_regrouped(folded: FoldedLayer) -> bool:
    """Return whether a grouped convolution has become a depthwise one."""
    depthwise = keras.layers.DepthwiseConv2D
    return isinstance(folded.layer, depthwise) and not isinstance(folded.source, depthwise)


def _affine(norm: keras.Layer) -> Affine:
    """Return batch norm in inference as a scale and a shift."""
    mean, variance = (np.asarray(weight, np.float64) for weight in (norm.moving_mean, norm.moving_variance))
    scale = 1 / np.sqrt(variance + norm.epsilon)
    if norm.scale:
        scale *= np.asarray(norm.gamma, np.float64)
    shift = -mean * scale
    if norm.center:
        shift += np.asarray(norm.beta, np.float64)
    return scale, shift


def _join(layer: keras.Layer, arrays: Sequence[NDArray[Any]], norm: keras.Layer) -> list[NDArray[Any]]:
    """Return a convolution's arrays with a scaled kernel and the shift in the bias."""
    scale, shift = _affine(norm)
    *kernels, bias = [*arrays] if layer.use_bias else [*arrays, np.zeros_like(shift)]
    is_depthwise = isinstance(layer, keras.layers.DepthwiseConv2D)
    # A depthwise kernel is (height, width, channels, multiplier); the others end with the output channels.
    factor = scale.reshape(kernels[-1].shape[2:]) if is_depthwise else scale
    kernels[-1] = (kernels[-1] * factor).astype(np.float32)
    return [*kernels, (bias * scale + shift).astype(np.float32)]
