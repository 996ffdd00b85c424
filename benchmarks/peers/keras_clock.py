"""When the epochs of `fit` end."""

from __future__ import annotations

import time
from typing import Any

import keras


class EpochClock(keras.callbacks.Callback):  # type: ignore[misc]
    """Notes when each epoch, validation included, came to its end: seconds since 1970."""

    def __init__(self) -> None:
        super().__init__()
        self.ends: list[float] = []

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Note the time."""
        self.ends.append(time.time())

    def seconds_per_epoch(self) -> float:
        """Return what an epoch after the first took."""
        return (self.ends[-1] - self.ends[0]) / (len(self.ends) - 1)
