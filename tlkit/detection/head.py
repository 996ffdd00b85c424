"""The dense head: a feature pyramid on maps of several strides, and two towers that all its levels share.

A location of each level gives the logits of the classes and a box. The towers' convolutions are shared, their
normalisation is not, since levels differ in scale (Tan et al. 2020, arXiv:1911.09070). The pyramid is that of Lin et al.
2017 (arXiv:1612.03144). Layer names are fixed, because bundles address weights by them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from tlkit.detection.grid import NUM_BOX_VALUES, Grid

if TYPE_CHECKING:
    import keras

PRIOR = 0.01
"""Score of every class at every location before training, so that the many empty ones do not drown the others."""

_TOWER_DEPTH = 2
_TOWERS = ("class", "box")


def build_detector(
    maps: Sequence[keras.KerasTensor], *, num_classes: int, units: int, dropout: float
) -> keras.KerasTensor:
    """Build the head's layers on feature maps.

    Args:
        maps: Float (n, height, width, channels), from the finest map to the coarsest.
        num_classes: Number of classes.
        units: Channels of the pyramid and of the towers.
        dropout: Share of the pyramid's channels that are dropped in training, 0 <= dropout < 1.

    Returns:
        `answer`, float32 (n, P, 4 + classes) for the P locations of `make_grid(maps)`: the box
        (`tlkit.detection.grid.decode_boxes`), then class logits.
    """
    from keras import layers

    levels = _build_pyramid(maps, units)
    levels = [layers.SpatialDropout2D(dropout, name=f"dropout_{number}")(x) for number, x in enumerate(levels, 1)]
    convs = {
        (tower, depth): layers.Conv2D(units, 3, padding="same", use_bias=False, name=f"{tower}_conv_{depth}")
        for tower in _TOWERS
        for depth in range(1, _TOWER_DEPTH + 1)
    }
    last = {
        "box": layers.Conv2D(NUM_BOX_VALUES, 1, kernel_initializer="zeros", name="box_values", dtype="float32"),
        "class": layers.Conv2D(
            num_classes,
            1,
            kernel_initializer="zeros",
            bias_initializer=_constant(math.log(PRIOR / (1 - PRIOR))),
            name="class_logits",
            dtype="float32",
        ),
    }
    answers = []
    for number, level in enumerate(levels, 1):
        parts = {}
        for tower in _TOWERS:
            x = level
            for depth in range(1, _TOWER_DEPTH + 1):
                x = convs[tower, depth](x)
                x = layers.BatchNormalization(momentum=0.9, name=f"{tower}_norm_{depth}_{number}")(x)
                x = layers.ReLU(name=f"{tower}_relu_{depth}_{number}")(x)
            parts[tower] = last[tower](x)
        joined = layers.Concatenate(name=f"level_{number}", dtype="float32")([parts["box"], parts["class"]])
        height, width = joined.shape[1:3]
        shape = (height * width, NUM_BOX_VALUES + num_classes)
        answers.append(layers.Reshape(shape, name=f"locations_{number}", dtype="float32")(joined))
    return answers[0] if len(answers) == 1 else layers.Concatenate(axis=1, name="answer", dtype="float32")(answers)


def make_grid(maps: Sequence[keras.KerasTensor]) -> Grid:
    """Return the locations of a head on these maps, float (n, height, width, channels)."""
    return Grid(tuple((int(x.shape[1]), int(x.shape[2])) for x in maps))


def _build_pyramid(maps: Sequence[keras.KerasTensor], units: int) -> list[keras.KerasTensor]:
    """Bring every map to the same channels, and add to each what the coarser ones know."""
    from keras import layers

    levels: list[keras.KerasTensor] = []
    above = None
    for number, x in reversed(list(enumerate(maps, 1))):
        x = layers.BatchNormalization(momentum=0.9, center=False, scale=False, name=f"standardise_{number}")(x)
        x = layers.Conv2D(units, 1, use_bias=False, name=f"lateral_{number}")(x)
        x = layers.BatchNormalization(momentum=0.9, name=f"lateral_norm_{number}")(x)
        if above is not None:
            x = layers.Add(name=f"sum_{number}")([x, _enlarge(above, (x.shape[1], x.shape[2]), number)])
        above = x
        levels.insert(0, layers.ReLU(name=f"pyramid_{number}")(x))
    return levels


def _enlarge(x: keras.KerasTensor, size: tuple[int, int], number: int) -> keras.KerasTensor:
    """Repeat the cells of a map by whole factors, then cut or fill its right and lower edges to the size."""
    from keras import layers

    factors = tuple(max(1, round(wanted / given)) for wanted, given in zip(size, x.shape[1:3], strict=True))
    x = layers.UpSampling2D(factors, interpolation="nearest", name=f"enlarge_{number}")(x)
    excess = tuple(given - wanted for wanted, given in zip(size, x.shape[1:3], strict=True))
    if max(excess) > 0:
        x = layers.Cropping2D(tuple((0, max(0, more)) for more in excess), name=f"cut_{number}")(x)
    if min(excess) < 0:
        x = layers.ZeroPadding2D(tuple((0, max(0, -more)) for more in excess), name=f"fill_{number}")(x)
    return x


def _constant(value: float) -> keras.initializers.Initializer:
    from keras import initializers

    return initializers.Constant(value)
