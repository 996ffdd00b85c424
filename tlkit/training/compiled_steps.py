"""A loop of steps over consecutive batches, compiled by TensorFlow or XLA and called once for many steps."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple, cast

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from tlkit.training.batches import Block
from tlkit.training.dropout import NO_DROPOUT, STEPS_OF_A_DRAW, BitDropout

MAX_STEPS = 64
"""Steps of a call."""

CANNOT_COMPILE = (
    tf.errors.FailedPreconditionError,
    tf.errors.InternalError,
    tf.errors.InvalidArgumentError,
    tf.errors.NotFoundError,
    tf.errors.UnimplementedError,
)
"""What TensorFlow raises, before it computes anything, where XLA lacks something: for a GPU it needs files of CUDA's."""

Sums = dict[str, NDArray[np.float32]]
"""Sums by name, per batch, (batches,), or per image, (images,), which `Meter` adds up; or arrays of images, (images,
values)."""


NOTHING_LISTED: Mapping[str, int] = MappingProxyType({})


class _Call(NamedTuple):
    """What the loop is called with: arrays, and then tensors of the same shapes.

    Attributes:
        inputs: The table of the block.
        arrays: Row in the table, and what belongs to it, of each image: (n, ...).
        edges: Where each batch begins and the last one ends.
        factors: Factor of the learning rate for each batch.
        num_steps: Number of batches.
        first: Place of the first step in the first of `words`.
        words: Random words of each dropout layer.
    """

    inputs: Any
    arrays: tuple[Any, ...]
    edges: Any
    factors: Any
    num_steps: Any
    first: Any
    words: tuple[Any, ...]


