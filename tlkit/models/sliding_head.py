"""A trained head that slides over a map larger than it was trained on: its dense layers become convolutions.

A dense layer on a map of h x w places is a convolution whose kernel is h x w: over a larger map it gives what the layer
would give for the map of every window of h x w places, without computing anything twice. The mean of a window is a
convolution, too, with equal weights.

The head `conv` is a convolution already. It scores each place, and an answer is the mean of a window of scores. Here its
3 x 3 layers see the surroundings of a window, where training has put zeros.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from tlkit.backbones.reach import free_size
from tlkit.head_bodies import STANDARDISE, WHITEN
from tlkit.models.classifier import Classifier

_INPUT_LAYERS = ("norm_0", STANDARDISE, WHITEN)
_CONV_LAYERS = ("conv_1", "norm_1", "conv_2", "norm_2", "score_map")


class SlidingHead:
    """The head of a classifier, for maps of any size.

    Args:
        classifier: A model whose backbone has one map, without metadata.

    Attributes:
        trunk: RGB, float (n, height, width, 3), 0..255 -> the maps over which the rest slides, float (n, h, w, channels).
        window: (height, width) of the map of a picture of the model's own size, in places.
    """

    def __init__(self, classifier: Classifier) -> None:
        self.trunk, pooling = classifier.backbone.split_at_map("top")
        self.window: tuple[int, int] = self.trunk.output.shape[1:3]
        self._head = classifier.head
        self._pooling = None if pooling is None else free_size(pooling)
        self._names = {layer.name for layer in self._head.layers}
        self._num_answers = classifier.spec.outputs.num_answers
        slide: dict[str, Callable[[Any], Any]] = {
            "linear": self._slide_linear,
            "dense": self._slide_dense,
            "fisheries": self._slide_dense,
            "vgg": self._slide_vgg,
            "flat": self._slide_flat,
            "conv": self._average,
        }
        self._slide = slide[classifier.spec.head.kind]
        if classifier.spec.head.record.scores_places:
            scores = self._norm_inputs(self.trunk.output)
            for name in _CONV_LAYERS:
                scores = self._head.get_layer(name)(scores)
            self.trunk = keras.Model(self.trunk.input, scores)

    def compute_logits(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the logits of every window of a map of `trunk`.

        Args:
            features: float32 (rows, columns, channels), at least as large as `window`.

        Returns:
            float32 (rows - h + 1, columns - w + 1, num_answers) for windows of h x w places.
        """
        rows, columns = (edge - size + 1 for edge, size in zip(features.shape[:2], self.window, strict=True))
        logits = np.asarray(self._slide(keras.ops.convert_to_tensor(features[np.newaxis])), np.float32)
        return logits.reshape(rows, columns, self._num_answers)

    def _average(self, features: Any) -> Any:
        return keras.ops.average_pool(features, self.window, strides=1, padding="valid")

    def _slide_linear(self, features: Any) -> Any:
        means = self._average(features)
        assert self._pooling is not None, "a linear head has a pooled feature"
        rows = self._pooling(keras.ops.reshape(means, (-1, 1, 1, means.shape[-1])), training=False)
        return self._head({"feature": rows}, training=False)["answer"]

    def _slide_flat(self, features: Any) -> Any:
        kernel, bias = (np.asarray(weight, np.float64) for weight in self._head.get_layer("logits").weights)
        if WHITEN in self._names:
            kernel = np.asarray(self._head.get_layer(WHITEN).kernel, np.float64) @ kernel
        if STANDARDISE in self._names:  # each place has a mean of its own, so they are joined to the kernel
            norm = self._head.get_layer(STANDARDISE)
            mean, variance = (np.asarray(weight, np.float64) for weight in (norm.moving_mean, norm.moving_variance))
            kernel = kernel / np.sqrt(variance + norm.epsilon)[:, np.newaxis]
            bias = bias - mean @ kernel
        return _convolve(features, kernel.astype(np.float32), bias.astype(np.float32), self.window)

    def _slide_dense(self, features: Any) -> Any:
        # The head takes the largest of each second 2 x 2 places. Here it is taken of all of them, and the convolution
        # above takes each second one.
        pooled = keras.ops.max_pool(features, 2, strides=1, padding="valid")
        normed = self._norm_inputs(pooled)
        halved = (self.window[0] // 2, self.window[1] // 2)
        layer = self._head.get_layer("dense_1")
        values = keras.ops.relu(_convolve(normed, layer.kernel, layer.bias, halved, gap=2))
        # With an odd number of places the head leaves out the last ones, and there seems to be room for one window more.
        num_rows, num_columns = (edge - size + 1 for edge, size in zip(features.shape[1:3], self.window, strict=True))
        return self._finish_dense(values[:, :num_rows, :num_columns])

    def _slide_vgg(self, features: Any) -> Any:
        layer = self._head.get_layer("dense_1")
        return self._finish_dense(
            keras.ops.relu(_convolve(self._norm_inputs(features), layer.kernel, layer.bias, self.window))
        )

    def _finish_dense(self, values: Any) -> Any:
        """Return the logits, given what the first dense layer makes of every window."""
        rows = keras.ops.reshape(values, (-1, values.shape[-1]))
        for name in ("norm_1", "dense_2", "norm_2", "logits"):
            if name in self._names:
                rows = self._head.get_layer(name)(rows)
        return rows

    def _norm_inputs(self, maps: Any) -> Any:
        """Return maps as the first layer that multiplies by a kernel takes them; of one place as of another."""
        for name in _INPUT_LAYERS:
            if name in self._names:
                maps = self._head.get_layer(name)(maps, training=False)
        return maps


def _convolve(features: Any, kernel: Any, bias: Any, size: tuple[int, int], *, gap: int = 1) -> Any:
    """Return what a dense layer on flattened maps of a size gives for every window of a larger map."""
    kernel = keras.ops.reshape(kernel, (*size, features.shape[-1], -1))
    return keras.ops.conv(features, kernel, strides=1, padding="valid", dilation_rate=gap) + bias
