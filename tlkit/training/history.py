"""The history of a run: one CSV row and one TensorBoard point an epoch, rebuilt whole from the rows that a run keeps."""

from __future__ import annotations

import csv
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

COLUMNS = (
    "stage",
    "boundary",
    "epoch",
    "stage_epoch",
    "learning_rate",
    "train_loss",
    "train_accuracy",
    "validation_loss",
    "validation_accuracy",
    "seconds",
    "is_best",
)
CURVES = ("learning_rate", "train_loss", "train_accuracy", "validation_loss", "validation_accuracy")


def write_history(rows: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Write all rows as CSV, atomically; columns as in COLUMNS, rates per step, losses in nats, accuracies 0..1."""
    aside = path.with_suffix(".partial")
    with aside.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)
    os.replace(aside, path)


class TensorBoardLog:
    """Writes epochs as TensorBoard scalars; needs no tensorboard package, which is only for looking at them.

    Args:
        folder: Receives an events file.
    """

    def __init__(self, folder: Path) -> None:
        import tensorflow as tf

        self._tf = tf
        self._writer = tf.summary.create_file_writer(str(folder))
        plugin = tf.compat.v1.SummaryMetadata.PluginData(plugin_name="scalars")
        self._metadata = tf.compat.v1.SummaryMetadata(plugin_data=plugin, data_class=1)  # DATA_CLASS_SCALAR

    def write(self, row: Mapping[str, Any]) -> None:
        """Write one history row at step `epoch`."""
        with self._writer.as_default():
            for name in CURVES:
                value = self._tf.constant(row[name], self._tf.float32)
                self._tf.summary.write(name, value, step=row["epoch"], metadata=self._metadata)
        self._writer.flush()
