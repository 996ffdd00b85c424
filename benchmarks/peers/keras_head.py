"""Stock Keras: a head on an array of features, with `fit` in batches of 64."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from benchmarks.peers.keras_clock import EpochClock
from benchmarks.side_by_side.job import run_job


def train(features: str, epochs: int) -> dict[str, Any]:
    """Train the layers of tlkit's linear head on a file with `x` and `y`, `validation_x` and `validation_y`.

    Returns:
        The `seconds` of an epoch after the first.
    """
    arrays = np.load(features)
    train_x, train_y = arrays["x"], arrays["y"]
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input(train_x.shape[1:]),
            layers.BatchNormalization(),
            layers.Dropout(0.5),
            layers.Dense(int(train_y.max()) + 1),
        ]
    )
    model.compile(
        optimizer=keras.optimizers.AdamW(1e-3, weight_decay=1e-4),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    clock = EpochClock()
    validation = arrays["validation_x"], arrays["validation_y"]
    model.fit(train_x, train_y, batch_size=64, epochs=epochs, validation_data=validation, callbacks=[clock], verbose=0)
    return {"seconds": clock.seconds_per_epoch()}


if __name__ == "__main__":
    run_job(train)
