"""The heads of segmentation: a class at every place, from feature maps of several strides.

A linear head scores each map by one layer and adds the scores, which is a linear model on all maps enlarged to the
finest. The convolutional one adds the maps themselves, from the coarsest to the finest, and looks at the sum with two
convolutions (Lin et al. 2017, arXiv:1612.03144). Layer names are fixed, because bundles address weights by them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import keras


def build_linear_segmenter(
    maps: Sequence[keras.KerasTensor], *, num_outputs: int, units: int, dropout: float
) -> keras.KerasTensor:
    """Build one layer on each map, whose scores are enlarged and added.

    Args:
        maps: Float (n, height, width, channels), from the finest map to the coarsest.
        num_outputs: Number of classes, background included.
        units: Not used.
        dropout: Share of the channels that are dropped in training, 0 <= dropout < 1.

    Returns:
        Logits, float32 (n, height, width, num_outputs), at the places of the finest map, background first.
    """
    from keras import layers

    total = None
    for number, x in reversed(list(enumerate(maps, 1))):
        x = layers.BatchNormalization(momentum=0.9, center=False, scale=False, name=f"standardise_{number}")(x)
        x = layers.SpatialDropout2D(dropout, name=f"dropout_{number}")(x)
        x = layers.Conv2D(num_outputs, 1, kernel_initializer="zeros", name=f"scores_{number}", dtype="float32")(x)
        if total is not None:
            x = layers.Add(name=f"sum_{number}", dtype="float32")([x, _enlarge(total, x, number)])
        total = x
    return total


def build_conv_segmenter(
    maps: Sequence[keras.KerasTensor], *, num_outputs: int, units: int, dropout: float, depth: int = 2, finer: int = 1
) -> keras.KerasTensor:
    """Build a pyramid and convolutions on its finest level; arguments and result as of `build_linear_segmenter`.

    Args:
        maps: As above.
        num_outputs: As above.
        units: Channels of the pyramid and of the convolutions.
        dropout: As above, of the sum of the maps.
        depth: Number of convolutions.
        finer: Factor by which the result is finer than the finest map.
    """
    from keras import layers

    above = None
    for number, x in reversed(list(enumerate(maps, 1))):
        x = layers.BatchNormalization(momentum=0.9, center=False, scale=False, name=f"standardise_{number}")(x)
        x = layers.Conv2D(units, 1, use_bias=False, name=f"lateral_{number}")(x)
        x = layers.BatchNormalization(momentum=0.9, name=f"lateral_norm_{number}")(x)
        if above is not None:
            x = layers.Add(name=f"sum_{number}")([x, _enlarge(above, x, number)])
        above = layers.ReLU(name=f"pyramid_{number}")(x)
    x = layers.SpatialDropout2D(dropout, name="dropout")(above)
    for number in range(1, depth + 1):
        if number == depth and finer > 1:
            x = layers.UpSampling2D(finer, interpolation="bilinear", name="finer")(x)
        x = layers.Conv2D(units, 3, padding="same", use_bias=False, name=f"conv_{number}")(x)
        x = layers.BatchNormalization(momentum=0.9, name=f"norm_{number}")(x)
        x = layers.ReLU(name=f"relu_{number}")(x)
    return layers.Conv2D(num_outputs, 1, kernel_initializer="zeros", name="scores", dtype="float32")(x)


def _enlarge(x: keras.KerasTensor, like: keras.KerasTensor, number: int) -> keras.KerasTensor:
    """Enlarge a map by whole factors, then cut or repeat its right and lower edges to the size of another."""
    from keras import layers

    sizes = [(int(wanted), int(given)) for wanted, given in zip(like.shape[1:3], x.shape[1:3], strict=True)]
    factors = tuple(-(-wanted // given) for wanted, given in sizes)
    if factors != (1, 1):
        x = layers.UpSampling2D(factors, interpolation="bilinear", name=f"enlarge_{number}")(x)
    excess = [factor * given - wanted for factor, (wanted, given) in zip(factors, sizes, strict=True)]
    if any(excess):
        edges = tuple((more // 2, more - more // 2) for more in excess)
        x = layers.Cropping2D(edges, name=f"cut_{number}")(x)
    return x
