"""Stock Keras: the loop of its transfer-learning guide, which runs the frozen layers again for every image and epoch."""

from __future__ import annotations

from typing import Any

import keras

from benchmarks.peers.keras_clock import EpochClock
from benchmarks.peers.keras_networks import build_base, build_guide_model, read_images
from benchmarks.side_by_side.job import run_job


def train(
    data: str, backbone: str, weights: str | None, trained: str, learning_rate: float, epochs: int
) -> dict[str, Any]:
    """Train on the folders train and validation in `data`.

    Args:
        data: The folder.
        backbone: A key of `NETWORKS`.
        weights: As Keras takes them.
        trained: `head`; `all`; or the beginning of the names of the backbone's layers that are trained. Batch norm is not.
        learning_rate: Adam's.
        epochs: Passes over the training images.

    Returns:
        `seconds` of an epoch after the first; and by epoch `ends`, seconds since 1970, and `accuracies`, those on the
        validation images.
    """
    train_images, validation_images = (
        read_images(f"{data}/{split}", shuffle=split == "train") for split in ("train", "validation")
    )
    num_classes = len(train_images.class_names)
    base = build_base(backbone, weights=weights)
    for layer in base.layers:
        is_unfrozen = trained == "all" or layer.name.startswith(trained)
        # As the guide wants it: calling the base with training=False does not keep Keras 3.15 from moving the statistics.
        layer.trainable = is_unfrozen and not isinstance(layer, keras.layers.BatchNormalization)
    model = build_guide_model(backbone, base, num_classes)
    model.compile(
        optimizer=keras.optimizers.Adam(learning_rate),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    clock = EpochClock()
    history = model.fit(
        train_images.prefetch(2),
        validation_data=validation_images.prefetch(2),
        epochs=epochs,
        callbacks=[clock],
        verbose=0,
    )
    return {"seconds": clock.seconds_per_epoch(), "ends": clock.ends, "accuracies": history.history["val_accuracy"]}


if __name__ == "__main__":
    run_job(train)
