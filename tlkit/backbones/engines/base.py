"""Engines that run the frozen part of a backbone, and checks of their features.

Every engine takes uint8 images and returns float32 features, in batches of fixed size, so that a row depends only on
its image. TensorFlow is only imported to run Keras.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tlkit.errors import NumericsError

if TYPE_CHECKING:
    import keras

    from tlkit.backbones.build import Backbone
    from tlkit.backbones.maps import MapLayout

LARGEST_RELATIVE_DIFFERENCE = 1e-4
LOWEST_MEDIAN_SIMILARITY = 0.998
LOWEST_SIMILARITY = 0.99
LARGEST_FULL_EDGE_PX = 320
"""Images with more pixels than a square of this edge come in smaller batches."""


@dataclass(frozen=True)
class Engine:
    """A frozen trunk, ready to run.

    Attributes:
        name: keras or openvino.
        precision: Precision of its products: float32, bfloat16 or int8.
        batch_size: Batch size.
        num_parallel: Number of batches that can usefully be computed in parallel threads.
        compute: uint8 (batch_size, height, width, 3), RGB, 0..255 -> float32 (batch_size, ...). Safe to call from
            several threads.
        save: Writes the trunk into a folder, for other processes: see `tlkit.backbones.engines.parcels`.
        devices: TensorFlow's names of the devices that it runs on, if there are several.
    """

    name: str
    precision: str
    batch_size: int
    num_parallel: int
    compute: Callable[[NDArray[np.uint8]], NDArray[np.float32]]
    save: Callable[[Path], object] | None = None
    devices: tuple[str, ...] = ()


@dataclass(frozen=True)
class Agreement:
    """How close an engine's features are to those of float32 Keras.

    Attributes:
        median: Median cosine similarity of the pooled features, -1..1.
        lowest: Lowest cosine similarity of the unpooled features, -1..1; rounding affects them more.

    Of a feature with several maps, each image counts with the map that differs most.
    """

    median: float
    lowest: float

    @property
    def is_close(self) -> bool:
        """Whether the features are as good as those of float32 Keras."""
        return self.median >= LOWEST_MEDIAN_SIMILARITY and self.lowest >= LOWEST_SIMILARITY


def make_keras_engine(trunk: keras.Model, *, precision: str, batch_size: int, devices: Sequence[str] = ()) -> Engine:
    """Return the trunk with its batch norm folded, as one TensorFlow graph.

    The first batch traces it, which takes seconds. Weights are copied, so later changes of the trunk have no effect. On
    several devices, each has a copy and computes whole batches, so that a row does not depend on their number.

    Args:
        trunk: RGB, float (n, height, width, 3), 0..255 -> features.
        precision: float32 or bfloat16, which is only fast with hardware support.
        batch_size: Batch size.
        devices: TensorFlow's names of several devices; none for the one that it takes.
    """
    from tlkit.devices import find_practice

    practice = find_practice()
    copies = [_compile_trunk(trunk, precision, batch_size, device) for device in devices or ("",)]
    free: SimpleQueue[_CompiledTrunk] = SimpleQueue()
    for copy in copies * practice.num_parallel:
        free.put(copy)

    def compute(images: NDArray[np.uint8]) -> NDArray[np.float32]:
        copy = free.get()
        try:
            return copy.compute(images)
        finally:
            free.put(copy)

    num_parallel = len(copies) * practice.num_parallel
    return Engine("keras", precision, batch_size, num_parallel, compute, copies[0].save, tuple(devices))


@dataclass(frozen=True, eq=False)
class _CompiledTrunk:
    """A copy of a trunk on one device; the attributes are as in `Engine`."""

    compute: Callable[[NDArray[np.uint8]], NDArray[np.float32]]
    save: Callable[[Path], object]


def _compile_trunk(trunk: keras.Model, precision: str, batch_size: int, device: str) -> _CompiledTrunk:
    """Return a copy of the trunk on a device, or where TensorFlow puts it."""
    import tensorflow as tf

    from tlkit.backbones.folding import fold_batch_norm
    from tlkit.devices import on_device

    with on_device(device):
        folded = fold_batch_norm(trunk, dtype="mixed_bfloat16" if precision == "bfloat16" else "float32")

    @tf.function(input_signature=[tf.TensorSpec((batch_size, *trunk.input.shape[1:]), tf.uint8)])  # type: ignore[untyped-decorator]
    def run(images: tf.Tensor) -> tf.Tensor:
        with on_device(device):
            return tf.cast(folded(tf.cast(images, tf.float32), training=False), tf.float32)

    def compute(images: NDArray[np.uint8]) -> NDArray[np.float32]:
        with on_device(device):
            return np.asarray(run(tf.constant(images, tf.uint8)), np.float32)

    def save(folder: Path) -> None:
        module = tf.Module()
        module.weights, module.run = folded.variables, run
        tf.saved_model.save(module, str(folder), signatures=run)

    return _CompiledTrunk(compute, save)


def limit_batch(size: int, image_size: tuple[int, ...]) -> int:
    """Return the size of a batch, at least 1, reduced where images are large, so that memory does not grow with them.

    Args:
        size: For images of at most 320 x 320 pixels.
        image_size: (height, width) in pixels.
    """
    return max(1, min(size, size * LARGEST_FULL_EDGE_PX**2 // math.prod(image_size)))


def compute_agreement(
    engine: Engine, trunk: keras.Model, images: NDArray[np.uint8], layout: MapLayout | None = None
) -> Agreement:
    """Compare an engine's features with those of the trunk in float32.

    Args:
        engine: The engine.
        trunk: The model that it runs.
        images: Real images, at least one: uint8 (n, height, width, 3), 0..255.
        layout: How several maps lie in a feature; None for a single one.
    """
    padding = [(0, -len(images) % engine.batch_size), (0, 0), (0, 0), (0, 0)]
    batches = np.pad(images, padding, mode="edge").reshape(-1, engine.batch_size, *images.shape[1:])
    found = np.concatenate([engine.compute(batch) for batch in batches])[: len(images)]
    at_once = limit_batch(len(images), images.shape[1:3])  # step by step, Keras keeps the outputs of all layers
    parts = [images[start : start + at_once].astype(np.float32) for start in range(0, len(images), at_once)]
    expected = np.concatenate([np.asarray(trunk(part, training=False)) for part in parts])
    pairs = list(zip(_split(found, layout), _split(expected, layout), strict=True))
    pooled = np.min([_similarities(_pool(one), _pool(other)) for one, other in pairs], axis=0)
    return Agreement(float(np.median(pooled)), min(min(_similarities(*pair)) for pair in pairs))


def _split(features: NDArray[np.float32], layout: MapLayout | None) -> list[NDArray[np.float32]]:
    """Return the maps of features, (n, h, w, channels) each; a single feature as it is."""
    if layout is None:
        return [features]
    return [features[:, part].reshape(-1, *shape) for part, shape in zip(layout.parts, layout.shapes, strict=True)]


def _pool(features: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the spatial mean of maps, (n, channels); pooled features unchanged."""
    pooled: NDArray[np.float32] = features.reshape(len(features), -1, features.shape[-1]).mean(axis=1)
    return pooled