class CompiledSteps:
    """Steps over consecutive batches, compiled into one loop outside Python.

    A call from Python costs about as much as a step of a small head, so one call takes many steps. TensorFlow traces
    the loop once for all batch sizes, XLA once for each; either all blocks are mixed or none.

    Args:
        step: Called with the factor of the learning rate; the inputs, metadata, answers, boxes, box_weights and weights
            of a batch; and the arrays of its mix, if any. Returns sums over the batch, scalars by name, or the terms of
            each image, (n,) by name.
        names: The names of the sums.
        by_image: Whether the step returns the terms of each image.
        listed: Names of arrays that the step returns beside them, (n, values), with their number of values; only with
            `by_image`.
        dropout: Layers that get a mask in each step.
        num_taken: Variable that counts the steps; with `dropout`.
        xla_sizes: Batch sizes whose loop XLA compiles, if it can; not with `by_image`.
    """

    def __init__(
        self,
        step: Callable[..., dict[str, Any]],
        names: tuple[str, ...],
        *,
        by_image: bool = False,
        listed: Mapping[str, int] = NOTHING_LISTED,
        dropout: BitDropout = NO_DROPOUT,
        num_taken: Any = None,
        xla_sizes: Collection[int] = (),
    ) -> None:
        self._step = step
        self._names = names
        self._by_image = by_image
        self._listed = dict(listed)
        self._dropout = dropout
        self._num_taken = num_taken
        self._xla_sizes = frozenset(xla_sizes)
        self._compiled: dict[int | None, Callable[..., Any]] = {}

    def __call__(self, block: Block, batches: slice, factors: Sequence[float]) -> Sums:
        """Take the steps of some batches of a block.

        Args:
            block: Contains the batches.
            batches: The batches to run.
            factors: Factor of the learning rate for each batch.
        """
        sums = np.concatenate(
            [
                self._take(block, part, factors[part.start - batches.start : part.stop - batches.start])
                for part in self._divide(block, batches)
            ]
        )
        named = {name: sums[:, column] for column, name in enumerate(self._names)}
        ends = itertools.accumulate(self._listed.values(), initial=len(self._names))
        parts = map(slice, *zip(*itertools.pairwise(ends), strict=True)) if self._listed else ()
        return named | {name: sums[:, part] for name, part in zip(self._listed, parts, strict=True)}

    def _divide(self, block: Block, batches: slice) -> Iterator[slice]:
        """Yield the batches of each call; if XLA compiles any, they are of one size."""
        sizes = np.diff(block.edges)
        start = batches.start
        while start < batches.stop:
            stop = min(start + MAX_STEPS, batches.stop)
            if self._xla_sizes:
                stop = start + int(np.argmin([*(sizes[start:stop] == sizes[start]), False]))
            yield slice(start, stop)
            start = stop

    def _take(self, block: Block, batches: slice, factors: Sequence[float]) -> NDArray[np.float32]:
        """Take the steps of one call, and return its sums."""
        edges = block.edges[batches.start : batches.stop + 1]
        size: int | None = int(edges[1] - edges[0])
        if size not in self._xla_sizes:
            size = None
        call = tf.nest.map_structure(tf.convert_to_tensor, self._make_call(block, edges, factors, size))
        is_first = size not in self._compiled
        if is_first:
            self._compiled[size] = self._compile(call, size)
        try:
            sums: NDArray[np.float32] = self._compiled[size](*call).numpy()
        except CANNOT_COMPILE:
            if not (size and is_first):
                raise
            self._xla_sizes = frozenset()
            return self._take(block, batches, factors)
        return sums if self._by_image else sums[: len(factors)]

    def _make_call(self, block: Block, edges: NDArray[np.int32], factors: Sequence[float], size: int | None) -> _Call:
        """Return the arrays of a call. Those for XLA, for which `size` is given, always have as many as the most steps."""
        images, targets = slice(edges[0], edges[-1]), block.targets
        mix = block.mix.arrays if block.mix else ()
        arrays = (block.rows, block.metadata, targets.answers, targets.boxes, targets.box_weights, block.weights, *mix)
        chosen = tuple(array[images] for array in arrays)
        edges, rates = edges - edges[0], np.asarray(factors, np.float32)
        taken = int(self._num_taken.numpy()) if self._dropout.layers else 0
        first = taken % STEPS_OF_A_DRAW
        num_drawn = first + len(factors)
        if size:
            num_drawn = STEPS_OF_A_DRAW + MAX_STEPS
            chosen = tuple(_lengthen(array, MAX_STEPS * size) for array in chosen)
            edges, rates = np.arange(MAX_STEPS + 1, dtype=np.int32) * size, _lengthen(rates, MAX_STEPS)
        words = self._dropout.draw(taken - first, num_drawn, int(edges[1]))
        return _Call(block.inputs, chosen, edges, rates, np.int32(len(factors)), np.int32(first), words)

    def _compile(self, call: _Call, size: int | None) -> Callable[..., Any]:
        def run(*given: Any) -> Any:
            return self._loop(_Call(*given), size)

        if size:
            return cast("Callable[..., Any]", tf.function(run, autograph=False, jit_compile=True))
        specs = tf.nest.map_structure(lambda tensor: _specify(tensor, num_free=1), call)
        specs = specs._replace(words=tuple(_specify(words, num_free=2) for words in call.words))
        return cast("Callable[..., Any]", tf.function(run, input_signature=specs, autograph=False))

    def _loop(self, call: _Call, size: int | None) -> Any:
        """Return the sums per batch, float32 (batches, names), or the terms per image, (images, names and values)."""

        def take_step(number: Any, sums: Any) -> tuple[Any, Any]:
            start = call.edges[number]
            count = size or call.edges[number + 1] - start
            rows, *arrays = (
                tf.slice(array, [start, *[0] * (array.shape.rank - 1)], [count, *array.shape[1:]])
                for array in call.arrays
            )
            with self._dropout.masks(call.words, call.first + number, count):
                results = self._step(call.factors[number], tf.gather(call.inputs, rows), *arrays)
            row = tf.stack([results[name] for name in self._names], axis=-1)
            if self._listed:
                row = tf.concat([row, *(results[name] for name in self._listed)], axis=-1)
            return number + 1, sums.write(number, row)

        width = len(self._names) + sum(self._listed.values())
        shape = (None, width) if self._by_image else (width,)
        sums = tf.TensorArray(
            tf.float32, size=tf.size(call.factors), element_shape=shape, infer_shape=not self._by_image
        )
        _, sums = tf.while_loop(lambda number, _: number < call.num_steps, take_step, (0, sums), parallel_iterations=1)
        return sums.concat() if self._by_image else sums.stack()


def _specify(tensor: Any, *, num_free: int) -> Any:
    """Return what a tensor's place in a call takes: any number of rows, and of what the next free axes count."""
    return tf.TensorSpec([None] * min(num_free, tensor.shape.rank) + tensor.shape[num_free:], tensor.dtype)


def _lengthen(array: NDArray[Any], length: int) -> NDArray[Any]:
    """Return an array with zeros added up to a length."""
    return np.concatenate([array, np.zeros((length - len(array), *array.shape[1:]), array.dtype)])
