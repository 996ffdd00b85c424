"""The history of a run: one CSV row and one TensorBoard point per epoch, rebuilt from the run's rows."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tlkit.files import open_text, written_aside

FIRST_COLUMNS = ("stage", "boundary", "epoch", "stage_epoch", "learning_rate")
LAST_COLUMNS = ("seconds", "is_best")
SPLITS = ("train", "validation")


def write_history(rows: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Write all rows as CSV, atomically.

    Rates are per step; a run's figures follow for training and validation: its loss, its score (`accuracy`,
    `label_accuracy`, `r2`), and `iou` where boxes are learnt. A score that is not a mean over images, such as `map50`,
    is only there for validation.
    """
    named = [f"{split}_{name}" for split in SPLITS for name in list_figures(rows[0], split)] if rows else []
    with written_aside(path) as file, open_text(file) as text:
        writer = csv.DictWriter(text, (*FIRST_COLUMNS, *named, *LAST_COLUMNS))
        writer.writeheader()
        writer.writerows(rows)


def list_figures(row: Mapping[str, Any], split: str) -> tuple[str, ...]:
    """Return the names of the figures that a history has for a split, in order: loss, the score, iou."""
    return tuple(name.removeprefix(f"{split}_") for name in row if name.startswith(f"{split}_"))


class TensorBoardLog:
    """Writes epochs as TensorBoard scalars, without needing the tensorboard package.

    Args:
        folder: Receives an events file.

    Raises:
        OSError: The file cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        import tensorflow as tf

        self._tf = tf
        try:
            self._writer = tf.summary.create_file_writer(str(folder))
        except tf.errors.OpError as error:
            raise OSError(f"TensorFlow cannot write it ({error.message})") from error
        plugin = tf.compat.v1.SummaryMetadata.PluginData(plugin_name="scalars")
        self._metadata = tf.compat.v1.SummaryMetadata(plugin_data=plugin, data_class=1)  # DATA_CLASS_SCALAR

    def write(self, row: Mapping[str, Any]) -> None:
        """Write one history row at step `epoch`.

        Raises:
            OSError: The file cannot be written.
        """
        try:
            with self._writer.as_default():
                curves = [f"{split}_{name}" for split in SPLITS for name in list_figures(row, split)]
                for name in ("learning_rate", *curves):
                    value = self._tf.constant(row[name], self._tf.float32)
                    self._tf.summary.write(name, value, step=row["epoch"], metadata=self._metadata)
            self._writer.flush()
        except self._tf.errors.OpError as error:
            raise OSError(f"TensorFlow cannot write it ({error.message})") from error