def _similarities(found: NDArray[np.float32], expected: NDArray[np.float32]) -> list[float]:
    """Return the cosine similarity of each row of two arrays (n, ...)."""
    return [_cosine(*(one.ravel().astype(np.float64) for one in pair)) for pair in zip(found, expected, strict=True)]


def _cosine(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """Return the cosine similarity of two vectors; 1 if both are zero, -1 if any number is not finite."""
    if not (np.isfinite(one).all() and np.isfinite(other).all()):
        return -1.0
    if not one.any() and not other.any():
        return 1.0
    lengths = float(np.linalg.norm(one) * np.linalg.norm(other))
    return float(one @ other) / lengths if lengths else 0.0


def check_agreement(engine: Engine, agreement: Agreement) -> None:
    """Refuse an engine whose features differ from those of float32 Keras.

    Raises:
        NumericsError: The median similarity is below 0.998, or the lowest below 0.99.
    """
    if not agreement.is_close:
        raise NumericsError(
            f"The engine {engine.name} in {engine.precision} gives other features than Keras in float32: cosine "
            f"similarity {agreement.median:.4f} in the median, {agreement.lowest:.4f} at the lowest.",
            expected=f"at least {LOWEST_MEDIAN_SIMILARITY} and {LOWEST_SIMILARITY}",
            fix="give --engine keras --precision float32."
            if (engine.name, engine.precision) != ("keras", "float32")
            else "use another backbone or other weights, and please report this as a bug in tlkit.",
        )


def check_cut(backbone: Backbone, boundary: str, tail: keras.Model, images: np.ndarray) -> float:
    """Check that tail(trunk(x)) equals backbone(x), before features are cached or used.

    Args:
        backbone: The network.
        boundary: Where it is cut; not `top`.
        tail: The part above the boundary.
        images: A few real images, uint8 (n, height, width, 3), 0..255.

    Returns:
        The largest |tail(trunk(x)) - backbone(x)|, relative to the largest |backbone(x)|.

    Raises:
        NumericsError: the difference is larger than 1e-4, or NaN.
    """
    pixels = images.astype(np.float32)
    whole = np.asarray(backbone.model(pixels, training=False))
    trunk = backbone.trunk(boundary)
    parts = np.asarray(tail(pixels if trunk is None else trunk(pixels, training=False), training=False))
    difference = float(np.max(np.abs(parts - whole)) / max(float(np.max(np.abs(whole))), 1e-30))
    if not difference <= LARGEST_RELATIVE_DIFFERENCE:
        raise NumericsError(
            f"{backbone.entry.name} cut at {boundary!r} gives other features than the whole network: "
            f"relative difference {difference:.1e}.",
            expected=f"at most {LARGEST_RELATIVE_DIFFERENCE:.0e}",
            fix="use another boundary or backbone, and please report this as a bug in tlkit.",
        )
    return difference
