"""The history on disk: a CSV that is always whole, and points that TensorBoard can read."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import tensorflow as tf

from tlkit.training.history import TensorBoardLog, list_figures, write_history

COLUMNS = (
    "stage", "boundary", "epoch", "stage_epoch", "learning_rate", "train_loss", "train_accuracy", "train_iou",
    "validation_loss", "validation_accuracy", "validation_iou", "seconds", "is_best",
)  # fmt: skip
CURVES = [name for name in COLUMNS if name.startswith(("learning", "train", "validation"))]


def make_row(epoch: int) -> dict[str, Any]:
    """Return a history row in which every number can be told from the others."""
    return {name: epoch + number / 16 for number, name in enumerate(COLUMNS)} | {"epoch": epoch, "stage": "1-head"}


def test_history_has_one_row_an_epoch(tmp_path: Path) -> None:
    rows = [make_row(1), make_row(2)]
    write_history(rows, tmp_path / "history.csv")
    with (tmp_path / "history.csv").open(newline="") as file:
        read = list(csv.DictReader(file))
    assert read == [{name: str(row[name]) for name in COLUMNS} for row in rows]
    assert [path.name for path in tmp_path.iterdir()] == ["history.csv"]


def test_a_history_has_the_figures_of_its_task(tmp_path: Path) -> None:
    assert list_figures(make_row(1), "validation") == ("loss", "accuracy", "iou")
    row = {name: value for name, value in make_row(1).items() if not name.endswith(("accuracy", "iou"))}
    write_history([row | {"train_r2": 0.5, "validation_r2": 0.4}], tmp_path / "history.csv")
    header = (tmp_path / "history.csv").read_text().splitlines()[0]
    assert header.split(",")[5:-2] == ["train_loss", "train_r2", "validation_loss", "validation_r2"]


def test_tensorboard_gets_every_curve_at_its_epoch(tmp_path: Path) -> None:
    board = TensorBoardLog(tmp_path)
    board.write(make_row(1))
    board.write(make_row(2))
    found = {}
    (path,) = tmp_path.iterdir()
    for record in tf.compat.v1.io.tf_record_iterator(str(path)):
        event = tf.compat.v1.Event.FromString(record)
        for value in event.summary.value:
            assert value.metadata.plugin_data.plugin_name == "scalars"
            found[value.tag, event.step] = float(tf.make_ndarray(value.tensor))
    assert found == {(name, epoch): make_row(epoch)[name] for name in CURVES for epoch in (1, 2)}


def test_a_score_that_only_validation_has_is_only_there(tmp_path: Path) -> None:
    row = {name: value for name, value in make_row(1).items() if not name.endswith(("accuracy", "iou"))}
    row["validation_map50"] = 0.4
    write_history([row], tmp_path / "history.csv")
    header = (tmp_path / "history.csv").read_text().splitlines()[0]
    assert header.split(",")[5:-2] == ["train_loss", "validation_loss", "validation_map50"]
    TensorBoardLog(tmp_path / "board").write(row)
