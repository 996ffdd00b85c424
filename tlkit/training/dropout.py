"""Dropout of a head from few random bits, drawn for many steps at once.

A float per unit and step, as Keras draws it, takes longer than the rest of a linear head's step. A unit is kept by
comparing whole numbers of as few bits as state the rate: one for 0.5, four for 0.125. Bits are drawn in numpy from
(seed, layer, number of the step), so masks do not depend on how steps are divided into calls, and a resumed run draws
the same ones.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from tlkit.training.shares import find_share

STEPS_OF_A_DRAW = 8
"""Steps that share words: each takes other bits of them."""
_MOST_BITS = 16


def count_bits(rate: float) -> int:
    """Return how many bits state a rate: 1, 2, 4, 8 or 16; with 16 it is rounded to a multiple of 2**-16."""
    return next((bits for bits in (1, 2, 4, 8) if (rate * 2**bits).is_integer()), _MOST_BITS)


class GivenDropout(keras.layers.Layer):  # type: ignore[misc]  # Keras has no types
    """Dropout with a given mask; scaled as Keras' own, by 1 / (1 - rate).

    Attributes:
        rate: Share of the units set to zero.
        mask_shape: Shape of an image's mask; (1, 1, channels) if whole channels are dropped.
        keep: Which units of a batch to keep, bool (n, *mask_shape), for what is traced next.
    """

    def __init__(self, dropout: keras.layers.Dropout) -> None:
        super().__init__(name=dropout.name)
        self.rate = dropout.rate
        self.mask_shape = tuple(dropout.input.shape[1:])
        if isinstance(dropout, keras.layers.SpatialDropout2D):
            self.mask_shape = (1, 1, self.mask_shape[-1])
        self.keep: Any = None

    def call(self, inputs: Any) -> Any:
        """Return the kept units, scaled."""
        if self.keep is None:
            return inputs
        share = find_share()
        keep = share.take(self.keep) if share else self.keep
        return ops.where(keep, inputs * (1.0 / (1.0 - self.rate)), 0.0)


@dataclass(frozen=True)
class BitDropout:
    """The dropout layers of a head, and where their bits come from.

    Attributes:
        layers: In a fixed order.
        seed: Seed of the training.
    """

    layers: tuple[GivenDropout, ...]
    seed: int

    def draw(self, first: int, num_steps: int, num_images: int) -> tuple[NDArray[np.unsignedinteger[Any]], ...]:
        """Draw the words of some steps, for `masks`.

        Args:
            first: Number of the first step, counted from the beginning of the training; a multiple of `STEPS_OF_A_DRAW`.
            num_steps: How many.
            num_images: Largest number of images in a batch.

        Returns:
            For each layer uint8 or uint16 (draws, num_images, planes, units). More images only add rows.
        """
        first //= STEPS_OF_A_DRAW
        draws = range(first, first - (-num_steps // STEPS_OF_A_DRAW))
        return tuple(self._draw_layer(number, draws, num_images) for number in range(len(self.layers)))

    def _draw_layer(self, number: int, draws: range, num_images: int) -> NDArray[np.unsignedinteger[Any]]:
        layer = self.layers[number]
        bits, word = _choose_word(layer.rate)
        shape = num_images, STEPS_OF_A_DRAW * bits // (8 * word.itemsize), math.prod(layer.mask_shape)
        size = math.prod(shape)
        words = np.empty((len(draws), *shape), word)
        for place, draw in enumerate(draws):
            raw = np.random.PCG64([self.seed, number, draw]).random_raw(-(-size * word.itemsize // 8))
            words[place] = raw.view(word)[:size].reshape(shape)
        return words

    @contextlib.contextmanager
    def masks(self, words: Sequence[Any], step: Any, num_images: Any) -> Iterator[None]:
        """Set the masks of a batch for what is traced inside.

        Args:
            words: From `draw`, as tensors.
            step: Number of the step, an integer tensor; counted from the draw with which `words` begin.
            num_images: Images in the batch.
        """
        for layer, drawn in zip(self.layers, words, strict=True):
            bits, word = _choose_word(layer.rate)
            place = step % STEPS_OF_A_DRAW * bits
            # XLA would compile slices anew for every value of a variable that they depend on.
            planes = ops.take(drawn, step // STEPS_OF_A_DRAW, axis=0)[:num_images]
            chosen = ops.take(planes, place // (8 * word.itemsize), axis=1)
            if bits < 8 * word.itemsize:
                shift = ops.cast(place % (8 * word.itemsize), chosen.dtype)
                chosen = ops.bitwise_and(ops.right_shift(chosen, shift), word.type(2**bits - 1))
            keep = chosen >= word.type(min(round(layer.rate * 2**bits), 2**bits - 1))
            layer.keep = ops.reshape(keep, (-1, *layer.mask_shape))
        try:
            yield
        finally:
            for layer in self.layers:
                layer.keep = None


NO_DROPOUT = BitDropout((), 0)


def _choose_word(rate: float) -> tuple[int, np.dtype[Any]]:
    """Return the bits of a mask, and the type of the words that they are drawn in."""
    bits = count_bits(rate)
    return bits, np.dtype(np.uint8 if bits <= 8 else np.uint16)


def give_masks(head: keras.Model, seed: int) -> tuple[keras.Model, BitDropout]:
    """Return a head whose dropout takes given masks and which shares all layers with weights, and its dropout."""
    given = {
        layer.name: GivenDropout(layer)
        for layer in head.layers
        if isinstance(layer, keras.layers.Dropout) and layer.rate
    }
    if given:
        head = keras.models.clone_model(head, clone_function=lambda layer: given.get(layer.name, layer))
    return head, BitDropout(tuple(given.values()), seed)
