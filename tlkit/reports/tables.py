"""Write a table as a CSV file."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from tlkit.files import format_csv_row, write_text


def write_csv(path: Path, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write a header and the rows; None becomes an empty cell."""
    write_text(path, "".join(map(format_csv_row, (columns, *rows))))
