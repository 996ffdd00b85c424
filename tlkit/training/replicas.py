"""Training steps on one device, or on several of which each computes its share of every batch.

`tf.distribute.MirroredStrategy` keeps a copy of every variable on each device and adds up gradients, between GPUs by
NCCL. All that makes the result that of one device, up to rounding, is tlkit's own: a device's loss is divided by the images of the
whole batch, and layers that look at the whole batch are replaced (`tlkit.training.shared_layers`). Each device applies
the same sums of gradients by the same optimizer, so the copies stay equal.

Outside the steps a model is on one device, as ever: its variables have copies only while a stage trains.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cache
from typing import Any

import keras
import tensorflow as tf

from tlkit.training.shared_layers import share_layers
from tlkit.training.shares import Share, find_share, tracing

Figures = dict[str, Any]
"""Terms of each image by name, (n,)."""
Part = Callable[[Any], Figures]
"""Computes some images: a nest of their arrays, (n, ...), to figures."""


class OneDevice:
    """All is computed where TensorFlow puts it.

    Attributes:
        devices: TensorFlow's names of several devices; none for one.
    """

    devices: tuple[str, ...] = ()

    def creating(self) -> AbstractContextManager[None]:
        """Provide the place where an optimizer creates its state."""
        return nullcontext()

    def holding(self, variables: Sequence[keras.Variable]) -> AbstractContextManager[None]:
        """Have the variables of a model where steps compute."""
        return nullcontext()

    def share_layers(self, model: keras.Model | None) -> keras.Model | None:
        """Return a model as it computes a share of a batch."""
        return model

    def average(self, losses: Any) -> Any:
        """Return what a device contributes to the mean loss of the batch, given the losses of its images."""
        return tf.reduce_mean(losses)

    def add_gradients(self, gradients: Sequence[Any]) -> Sequence[Any]:
        """Return the gradients of the batch's mean loss, given those of `average`."""
        return gradients

    def sum_figures(self, part: Part, batch: Any) -> Figures:
        """Compute a batch, and return the sum of each figure, a scalar."""
        return {name: tf.reduce_sum(values) for name, values in part(batch).items()}

    def list_figures(self, part: Part, batch: Any) -> Figures:
        """Compute a batch, and return its figures, image by image, (n,)."""
        return part(batch)


ONE_DEVICE = OneDevice()


class Replicas(OneDevice):
    """Each device has a copy of the model and computes its share of a batch.

    Args:
        devices: TensorFlow's names; two or more.
    """

    def __init__(self, devices: Sequence[str]) -> None:
        self.devices = tuple(devices)
        self._strategy = _find_strategy(self.devices)
        self._copies: dict[int, Any] = {}

    def creating(self) -> AbstractContextManager[None]:
        """Provide the place where an optimizer creates its state, for variables that are held: a copy on each device."""
        scope: AbstractContextManager[None] = self._strategy.scope()
        return scope

    @contextmanager
    def holding(self, variables: Sequence[keras.Variable]) -> Iterator[None]:
        """Give each variable a copy on every device; at the end, it has the value of its copies."""
        own = [variable.value for variable in variables]
        for variable in variables:
            # Keras cannot place a variable anew; a copy for all that use it is what it would have made in a scope.
            variable._value = self._make_copies(variable)  # noqa: SLF001
        try:
            yield
        finally:
            for variable, value in zip(variables, own, strict=True):
                value.assign(variable.value.read_value())
                variable._value = value  # noqa: SLF001

    def _make_copies(self, variable: keras.Variable) -> Any:
        copies = self._copies.get(id(variable))
        if copies is not None:
            copies.assign(variable.value)
            return copies
        with self._strategy.scope():
            # What Keras sets by itself is the same everywhere, so that the first device's may be taken.
            copies = tf.Variable(
                variable.value.read_value(),
                trainable=variable.trainable,
                aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA,
            )
        self._copies[id(variable)] = copies
        return copies

    def share_layers(self, model: keras.Model | None) -> keras.Model | None:
        """Return a model as it computes a share of a batch."""
        return share_layers(model)

    def average(self, losses: Any) -> Any:
        """Return what a device contributes to the mean loss of the batch, given the losses of its images."""
        share = _require_share()
        return share.counts * tf.reduce_sum(losses) / tf.cast(share.num_images, tf.float32)

    def add_gradients(self, gradients: Sequence[Any]) -> Sequence[Any]:
        """Return the gradients of the batch's mean loss, given those of `average`."""
        return _require_share().add(gradients)

    def sum_figures(self, part: Part, batch: Any) -> Figures:
        """Compute a batch, and return the sum of each figure, a scalar."""

        def add(batch: Any) -> Figures:
            counts = _require_share().counts
            return {name: counts * tf.reduce_sum(values) for name, values in part(batch).items()}

        found = self._run(add, batch)
        return {name: tf.add_n([figures[name] for figures in found]) for name in found[0]}

    def list_figures(self, part: Part, batch: Any) -> Figures:
        """Compute a batch, and return its figures, image by image, (n,)."""

        def cut(batch: Any) -> Figures:
            counts = tf.cast(_require_share().counts, tf.int32)
            return {name: values[: counts * tf.shape(values)[0]] for name, values in part(batch).items()}

        found = self._run(cut, batch)
        return {name: tf.concat([figures[name] for figures in found], axis=0) for name in found[0]}

    def _run(self, part: Part, batch: Any) -> list[Figures]:
        """Compute each device's share, and return their figures in the order of the images."""
        shares = self._divide(tf.shape(tf.nest.flatten(batch)[0])[0])
        batches = [tf.nest.map_structure(share.take, batch) for share in shares]

        def compute() -> Figures:
            number = int(tf.get_static_value(tf.distribute.get_replica_context().replica_id_in_sync_group))
            with tracing(shares[number]):
                return part(batches[number])

        found = self._strategy.run(compute)
        by_name = {name: self._strategy.experimental_local_results(values) for name, values in found.items()}
        return [{name: values[number] for name, values in by_name.items()} for number in range(len(self.devices))]

    def _divide(self, num_images: Any) -> list[Share]:
        """Return shares of a batch whose sizes differ by one image at most."""
        edges = [num_images * number // len(self.devices) for number in range(len(self.devices) + 1)]
        return [
            Share(start, tf.maximum(stop, start + 1), tf.cast(stop > start, tf.float32), num_images)
            for start, stop in itertools.pairwise(edges)
        ]


@cache
def _find_strategy(devices: tuple[str, ...]) -> tf.distribute.Strategy:
    """Return the strategy of some devices; in two of them, TensorFlow would number their sums alike."""
    return tf.distribute.MirroredStrategy(devices)


def _require_share() -> Share:
    share = find_share()
    assert share is not None, "called only by what `_run` traces"
    return share
