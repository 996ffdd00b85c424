"""What a picture is to achieve, as a loss of what a network makes of it, in `keras.ops`.

Each function takes feature maps, (n, h, w, channels), or answers, (n, outputs), and returns a loss for each picture, (n,).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from keras import ops
from numpy.typing import NDArray


def oppose_output(answers: Any, output: int) -> Any:
    """Return what falls as one output rises above the mean of all: alone, all could rise together."""
    others = ops.mean(answers, axis=1) if answers.shape[1] > 1 else 0.0
    return others - answers[:, output]


def oppose_channel(features: Any, channel: int) -> Any:
    """Return what falls as the mean of a channel rises."""
    return -ops.mean(features[..., channel], axis=(1, 2))


def oppose_all(features: Any) -> Any:
    """Return what falls as everything that the map holds becomes stronger: half the mean square, negative.

    Its gradient by the map is the map itself, but for a factor: DeepDream (Mordvintsev et al., 2015).
    """
    return -0.5 * ops.mean(ops.square(features), axis=(1, 2, 3))


def compare_features(features: Any, target: NDArray[np.float32]) -> Any:
    """Return the squared distance of maps from those of another picture, (1, h, w, channels), as a share of their power."""
    power = max(float(np.mean(np.square(target))), np.finfo(np.float32).tiny)
    return ops.mean(ops.square(ops.subtract(features, target)), axis=(1, 2, 3)) / power


def compute_gram(features: Any) -> Any:
    """Return how often channels go together, whatever the place: (n, channels, channels), means of products.

    Gatys et al., 2015, https://arxiv.org/abs/1505.07376.
    """
    _, height, width, channels = features.shape
    flat = ops.reshape(features, (-1, height * width, channels))
    return ops.matmul(ops.transpose(flat, (0, 2, 1)), flat) / (height * width)


def compare_grams(maps: Sequence[Any], targets: Sequence[NDArray[np.float32]]) -> Any:
    """Return the mean over the maps of the squared distance of Gram matrices, as a share of the target's power.

    The share makes the maps of any network count alike; Gatys et al. weigh those of VGG19 by their sizes.
    """
    total = 0.0
    for features, target in zip(maps, targets, strict=True):
        power = max(float(np.mean(np.square(target))), np.finfo(np.float32).tiny)
        total += ops.mean(ops.square(ops.subtract(compute_gram(features), target)), axis=(1, 2)) / power
    return total / len(targets)
