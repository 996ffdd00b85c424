"""Maps of evidence computed through the whole network, from the pixels: slower, finer, and often noisier.

Each function takes an explainer, pictures uint8 (n, height, width, 3), RGB, 0..255, the output that is explained for each
picture, int64 (n,), or the outputs whose mean is, (n, k), and metadata or None, and returns float32 (n, rows, columns).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from tlkit.data.geometry import NEUTRAL_GREY
from tlkit.errors import SettingError
from tlkit.explain.explainer import Explainer
from tlkit.explain.faithfulness import blur_picture
from tlkit.explain.perturbations import Scorer, compute_occlusion, compute_rise, make_canvas

Pictures = NDArray[np.uint8]
Targets = NDArray[np.int64]
Metadata = NDArray[np.float32] | None
Gradient = Callable[[NDArray[np.float32]], NDArray[np.float32]]

NUM_PATH_STEPS = 32
NUM_NOISY_COPIES = 16
NOISE_SHARE = 0.1
PICTURES_AT_ONCE = 8
MAX_OCCLUSION_GRID = 14
RELU = (keras.activations.relu, keras.activations.relu6)


def compute_saliency(
    explainer: Explainer, pictures: Pictures, targets: Targets, metadata: Metadata = None
) -> NDArray[np.float32]:
    """Return the size of the gradient at each pixel: how much a small change there would matter, unsigned.

    Simonyan et al., 2013, https://arxiv.org/abs/1312.6034.
    """
    gradients = _map_pictures(explainer, pictures, targets, metadata, lambda picture, gradient: gradient(picture)[0])
    return _largest_channel(gradients)


def compute_smoothgrad(
    explainer: Explainer, pictures: Pictures, targets: Targets, metadata: Metadata = None
) -> NDArray[np.float32]:
    """Return the size of the mean gradient of 16 copies with noise of a tenth of the range, unsigned.

    Smilkov et al., 2017, https://arxiv.org/abs/1706.03825.
    """
    rng = np.random.default_rng(0)

    def average(picture: NDArray[np.float32], gradient: Gradient) -> NDArray[np.float32]:
        noise = rng.normal(0, NOISE_SHARE * 255, (NUM_NOISY_COPIES, *picture.shape[1:]))
        mean: NDArray[np.float32] = gradient((picture + noise).astype(np.float32)).mean(axis=0)
        return mean

    return _largest_channel(_map_pictures(explainer, pictures, targets, metadata, average))


def compute_integrated_gradients(
    explainer: Explainer, pictures: Pictures, targets: Targets, metadata: Metadata = None
) -> NDArray[np.float32]:
    """Return what each pixel adds on the way from a grey picture; the mean is the change of the output, but for rounding.

    Sundararajan et al., 2017, https://arxiv.org/abs/1703.01365, in 32 steps.
    """
    shares = ((np.arange(NUM_PATH_STEPS) + 0.5) / NUM_PATH_STEPS).reshape(-1, 1, 1, 1)

    def integrate(picture: NDArray[np.float32], gradient: Gradient) -> NDArray[np.float32]:
        change = picture - np.array(NEUTRAL_GREY, np.float32)
        on_the_way = np.array(NEUTRAL_GREY) + shares * change
        added: NDArray[np.float32] = change[0] * gradient(on_the_way.astype(np.float32)).mean(axis=0)
        return added

    parts = _map_pictures(explainer, pictures, targets, metadata, integrate)
    sums: NDArray[np.float32] = parts.sum(axis=-1) * np.float32(parts.shape[1] * parts.shape[2])
    return sums


def compute_guided_backprop(
    explainer: Explainer, pictures: Pictures, targets: Targets, metadata: Metadata = None
) -> NDArray[np.float32]:
    """Return the size of the gradient that keeps only what is positive at each ReLU, unsigned.

    Springenberg et al., 2014, https://arxiv.org/abs/1412.6806. It shows edges, whatever the class: see docs/explain.md.

    Raises:
        SettingError: The network has no ReLU.
    """
    guided = _open_guided(explainer)
    if not any(isinstance(layer, PositiveGradient) for layer in guided.trunk.layers):
        raise SettingError(
            f"guided-backprop needs ReLU, which {explainer.classifier.spec.backbone} does not have.",
            expected="a backbone with ReLU, such as vgg16, resnet50 or mobilenet_v2",
            fix="--method smoothgrad",
        )
    return compute_saliency(guided, pictures, targets, metadata)


def compute_pixel_occlusion(
    explainer: Explainer, pictures: Pictures, targets: Targets, metadata: Metadata = None
) -> NDArray[np.float32]:
    """Return how far the output falls where a patch of the picture is blurred; 3 × 3 cells of at most 14 × 14."""
    fill = np.stack([blur_picture(picture) for picture in pictures])
    canvas = make_canvas(explainer.classifier.spec.image_size)
    return compute_occlusion(pictures, fill, make_picture_scorer(explainer, targets, metadata), canvas)


def compute_pixel_rise(
    explainer: Explainer, pictures: Pictures, targets: Targets, metadata: Metadata = None
) -> NDArray[np.float32]:
    """Return RISE: the output with and without each place, under 400 random masks that blur the picture."""
    fill = np.stack([blur_picture(picture) for picture in pictures])
    canvas = make_canvas(explainer.classifier.spec.image_size)
    return compute_rise(pictures, fill, make_picture_scorer(explainer, targets, metadata), canvas)


@lru_cache(maxsize=1)
def _open_guided(explainer: Explainer) -> Explainer:
    """Return the same model with guided gradients, which is traced once for all photos of a command."""
    return Explainer(explainer.classifier, explainer.boundary, change=guide_gradients)


def make_picture_scorer(explainer: Explainer, targets: Targets, metadata: Metadata = None) -> Scorer:
    """Return what asks the whole network for each picture's output."""
    given = explainer.complete_metadata(metadata, len(targets))

    def score(rows: NDArray[Any], numbers: NDArray[np.int64]) -> NDArray[np.float32]:
        features = explainer.compute_features(rows)
        return explainer.compute_explained(features, targets[numbers], given[numbers])

    return score


