"""Several feature maps of an image in one vector, so that caches, engines and batches handle them like any feature."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import keras

SAME_RESOLUTION_RATIO = 0.75
"""Maps also shrink by "valid" padding (InceptionV3: 149, 147, 147, then 73); only a smaller ratio is another resolution."""
FINEST_STRIDE = 8
"""Pixels of the input that a cell of the finest map spans along each axis."""


@dataclass(frozen=True)
class MapLayout:
    """How feature maps lie in a vector: one after the other, the finest first, each row by row.

    Attributes:
        shapes: (height, width, channels) of each map.
    """

    shapes: tuple[tuple[int, int, int], ...]

    @property
    def width(self) -> int:
        """Number of values in the vector."""
        return sum(math.prod(shape) for shape in self.shapes)

    @property
    def sizes(self) -> tuple[tuple[int, int], ...]:
        """(height, width) of each map."""
        return tuple((height, width) for height, width, _ in self.shapes)

    @property
    def parts(self) -> tuple[slice, ...]:
        """The part of the vector that each map takes."""
        ends = list(itertools.accumulate((math.prod(shape) for shape in self.shapes), initial=0))
        return tuple(slice(start, stop) for start, stop in itertools.pairwise(ends))

    def unpack(self, vectors: Any) -> list[Any]:
        """Return the maps, float (n, height, width, channels) each.

        Args:
            vectors: float (n, width): symbolic, a tensor or an array.
        """
        from keras import ops

        return [
            ops.reshape(vectors[:, part], (-1, *shape)) for part, shape in zip(self.parts, self.shapes, strict=True)
        ]


def pack_maps(maps: Sequence[keras.KerasTensor]) -> keras.KerasTensor:
    """Return symbolic maps, (n, height, width, channels) each, as one vector, (n, width); see `MapLayout`."""
    from keras import layers

    flat = [layers.Flatten(name=f"pack_{number}")(each) for number, each in enumerate(maps)]
    return layers.Concatenate(name="pack")(flat) if len(flat) > 1 else flat[0]


def choose_levels(outputs: Sequence[tuple[int, ...]], edge_px: int) -> list[int]:
    """Choose the layer groups whose outputs are the maps of a backbone: the highest of each resolution.

    A resolution counts from one cell per 8 pixels of the input on, or a little finer, since maps also shrink by their
    borders. The last output is always one of them.

    Args:
        outputs: Shape of the output of each layer group, without the batch axis, from the pixels upwards.
        edge_px: Edge of the square input.

    Returns:
        Positions in `outputs`, rising.
    """
    finest = edge_px / FINEST_STRIDE / SAME_RESOLUTION_RATIO
    coarse = [place for place, shape in enumerate(outputs) if len(shape) == 3 and shape[0] <= finest]
    levels: list[int] = []
    for place in coarse:
        if levels and outputs[place][0] > SAME_RESOLUTION_RATIO * outputs[levels[-1]][0]:
            levels.pop()
        levels.append(place)
    last = len(outputs) - 1
    return levels if last in levels else [*levels, last]
