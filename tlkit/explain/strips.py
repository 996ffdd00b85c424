"""The feature map of a picture of any size, strip by strip, as one pass over the whole picture would give it.

The trunk runs on blocks that overlap so far that each feature is taken from a block with all pixels behind it (see
`tlkit.backbones.reach`). Memory holds one block, and one strip of the map.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tlkit.backbones.reach import Reach

ReadBlock = Callable[[int, int, int, int], NDArray[np.uint8]]
"""Returns the pixels of a block from its top, left, height and width, which may end beyond the picture."""
ReachOf = Callable[[int], Reach]
"""Returns the reach along one axis of an image of so many pixels."""


@dataclass(frozen=True)
class Block:
    """A part of a picture along one axis.

    Attributes:
        start_px: Its first pixel.
        length_px: Its length in pixels.
        kept: Which of its features are taken.
    """

    start_px: int
    length_px: int
    kept: range


def plan_blocks(length_px: int, reach_of: ReachOf, *, core_px: int) -> list[Block]:
    """Divide a picture along one axis, so that each feature is taken from one block that has all pixels behind it.

    Args:
        length_px: Length of the picture. Blocks end at a multiple of the map's step, perhaps beyond it.
        reach_of: The reach along this axis.
        core_px: Pixels of a block, at least, that are not there for the sake of others.
    """
    whole = reach_of(length_px)
    step = whole.step
    total_px = -(-length_px // step) * step
    block_px = -(-(whole.last - whole.first + core_px) // step) * step
    if total_px <= block_px:
        return [Block(0, total_px, range(reach_of(total_px).num_features))]
    reach, blocks, num_done, start = reach_of(block_px), list[Block](), 0, 0
    begin = reach.find_clean(block_px, is_start=False, is_end=False).start
    while True:
        is_end = start + block_px == total_px
        clean = reach.find_clean(block_px, is_start=start == 0, is_end=is_end)
        blocks.append(Block(start, block_px, range(num_done - start // step, clean.stop)))
        num_done = start // step + clean.stop
        if is_end:
            return blocks
        start = min((num_done - begin) * step, total_px - block_px)


def compute_strips(
    compute: Callable[[NDArray[np.uint8]], NDArray[np.float32]],
    read: ReadBlock,
    rows: list[Block],
    columns: list[Block],
) -> Iterator[NDArray[np.float32]]:
    """Yield the map from top to bottom, each strip float32 (some rows, all columns, channels).

    Args:
        compute: The trunk: uint8 (height, width, 3), RGB, 0..255 -> float32 (h, w, channels).
        read: Reads a block.
        rows: The blocks from top to bottom.
        columns: The blocks from left to right.
    """
    for row in rows:
        parts = []
        for column in columns:
            features = compute(read(row.start_px, column.start_px, row.length_px, column.length_px))
            parts.append(features[row.kept.start : row.kept.stop, column.kept.start : column.kept.stop])
        yield np.concatenate(parts, axis=1)
