"""Gradients of a function of pictures, on whichever backend Keras runs.

This is the only place that names a backend: what is differentiated is written with `keras.ops`, and what is done with a
gradient with numpy.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

Losses = Callable[..., Any]
"""Takes pictures, a float32 tensor (n, height, width, 3), and other tensors; returns a loss for each, (n,)."""
Gradient = Callable[..., tuple[NDArray[np.float32], NDArray[np.float32]]]
"""Takes the same as arrays; returns the losses, (n,), and the gradient of each by its picture, like the pictures."""


def compile_gradient(losses: Losses) -> Gradient:
    """Return what computes a function of pictures together with its gradient.

    Args:
        losses: Written with `keras.ops`. The loss of a picture must not depend on the other pictures. It is traced once
            for each shape of its arguments.
    """
    compiled = _COMPILERS[keras.backend.backend()](losses)

    def compute(pictures: NDArray[np.floating[Any]], *others: Any) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        values, gradients = compiled(np.asarray(pictures, np.float32), *others)
        return (
            np.array(keras.ops.convert_to_numpy(values), np.float32),
            np.array(keras.ops.convert_to_numpy(gradients), np.float32),
        )

    return compute


def _compile_for_tensorflow(losses: Losses) -> Callable[..., tuple[Any, Any]]:
    import tensorflow as tf

    @tf.function(reduce_retracing=True)  # type: ignore[untyped-decorator]
    def compute(pictures: Any, *others: Any) -> tuple[Any, Any]:
        with tf.GradientTape() as tape:
            tape.watch(pictures)
            values = losses(pictures, *others)
        return values, tape.gradient(values, pictures)

    return lambda *arrays: compute(*map(tf.convert_to_tensor, arrays))


def _compile_for_torch(losses: Losses) -> Callable[..., tuple[Any, Any]]:
    import torch

    def compute(*arrays: Any) -> tuple[Any, Any]:
        pictures, *others = map(keras.ops.convert_to_tensor, arrays)
        pictures = pictures.detach().requires_grad_(True)
        values = losses(pictures, *others)
        (gradients,) = torch.autograd.grad(values.sum(), pictures)
        return values.detach(), gradients

    return compute


def _compile_for_jax(losses: Losses) -> Callable[..., tuple[Any, Any]]:
    import jax

    def compute(pictures: Any, *others: Any) -> tuple[Any, Any]:
        values, pull_back = jax.vjp(lambda given: losses(given, *others), pictures)
        return values, pull_back(jax.numpy.ones_like(values))[0]

    compiled: Callable[..., tuple[Any, Any]] = jax.jit(compute)
    return compiled


_COMPILERS = {"tensorflow": _compile_for_tensorflow, "torch": _compile_for_torch, "jax": _compile_for_jax}
