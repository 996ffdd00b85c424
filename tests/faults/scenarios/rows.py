"""Rows of predictions: those that were written stay, and a file with its name is complete."""

from __future__ import annotations

import csv
from pathlib import Path

from tlkit.errors import RunError
from tlkit.inference.predictions import PredictionColumns, open_predictions
from tlkit.tasks.predictions import Prediction

COLUMNS = PredictionColumns(top_k=1)
NUM_ROWS = 5


def prepare(folder: Path) -> None:
    (folder / "rows.csv").write_text("earlier\n")


def act(folder: Path) -> None:
    written, ending = folder.with_name("written"), folder.with_name("ending")
    written.write_text("")
    ending.write_text("killed")
    try:
        with open_predictions(folder / "rows.csv", COLUMNS) as writer:
            for number in range(NUM_ROWS):
                writer.write(Prediction(f"{number}.jpg", (("cat", 1.0),)))
                written.write_text("x" * (number + 1))
        ending.write_text("complete")
    except RunError as error:
        ending.write_text(f"refused: {error.found}")
    except BaseException as error:  # what no user should see
        ending.write_text(repr(error))
        raise


def check(folder: Path) -> None:
    num_written = len(folder.with_name("written").read_text())
    ending = folder.with_name("ending").read_text()
    whole, partial = folder / "rows.csv", folder / "rows.csv.partial"
    assert ending in ("killed", "complete") or ending.startswith(f"refused: {folder}"), ending
    if whole.read_text() != "earlier\n":
        assert len(list(csv.DictReader(whole.read_text().splitlines()))) == NUM_ROWS
        return
    assert ending != "complete"
    lines = partial.read_text().splitlines() if partial.exists() else []
    assert len(lines) >= (num_written and num_written + 1), (lines, num_written)
    assert all(line == f"{number}.jpg,cat,1.0," for number, line in enumerate(lines[1 : num_written + 1]))
