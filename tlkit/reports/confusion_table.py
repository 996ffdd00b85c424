"""The confusion matrix as a table whose numbers lead to the images behind them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tlkit.reports.markup import Cell, Html, escape_text, render_cell, render_scrolled
from tlkit.reports.page import Section

MAX_CLASSES_SHOWN = 30
_NUM_SHADES = 10


def render_confusion(
    counts: NDArray[np.integer[Any]], class_names: Sequence[str], link: Callable[[str, str, int], Cell]
) -> Section | None:
    """Return the confusion matrix as a section; None if there are fewer than two classes or more than 30.

    Args:
        counts: Int (classes, classes): rows are true classes, columns predicted ones.
        class_names: Name of each class.
        link: Returns the cell of a true class, a predicted one and their count, which is above 0.
    """
    if not 2 <= len(class_names) <= MAX_CLASSES_SHOWN:
        return None
    columns = "".join(f'<th scope="col"><span>{escape_text(name)}</span></th>' for name in class_names)
    rows = "\n".join(
        f'<tr><th scope="row">{escape_text(name)}</th>'
        + "".join(
            _render_count(count, _shade(count, row), link(name, other, count) if count else "", is_right=other == name)
            for count, other in zip(row.tolist(), class_names, strict=True)
        )
        + "</tr>"
        for name, row in zip(class_names, counts, strict=True)
    )
    table = Html(
        f'<table class="confusion">\n<thead><tr><td>true ↓ predicted →</td>{columns}</tr></thead>\n<tbody>\n{rows}\n'
        "</tbody>\n</table>"
    )
    note = (
        "Each row is a true class, each column a predicted class. Blue is right, orange is wrong; the darker, the "
        "larger the fraction of the row. Click a number to see its images."
    )
    return Section(
        "Confusion matrix", render_scrolled(table, label="Confusion matrix"), note, styles=("confusion.css",)
    )


def _shade(count: int, row: NDArray[np.integer[Any]]) -> int:
    """Return how dark a cell is, 1..10 by its fraction of the row; 0 if there is no image in it."""
    return -(-count * _NUM_SHADES // int(row.sum())) if count else 0


def _render_count(count: int, shade: int, cell: Cell, *, is_right: bool) -> str:
    kind = f' class="{"right" if is_right else "wrong"} shade{shade}"' if count else ""
    return f"<td{kind}>{render_cell(cell)}</td>"
