"""Plain tables as CSV."""

from __future__ import annotations

from pathlib import Path

from tlkit.reports.tables import write_csv


def test_cells_are_quoted_where_needed_and_none_is_empty(tmp_path: Path) -> None:
    write_csv(tmp_path / "t.csv", ("class_name", "precision"), [("cat, big", 0.5), ("Grüße", None)])
    assert (tmp_path / "t.csv").read_text("utf-8") == 'class_name,precision\n"cat, big",0.5\nGrüße,\n'
