"""Run the frozen part of a backbone, and prove that a cut adds up."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import keras
import numpy as np
import tensorflow as tf

from tlkit.errors import NumericsError

if TYPE_CHECKING:
    from tlkit.backbones.build import Backbone

LARGEST_RELATIVE_DIFFERENCE = 1e-4


def compile_trunk(model: keras.Model) -> Callable[[np.ndarray], np.ndarray]:
    """Return a function that runs a model on images in inference mode.

    The first call with a batch size of its own traces the graph (a second or so), so keep to one batch size. A row's
    last bits may depend on the batch size, not on its neighbours.

    Args:
        model: A backbone or the trunk of one: RGB, float (n, height, width, 3), 0..255.

    Returns:
        A function from uint8 images (n, height, width, 3), 0..255, to float32 features (n, ...).
    """

    @tf.function  # type: ignore[untyped-decorator]
    def run(images: tf.Tensor) -> tf.Tensor:
        return model(tf.cast(images, tf.float32), training=False)

    def compute(images: np.ndarray) -> np.ndarray:
        return np.asarray(run(tf.constant(images, tf.uint8)), np.float32)

    return compute


def check_cut(backbone: Backbone, boundary: str, images: np.ndarray) -> float:
    """Check that tail(trunk(x)) is backbone(x), before features are cached or trained on.

    Args:
        backbone: The network.
        boundary: Where it is cut.
        images: A few real images, uint8 (n, height, width, 3), 0..255.

    Returns:
        The largest |tail(trunk(x)) - backbone(x)|, relative to the largest |backbone(x)|.

    Raises:
        NumericsError: the difference is larger than 1e-4, or not a number.
    """
    pixels = keras.ops.convert_to_tensor(images, "float32")
    whole = np.asarray(backbone.model(pixels, training=False))
    parts = pixels
    for part in (backbone.trunk(boundary), backbone.tail(boundary)):
        if part is not None:
            parts = part(parts, training=False)
    difference = float(np.max(np.abs(np.asarray(parts) - whole)) / max(float(np.max(np.abs(whole))), 1e-30))
    if not difference <= LARGEST_RELATIVE_DIFFERENCE:
        raise NumericsError(
            f"{backbone.entry.name} cut at {boundary!r} gives other features than the whole network: "
            f"relative difference {difference:.1e}.",
            expected=f"at most {LARGEST_RELATIVE_DIFFERENCE:.0e}",
            fix="use another boundary or backbone, and please report this as a bug in tlkit.",
        )
    return difference
