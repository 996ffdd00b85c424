"""A trained head in numpy: what speaks for its answers, place by place, without Keras and its seconds of start-up.

The maps are those of the method `auto` of `tlkit.explain.methods.explain_features`: exact where the head scores places or
is affine, and Grad-CAM with a dense head, whose gradient is written out here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tlkit.head_bodies import STANDARDISE, WHITEN
from tlkit.metrics.whitenings import NONE, WITH_MATRIX
from tlkit.models.spec import BundleSpec
from tlkit.untrusted import quote, refusal

EPSILON = 1e-3
"""Of Keras' batch normalisation."""
KERNEL = 3
_FIRST_NORMS = {"linear": STANDARDISE, "dense": "norm_0", "fisheries": "norm_0", "conv": "norm_0"}
"""The first batch norm of each head that has one."""
_WITH_NORMS = ("dense", "fisheries", "conv")
"""Heads with a batch norm after each of their two layers."""
_WITH_DENSE_LAYERS = ("dense", "fisheries", "vgg")
Weights = Mapping[str, NDArray[np.float32]]
Maps = NDArray[np.float32]
Targets = NDArray[np.int64]


class NumpyHead:
    """A head that explains its answers.

    Args:
        spec: The model's.
        weights: The head's by name, as `tlkit.models.storage.read_head_weights` gives them.
    """

    def __init__(self, spec: BundleSpec, weights: Weights) -> None:
        self._weights = weights
        self._num_answers = spec.outputs.num_answers
        self._units = spec.head.units
        self._num_metadata = spec.metadata.width
        self._has_box = spec.has_box
        self._kind = spec.head.kind
        self._num_merged = spec.metadata.width if spec.head.record.merges_metadata else 0
        self._whiten = spec.head.whiten
        explain: dict[str, Callable[[Maps, Targets], Maps]] = {
            "linear": self._explain_linear,
            "flat": self._explain_flat,
            "conv": self._explain_conv,
            **dict.fromkeys(_WITH_DENSE_LAYERS, self._explain_dense),
        }
        self._explain = explain[self._kind]

    def explain(self, features: NDArray[np.floating[Any]], targets: Targets) -> Maps:
        """Return the evidence for one answer of each image.

        Args:
            features: The backbone's last maps, float (n, h, w, channels).
            targets: The class or label, 0 for a value: int64 (n,), 0..num_answers - 1.

        Returns:
            float32 (n, h, w), as `explain_features` gives it with the method `auto`.

        Raises:
            BundleError: The weights do not belong to such a head on such maps.
        """
        self._check(features.shape[1:])
        return self._explain(features.astype(np.float32), targets)

    def explain_box(self, features: NDArray[np.floating[Any]], boxes: NDArray[np.float32]) -> Maps:
        """Return how much each place matters for the box of each image, by Grad-CAM.

        Args:
            features: As for `explain`.
            boxes: The boxes that the model predicts, cx, cy, w, h, float32 (n, 4), 0..1.

        Returns:
            float32 (n, h, w), at least 0: the length of the maps of the four coordinates.

        Raises:
            BundleError: As `explain`.
        """
        self._check(features.shape[1:])
        features = features.astype(np.float32)
        kernel = self._weights["box/kernel"]
        kernel = kernel[: len(kernel) - self._num_metadata]
        slopes = boxes * (1 - boxes)  # of the sigmoid
        squares = [
            self._compute_cam(features, slopes[:, [place]] * kernel[:, place]) ** 2 for place in range(boxes.shape[1])
        ]
        maps: Maps = np.sqrt(np.sum(squares, axis=0))
        return maps

    def _check(self, feature_shape: tuple[int, ...]) -> None:
        height, width, channels = feature_shape
        units, answers = self._units, self._num_answers
        num_inputs = height * width * channels if self._kind == "vgg" else height // 2 * (width // 2) * channels
        shapes: dict[str, dict[str, tuple[int, ...]]] = {
            "linear": {"logits/kernel": (channels, answers)},
            "flat": {"logits/kernel": (height * width * channels, answers)},
            "conv": {
                "conv_1/kernel": (KERNEL, KERNEL, channels, units),
                "conv_2/kernel": (KERNEL, KERNEL, units, units),
                "score_map/kernel": (KERNEL, KERNEL, units, answers),
                "score_map/bias": (answers,),
            },
        }
        of_dense = {
            "dense_1/kernel": (num_inputs, units),
            "dense_2/kernel": (units, units),
            "logits/kernel": (units + self._num_merged, answers),
        }
        expected = shapes.get(self._kind, of_dense) | self._input_shapes(
            height * width * channels if self._kind == "flat" else channels
        )
        if self._kind not in ("linear", "flat"):
            for number in (1, 2):
                layer = "conv" if self._kind == "conv" else "dense"
                norm = _norm_shapes(f"norm_{number}", units)[0] if self._kind in _WITH_NORMS else {}
                expected |= {**norm, f"{layer}_{number}/bias": (units,)}
        if self._kind in ("linear", "flat"):
            expected["logits/bias"] = (answers,)
        if self._has_box:
            expected["box/kernel"] = (expected["logits/kernel"][0] - self._num_merged + self._num_metadata, 4)
        for name, shape in expected.items():
            found = self._weights[name].shape if name in self._weights else None
            if found != shape:
                raise refusal(
                    f"the weight {quote(name)} of the head has the shape {found}.",
                    expected=f"{shape}, as a {self._kind} head on this backbone has",
                )

    def _input_shapes(self, width: int) -> dict[str, tuple[int, ...]]:
        """Return the shapes of the weights before the first layer that is trained."""
        if self._whiten == NONE:
            name = _FIRST_NORMS.get(self._kind)
            return {} if name is None else _norm_shapes(name, width)[1 if name == STANDARDISE else 0]
        matrix = {f"{WHITEN}/kernel": (width, width)} if self._whiten in WITH_MATRIX else {}
        return {**_norm_shapes(STANDARDISE, width)[1], **matrix}

    def _prepare(self, rows: Maps) -> Maps:
        """Return the inputs of the first layer that is trained, (..., channels)."""
        scale, shift = self._norm(self._first_norm)
        rows = rows * scale + shift
        return rows @ self._weights[f"{WHITEN}/kernel"] if self._whiten in WITH_MATRIX else rows

    def _pull_back_prepared(self, gradient: Maps) -> Maps:
        """Return a gradient by the inputs of `_prepare`, given that by its outputs, (..., channels)."""
        if self._whiten in WITH_MATRIX:
            gradient = gradient @ self._weights[f"{WHITEN}/kernel"].T
        return gradient * self._norm(self._first_norm)[0]

    @property
    def _first_norm(self) -> str:
        return STANDARDISE if self._whiten != NONE else _FIRST_NORMS.get(self._kind, "")

    def _join_affine(self, width: int) -> tuple[Maps, Maps]:
        """Return an affine head as one layer: kernel, float32 (width, num_answers), and bias, (num_answers,)."""
        kernel, bias = self._weights["logits/kernel"], self._weights["logits/bias"]
        if not self._first_norm:
            return kernel, bias
        joined: Maps = self._pull_back_prepared(np.ascontiguousarray(kernel.T)).T
        return joined, bias + self._prepare(np.zeros(width, np.float32)) @ kernel

    def _explain_linear(self, features: Maps, targets: Targets) -> Maps:
        kernel, constants = self._join_affine(features.shape[3])
        maps: Maps = np.einsum("nhwc,cn->nhw", features, kernel[:, targets], optimize=True)
        return maps + constants[targets][:, np.newaxis, np.newaxis]

    def _explain_flat(self, features: Maps, targets: Targets) -> Maps:
        height, width, channels = features.shape[1:]
        kernel, bias = self._join_affine(height * width * channels)
        kernel = kernel.reshape(height, width, channels, -1)
        maps: Maps = np.einsum("nhwc,hwcn->nhw", features, kernel[..., targets], optimize=True)
        constants = bias[targets]
        return maps * np.float32(height * width) + constants[:, np.newaxis, np.newaxis]

    def _explain_conv(self, features: Maps, targets: Targets) -> Maps:
        x = self._prepare(features)
        for number in (1, 2):
            x = np.maximum(
                _convolve(x, self._weights[f"conv_{number}/kernel"], self._weights[f"conv_{number}/bias"]), 0
            )
            scale, shift = self._norm(f"norm_{number}")
            x = x * scale + shift
        scores = _convolve(x, self._weights["score_map/kernel"], self._weights["score_map/bias"])
        return scores[np.arange(len(scores)), :, :, targets]

    def _explain_dense(self, features: Maps, targets: Targets) -> Maps:
        return self._compute_cam(features, self._weights["logits/kernel"][: self._units, targets].T)

    def _compute_cam(self, features: Maps, gradient: Maps) -> Maps:
        """Return Grad-CAM: the weight of a channel is the sum of its gradient.

        Args:
            features: float32 (n, h, w, channels).
            gradient: Of what is explained, by the inputs of the last layer: float32 (n, inputs).
        """
        channels = features.shape[3]
        if self._kind in _WITH_DENSE_LAYERS:
            gradient = self._pull_back(features, gradient)
        elif self._whiten != NONE:
            gradient = self._pull_back_prepared(gradient)
        weights = gradient.reshape(len(features), -1, channels).sum(axis=1)
        maps: Maps = np.einsum("nhwc,nc->nhw", features, weights, optimize=True)
        return maps

    def _pull_back(self, features: Maps, gradient: Maps) -> Maps:
        """Return the gradient by what is flattened, float32 (n, places * channels): the largest values of the windows of
        the pooling, or with VGG's layers the map itself.
        """
        num, height, width, channels = features.shape
        if self._kind != "vgg":
            rows, columns = height // 2, width // 2
            windows = features[:, : 2 * rows, : 2 * columns].reshape(num, rows, 2, columns, 2, channels)
            features = windows.max(axis=(2, 4))
        x = self._prepare(features).reshape(num, -1)
        slopes = []
        for number in (1, 2):
            x = np.maximum(x @ self._weights[f"dense_{number}/kernel"] + self._weights[f"dense_{number}/bias"], 0)
            scale, shift = self._norm(f"norm_{number}" if self._kind in _WITH_NORMS else "")
            slopes.append((x > 0) * scale)
            x = x * scale + shift
        for number in (2, 1):
            gradient = (gradient * slopes[number - 1]) @ self._weights[f"dense_{number}/kernel"].T
        return self._pull_back_prepared(gradient.reshape(num, -1, channels)).reshape(num, -1)

    def _norm(self, name: str) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return a batch normalisation in inference mode as factor and summand of each channel; without a name, none."""
        if not name:
            return np.ones(1, np.float32), np.zeros(1, np.float32)
        scale = 1 / np.sqrt(self._weights[f"{name}/moving_variance"] + np.float32(EPSILON))
        scale = scale * self._weights.get(f"{name}/gamma", np.float32(1))
        return scale, self._weights.get(f"{name}/beta", np.float32(0)) - self._weights[f"{name}/moving_mean"] * scale


def _norm_shapes(name: str, channels: int) -> tuple[dict[str, tuple[int, ...]], dict[str, tuple[int, ...]]]:
    """Return the shapes of a batch normalisation's weights, with and without gamma and beta."""
    plain: dict[str, tuple[int, ...]] = {f"{name}/{part}": (channels,) for part in ("moving_mean", "moving_variance")}
    return {**plain, **{f"{name}/{part}": (channels,) for part in ("gamma", "beta")}}, plain


def _convolve(features: Maps, kernel: NDArray[np.float32], bias: NDArray[np.float32]) -> Maps:
    """Return a 3 × 3 convolution with zeros around the map, float32 (n, h, w, filters).

    One product of matrices gives what each place adds to each of its nine neighbours, which is then summed.
    """
    reach = KERNEL // 2
    num, height, width, channels = features.shape
    filters = len(bias)
    together = kernel.transpose(2, 0, 1, 3).reshape(channels, -1)
    parts = (features.reshape(-1, channels) @ together).reshape(num, height, width, KERNEL, KERNEL, filters)
    found = np.zeros((num, height + 2 * reach, width + 2 * reach, filters), np.float32)
    for down in range(KERNEL):
        for across in range(KERNEL):
            top, left = KERNEL - 1 - down, KERNEL - 1 - across
            found[:, top : top + height, left : left + width] += parts[:, :, :, down, across]
    return found[:, reach : reach + height, reach : reach + width] + bias
