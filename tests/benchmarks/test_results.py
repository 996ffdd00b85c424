"""The page that `make bench` writes."""

from __future__ import annotations

from pathlib import Path

from benchmarks.side_by_side.figures import RATE, Figure, Goal, Row, compare
from benchmarks.side_by_side.machine import Machine
from benchmarks.side_by_side.results import Results, Table

OURS, THEIRS = Figure((60.0, 66.0), RATE), Figure((10.0, 12.0), RATE)
ROW = Row("precompute", OURS, "stock Keras", THEIRS, compare(OURS, THEIRS), Goal(6, 7.5), note="in one run")


def make_results(path: Path) -> Results:
    return Results(path / "results.md", "make bench", Machine((("cores", "2"),)))


def test_a_line_tells_both_sides_the_ratio_and_what_was_wanted(tmp_path: Path) -> None:
    results = make_results(tmp_path)
    results.rows.append(ROW)
    line = (
        "| precompute | 63.0 images/s (60.0 to 66.0) | stock Keras: 11.0 images/s (10.0 to 12.0) "
        "| 5.8 × (5.5 to 6.0) | 6.0 ×, 7.5 × | **not reached** |"
    )
    assert line in results.render().splitlines()
    assert "- precompute: in one run" in results.render().splitlines()


def test_a_run_that_has_not_ended_says_so(tmp_path: Path) -> None:
    results = make_results(tmp_path)
    assert "**This run has not come to its end.**" in results.render()
    results.is_complete = True
    assert "not come to its end" not in results.render()


def test_what_was_not_measured_is_listed_with_its_reason(tmp_path: Path) -> None:
    results = make_results(tmp_path)
    results.missing += [("guide", "it needs data."), ("logistic", "failed: Error: no room.")]
    assert results.render().endswith(
        "## Not measured\n\n- guide: it needs data.\n- logistic: failed: Error: no room.\n"
    )


def test_the_page_is_replaced_as_a_whole(tmp_path: Path) -> None:
    results = make_results(tmp_path)
    results.write()
    results.tables.append(Table("Growth", ("images", "s"), [("250", "1|2")], "Small ones."))
    results.write()
    assert "## Growth\n\n| images | s |\n| --- | --- |\n| 250 | 1\\|2 |\n\nSmall ones.\n" in results.path.read_text(
        "utf-8"
    )
    assert [path.name for path in tmp_path.iterdir()] == ["results.md"]
