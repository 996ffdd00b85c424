"""Print tables: complete in a pipe or a file, fitted to the window on a terminal."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from tlkit.files import format_csv_row, write_text
from tlkit.places.copies import show_path, show_text

if TYPE_CHECKING:
    from rich.table import Table


ESCAPES = {code: f"\\x{code:02x}" for code in (*range(9), *range(11, 32), *range(127, 160))}


def is_terminal(stream: TextIO) -> bool:
    """Return whether `stream` is a terminal that can redraw lines."""
    return stream.isatty() and os.environ.get("TERM", "") not in ("dumb", "unknown")


def write_line(stream: TextIO, text: str) -> None:
    """Write `text` and a newline, with unsupported and control characters escaped."""
    stream.write(printable(show_text(text), stream.encoding or "utf-8") + "\n")
    stream.flush()


def printable(text: str, encoding: str = "utf-8") -> str:
    """Escape control characters, and characters that `encoding` lacks, with backslashes."""
    return text.translate(ESCAPES).encode(encoding, "backslashreplace").decode(encoding)


def write_csv(path: Path, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write a header and the rows; None becomes an empty cell, and the path of a copy the URL of its place."""
    shown = ([show_path(cell) if isinstance(cell, Path) else cell for cell in row] for row in rows)
    write_text(path, "".join(map(format_csv_row, (columns, *shown))))


WIDTH_OF_A_PIPE = 100_000
LONGEST_WORD = 40
"""Longest word that is not broken in a narrow window."""
COLUMN_GAP = 3


def write_table(stream: TextIO, title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Write a table: full width in a pipe or a file, fitted to the window on a terminal.

    In a narrow window, cells wrap between words, but keys, numbers and paths stay in one piece so that they can be
    copied. If the table still does not fit, each row becomes a block of lines.
    """
    from rich.console import Console as RichConsole

    encoding = stream.encoding or "utf-8"
    title = printable(show_text(title), encoding)
    columns = [printable(name, encoding) for name in columns]
    rows = [[printable(show_text(cell), encoding).replace("\n", "\\n") for cell in row] for row in rows]
    if is_terminal(stream):
        console = RichConsole(file=stream, highlight=False)
        if _narrowest_width(columns, rows) > console.width:
            write_line(stream, _describe_rows(title, columns, rows))
        else:
            write_line(stream, title)
            console.print(_lay_out(columns, rows))
        return
    plain = RichConsole(file=stream, width=WIDTH_OF_A_PIPE, force_terminal=False, color_system=None)
    with plain.capture() as capture:
        plain.print(_lay_out(columns, rows))
    stream.writelines(line.rstrip() + "\n" for line in [title, *capture.get().splitlines()])
    stream.flush()


def _lay_out(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    """Return a rich table; numeric columns are right-aligned."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for index, name in enumerate(columns):
        cells = [row[index] for row in rows]
        table.add_column(
            Text(name),
            justify="right" if cells and all(map(_is_number, cells)) else "left",
            overflow="fold",
            no_wrap=_stays_whole(cells),
        )
    for row in rows:
        table.add_row(*map(Text, row))
    return table


def _stays_whole(cells: Sequence[str]) -> bool:
    """Return whether a column contains single words or numbers that a reader may want to copy."""
    return (
        all(" " not in cell or _is_number(cell) for cell in cells)
        and max(map(_measure, cells), default=0) <= LONGEST_WORD
    )


def _narrowest_width(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> int:
    """Return the width in characters of a fully wrapped table."""
    width = 2
    for index, name in enumerate(columns):
        cells = [row[index] for row in rows]
        if _stays_whole(cells):
            width += max(map(_measure, (*cells, name)))
        else:
            words = [word for cell in (*cells, name) for word in cell.split()]
            width += min(max(map(_measure, words), default=0), LONGEST_WORD // 2)
        width += COLUMN_GAP
    return width


def _describe_rows(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return the title and, for each row, a block of lines with column names and values."""
    longest = max(map(_measure, columns))
    blocks = [
        "\n".join(
            f" {name}{' ' * (longest - _measure(name))}  {cell}"
            for name, cell in zip(columns, row, strict=True)
            if cell
        )
        for row in rows
    ]
    return "\n\n".join([title, *blocks]) + "\n"


def _measure(text: str) -> int:
    """Return the width of a text in terminal columns; Chinese, Japanese and Korean characters take two."""
    from rich.cells import cell_len

    return cell_len(text)


def _is_number(cell: str) -> bool:
    """Return whether a cell is numeric: `1,024`, `0.83`, `12.5 %`, `-`, or empty."""
    text = cell.strip().removesuffix("%").replace(",", "").strip()
    if text in ("", "-", "–"):
        return True
    try:
        float(text)
    except ValueError:
        return False
    return True
