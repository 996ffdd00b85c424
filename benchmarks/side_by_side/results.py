"""The page of results: written anew after every row, so that nothing is lost when the run is interrupted."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from benchmarks.side_by_side.figures import Row, judge
from benchmarks.side_by_side.machine import Machine

HEADER = ("work", "tlkit", "instead", "compared", "goal: at least, aim", "")
INTRODUCTION = """\
Written by `make bench`; [README.md](README.md) tells what each row measures. Every side runs in a process of its own, and
the sides of a row take turns. A figure is the median, with the lowest and highest in brackets; the comparison is made in
each round, and its median and spread are given.
"""


@dataclass(frozen=True)
class Table:
    """A table beside the main one: a title, a header, cells, and a paragraph below."""

    title: str
    header: Sequence[str]
    cells: Sequence[Sequence[str]]
    note: str


@dataclass
class Results:
    """What has been measured so far.

    Attributes:
        path: The page.
        command: What the user typed.
        machine: Where it ran.
        is_complete: Whether all that was asked for has been tried.
        rows: The lines of the main table.
        tables: Those beside it.
        missing: What was not measured: its name, and why.
    """

    path: Path
    command: str
    machine: Machine
    is_complete: bool = False
    rows: list[Row] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    missing: list[tuple[str, str]] = field(default_factory=list)

    def write(self) -> None:
        """Write the page aside and put it in place."""
        aside = self.path.with_suffix(".partial")
        aside.write_text(self.render(), encoding="utf-8")
        os.replace(aside, self.path)

    def render(self) -> str:
        """Return the page."""
        parts = ["# tlkit side by side", INTRODUCTION.strip(), render_table(("", ""), self.machine.list_facts())]
        parts.append(f"```\n{self.command}\n```")
        if not self.is_complete:
            parts.append("**This run has not come to its end.**")
        if self.rows:
            parts += [
                "## Beside what a user would pick instead",
                render_table(HEADER, [render_row(row) for row in self.rows]),
            ]
            parts += [f"- {row.work}: {row.note}" for row in self.rows if row.note]
        for table in self.tables:
            parts += [f"## {table.title}", render_table(table.header, table.cells), table.note]
        if self.missing:
            parts += ["## Not measured", *(f"- {name}: {reason}" for name, reason in self.missing)]
        return join_blocks(parts)


def render_row(row: Row) -> list[str]:
    """Return the cells of a line of the main table."""
    instead = row.instead if row.theirs is None else f"{row.instead}: {row.theirs}"
    return [
        row.work,
        str(row.ours),
        instead,
        str(row.compared),
        render_wanted(row),
        judge(row.compared, row.goal),
    ]


def render_wanted(row: Row) -> str:
    """Return `6.0 ×, 7.5 ×`, or nothing without a goal."""
    limits = (row.goal.least, row.goal.aim) if row.goal else ()
    return ", ".join(row.compared.form.write(limit) for limit in limits if limit is not None)


def render_table(header: Sequence[str], cells: Sequence[Sequence[str]]) -> str:
    """Return a table in Markdown; `|` within a cell is escaped."""
    lines = [list(header), ["---"] * len(header), *cells]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def join_blocks(parts: Sequence[str]) -> str:
    """Return paragraphs with an empty line between them, but none between the items of a list."""
    text = parts[0]
    for before, part in pairwise(parts):
        text += ("\n" if before.startswith("- ") and part.startswith("- ") else "\n\n") + part
    return text + "\n"
