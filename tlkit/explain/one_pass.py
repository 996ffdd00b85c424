"""Answers at every place of a large picture in one pass: the trunk runs on the whole picture, and the head slides over its map.

What it gives equals the model's answer to the window, cut out, only as far as the features of a window do not depend on
what lies around it. Backbones that pad with zeros have learnt what those look like, and there are none inside a large
picture; most also look further than a window. So each scan is compared with windows that are cut out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from PIL import Image

from tlkit.backbones.reach import Reach, find_reach, free_size
from tlkit.explain.strips import compute_strips, plan_blocks
from tlkit.models.classifier import Classifier
from tlkit.models.sliding_head import SlidingHead
from tlkit.tasks import find_task

CORE_PX = 1024
"""Pixels of a block, in each direction, beside those that it shares with its neighbours."""


@dataclass(frozen=True, eq=False)
class ScaledPicture:
    """A picture at the scale at which windows have the model's image size.

    Attributes:
        picture: The upright RGB picture, whole or reduced.
        height: Its height at this scale, in pixels.
        width: Its width at this scale, in pixels.
    """

    picture: Image.Image
    height: int
    width: int

    def read(self, top: int, left: int, height: int, width: int) -> NDArray[np.uint8]:
        """Return a block of it, uint8 (height, width, 3). Beyond the picture its last pixels are repeated."""
        bottom, right = min(top + height, self.height), min(left + width, self.width)
        size = (right - left, bottom - top)
        if self.picture.size == (self.width, self.height):
            part = self.picture.crop((left, top, right, bottom))
        else:
            across, down = self.picture.width / self.width, self.picture.height / self.height
            box = (left * across, top * down, right * across, bottom * down)
            part = self.picture.resize(size, Image.Resampling.BILINEAR, box=box)
        margins = ((0, height - size[1]), (0, width - size[0]), (0, 0))
        return np.pad(np.asarray(part), margins, mode="edge")


class OnePass:
    """A classifier that answers at every place of a picture.

    Args:
        classifier: The model: one map, no metadata.
        core_px: As `CORE_PX`.

    Attributes:
        step_px: Pixels from a window to the next one, at the scale of the model's input.
        is_exact: Whether every answer is that of the window, cut out, up to rounding.

    Raises:
        BackboneError: A feature depends on the whole picture.
    """

    def __init__(self, classifier: Classifier, *, core_px: int = CORE_PX) -> None:
        self._spec = classifier.spec
        self._core_px = core_px
        self._head = SlidingHead(classifier)
        trunk = self._head.trunk
        self._reach = lru_cache(lambda edge_px: find_reach(trunk, (edge_px, edge_px), name=self._spec.backbone))
        edge_px = self._spec.image_size[0]
        own = self._reach(edge_px)[0]
        self.step_px = own.step
        inside = own.find_clean(edge_px, is_start=False, is_end=False)
        self.is_exact = inside == range(own.num_features)
        free = free_size(trunk)
        self._compute = tf.function(
            lambda pixels: free(tf.cast(pixels, tf.float32), training=False)[0],
            input_signature=[tf.TensorSpec((1, None, None, 3), tf.uint8)],
        )

    def count_places(self, scaled: ScaledPicture) -> tuple[int, int]:
        """Return the numbers of rows and columns of the windows in a picture."""
        edge_px = self._spec.image_size[0]
        return (scaled.height - edge_px) // self.step_px + 1, (scaled.width - edge_px) // self.step_px + 1

    def scan(self, scaled: ScaledPicture) -> Iterator[NDArray[np.float32]]:
        """Yield the answers of all windows from top to bottom, some rows at a time.

        Args:
            scaled: The picture, at least as large as the model's input.

        Returns:
            Each float32 (rows, columns, num_answers), as in the rows of `Predictor.predict`.
        """
        num_rows, num_columns = self.count_places(scaled)
        down, across = (
            plan_blocks(length, self._along(axis), core_px=self._core_px)
            for axis, length in enumerate((scaled.height, scaled.width))
        )
        waiting: NDArray[np.float32] | None = None
        num_done = 0
        for strip in compute_strips(self._compute_block, scaled.read, down, across):
            strip = strip if waiting is None else np.concatenate([waiting, strip])
            if len(strip) >= self._head.window[0]:
                logits = self._head.compute_logits(strip)[: num_rows - num_done, :num_columns]
                num_done += len(logits)
                yield self._activate(logits)
                strip = strip[len(strip) - self._head.window[0] + 1 :]
            waiting = strip

    def _along(self, axis: int) -> Callable[[int], Reach]:
        return lambda length_px: self._reach(length_px)[axis]

    def _compute_block(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        return np.asarray(self._compute(tf.constant(pixels[np.newaxis])))

    def _activate(self, logits: NDArray[np.float32]) -> NDArray[np.float32]:
        rows = logits.reshape(-1, logits.shape[-1])
        answers = find_task(self._spec.task).activate(rows, temperature=self._spec.temperature)
        return answers.reshape(logits.shape)
