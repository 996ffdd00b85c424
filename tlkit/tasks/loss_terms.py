"""Terms that losses of several tasks share; arguments are tensors of the Keras backend."""

from __future__ import annotations

from typing import Any

TINY = 1e-7


def weigh_by_focus(missing: Any, focal: float) -> Any:
    """Return missing ** focal, with a finite slope at 0."""
    from keras import ops

    return ops.power(ops.maximum(missing, TINY), focal)


def compute_huber(error: Any, delta: float) -> Any:
    """Return the Huber loss of an error: half its square up to delta, linear beyond."""
    from keras import ops

    size = ops.abs(error)
    return ops.where(size <= delta, 0.5 * ops.square(error), delta * (size - 0.5 * delta))
