"""The share of a batch that a device computes, where several divide it."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import tensorflow as tf


@dataclass(frozen=True)
class Share:
    """The images of a batch that one device takes, at least one.

    Attributes:
        start: Place of the first in the batch, a scalar tensor.
        stop: Place after the last.
        counts: 1; 0 if there are more devices than images, and this one repeats an image that must not count: float32.
        num_images: Images in the batch.
    """

    start: Any
    stop: Any
    counts: Any
    num_images: Any

    def take(self, values: Any) -> Any:
        """Return the rows of this share."""
        return values[self.start : self.stop]

    def add(self, values: Sequence[Any]) -> list[Any]:
        """Return the sums of tensors over all devices, on each of them; to be traced by all."""
        sums: list[Any] = tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, list(values))
        return sums


_CURRENT = threading.local()


def find_share() -> Share | None:
    """Return the share that is being traced; None where one device takes the whole batch.

    TensorFlow traces each device in a thread of its own.
    """
    return getattr(_CURRENT, "share", None)


@contextmanager
def tracing(share: Share) -> Iterator[None]:
    """Make a share the one that layers find."""
    _CURRENT.share = share
    try:
        yield
    finally:
        _CURRENT.share = None


def assign_here(variable: Any, value: Any) -> None:
    """Set a Keras variable, on this device alone where several have copies, which all must set to the same."""
    tf.raw_ops.AssignVariableOp(resource=variable.value.handle, value=value)