class PositiveGradient(keras.layers.Layer):  # type: ignore[misc]
    """Passes everything upwards, and only positive gradients downwards."""

    def call(self, features: Any) -> Any:
        """Return the features."""

        @tf.custom_gradient  # type: ignore[untyped-decorator]
        def guide(values: tf.Tensor) -> tuple[tf.Tensor, Callable[[tf.Tensor], tf.Tensor]]:
            return tf.identity(values), tf.nn.relu

        return guide(features)


def guide_gradients(model: keras.Model) -> keras.Model:
    """Return a model on the same layers in which only positive gradients pass a ReLU."""

    def call(layer: Any, *arguments: Any, **keywords: Any) -> Any:
        output = layer(*arguments, **keywords)
        is_relu = isinstance(layer, keras.layers.ReLU) or getattr(layer, "activation", None) in RELU
        return PositiveGradient()(output) if is_relu else output

    return keras.models.clone_model(model, clone_function=lambda layer: layer, call_function=call)


def _map_pictures(
    explainer: Explainer,
    pictures: Pictures,
    targets: Targets,
    metadata: Metadata,
    work: Callable[[NDArray[np.float32], Gradient], NDArray[np.float32]],
) -> NDArray[np.float32]:
    """Return what `work` makes of each picture, float32 (1, height, width, 3), and the gradient for copies of it."""
    given = explainer.complete_metadata(metadata, len(pictures))
    results = np.empty(pictures.shape, np.float32)
    for number, picture in enumerate(pictures):

        def gradient(copies: NDArray[np.float32], number: int = number) -> NDArray[np.float32]:
            parts = [
                explainer.compute_pixel_gradients(
                    copies[start : start + PICTURES_AT_ONCE], np.atleast_1d(targets[number]), given[number]
                )
                for start in range(0, len(copies), PICTURES_AT_ONCE)
            ]
            return np.concatenate(parts)

        results[number] = work(picture[np.newaxis].astype(np.float32), gradient)
    return results


def _largest_channel(gradients: NDArray[np.float32]) -> NDArray[np.float32]:
    largest: NDArray[np.float32] = np.abs(gradients).max(axis=-1)
    return largest
