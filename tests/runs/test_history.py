"""The lines of a run's epochs."""

from __future__ import annotations

from typing import Any

import pytest

from tlkit.runs.history import format_epoch, format_head


def make_row(*names: str, is_best: bool = True) -> dict[str, Any]:
    figures = {f"{split}_{name}": 0.51234 for split in ("train", "validation") for name in names}
    return {"stage_epoch": 12, **figures, "seconds": 123.4, "is_best": is_best}


def test_an_epoch_is_a_line_below_the_names_of_its_figures() -> None:
    row = make_row("loss", "accuracy")
    assert format_head(row) == (
        "         train               validation\n  epoch    loss  accuracy      loss  accuracy     time"
    )
    assert format_epoch(row, 100) == " 12/100  0.5123     0.512    0.5123     0.512  123.4 s  best"
    assert format_epoch(row | {"is_best": False}, 100).endswith("  123.4 s")


@pytest.mark.parametrize("names", [("accuracy",), ("accuracy", "iou"), ("label_accuracy",), ("r2", "iou")])
def test_the_lines_of_every_task_fit_into_80_characters(names: tuple[str, ...]) -> None:
    row = make_row("loss", *names)
    assert max(map(len, (*format_head(row).splitlines(), format_epoch(row, 100)))) <= 80


def test_a_score_that_only_validation_has_stands_below_its_split() -> None:
    row = make_row("loss") | {"validation_map50": 0.25}
    assert format_head(row) == "         train     validation\n  epoch    loss      loss   map50     time"
    assert format_epoch(row, 100) == " 12/100  0.5123    0.5123   0.250  123.4 s  best"
