"""Tables: whole in a pipe, fitted to the window on a terminal."""

from __future__ import annotations

import io
import re
from pathlib import Path

import pytest
from rich.cells import cell_len

from tlkit.reports.console import Console
from tlkit.reports.printed_table import printable, write_csv, write_line, write_table

Capture = pytest.CaptureFixture[str]


class Terminal(io.StringIO):
    """A stream that says that it is a terminal."""

    def isatty(self) -> bool:
        return True


def test_a_table_in_a_pipe_is_never_shortened_and_has_no_colours(capsys: Capture) -> None:
    long_name = "a class with a long name " * 20
    Console().table("Images", ["class", "images"], [[long_name, "1,024"], ["[bold]red", "7"]])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "Images"
    assert any(long_name.strip() in line and line.endswith(" 1,024") for line in lines)
    assert any(line.startswith(" [bold]red") and line.endswith("     7") for line in lines)
    assert all(line == line.rstrip() for line in lines)


def test_a_title_that_is_wider_than_its_table_stays_on_one_line(capsys: Capture) -> None:
    Console().table("Time to a trained model, if no stage stops early", ["trained"], [["all"]])
    assert capsys.readouterr().out.splitlines()[0] == "Time to a trained model, if no stage stops early"


def draw_in_window(monkeypatch: pytest.MonkeyPatch, width: int, columns: list[str], rows: list[list[str]]) -> list[str]:
    """Return the lines of a table in a terminal of so many columns, without their colours."""
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("NO_COLOR", "1")
    stream = Terminal()
    write_table(stream, "Images", columns, rows)
    assert not re.search(r"\x1b\[(?:3[0-7]|9[0-7]|38)", stream.getvalue())
    lines = re.sub(r"\x1b\[[0-9;]*m", "", stream.getvalue()).splitlines()
    assert max(len(line) for line in lines) <= width
    return lines


def test_a_table_on_a_terminal_folds_into_the_window(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = draw_in_window(monkeypatch, 40, ["class", "images"], [["x" * 100, "7"]])
    assert sum(line.count("x") for line in lines) == 100


def test_a_narrow_window_folds_sentences_and_keeps_keys_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    key, sentence = "0123456789abcdef", "resnet50 at conv4 for the photos of last summer"
    lines = draw_in_window(monkeypatch, 44, ["key", "what it holds", "rows"], [[key, sentence, "1,024"]])
    assert sum(key in line for line in lines) == 1
    assert (
        " ".join(" ".join(line.replace(key, "").replace("1,024", "").split()) for line in lines[4:]).strip() == sentence
    )


def test_a_table_that_cannot_be_folded_becomes_a_block_for_each_row(monkeypatch: pytest.MonkeyPatch) -> None:
    columns = ["key", "engine", "trunk", "data"]
    rows = [[f"{number}" * 16, "openvino-float32", "mobilenet_v2@group5", ""] for number in (1, 2)]
    assert draw_in_window(monkeypatch, 40, columns, rows) == [
        "Images",
        "",
        " key     1111111111111111",
        " engine  openvino-float32",
        " trunk   mobilenet_v2@group5",
        "",
        " key     2222222222222222",
        " engine  openvino-float32",
        " trunk   mobilenet_v2@group5",
        "",
    ]


def test_wide_characters_push_no_column_out_of_the_window(monkeypatch: pytest.MonkeyPatch) -> None:
    columns, rows = ["class", "train", "validation", "total"], [["金魚" * 16, "5", "1", "6"], ["猫", "50", "10", "60"]]
    lines = draw_in_window(monkeypatch, 80, columns, rows)
    assert max(map(cell_len, lines)) <= 80
    assert "".join(lines).count("金魚") == 16
    assert [line.split()[-3:] for line in lines if line.split()[-1:] in (["6"], ["60"])] == [
        ["5", "1", "6"],
        ["50", "10", "60"],
    ]
    assert draw_in_window(monkeypatch, 30, ["クラス", "b"], [["金" * 8, "x" * 12]])[2:] == [
        f" クラス  {'金' * 8}",
        f" b       {'x' * 12}",
        "",
    ]


def test_columns_of_numbers_are_aligned_to_the_right() -> None:
    stream = io.StringIO()
    write_table(
        stream, "T", ["name", "count", "share", "mixed"], [["a", "5", "12.5 %", "x"], ["bb", "1,000", "-", "7"]]
    )
    lines = stream.getvalue().splitlines()
    first, second = lines[-2:] if lines[-1] else lines[-3:-1]
    assert first.index("5") == second.index("1,000") + 4
    assert first.index("x") == second.index("7")


def test_cells_are_quoted_where_needed_and_none_is_empty(tmp_path: Path) -> None:
    write_csv(tmp_path / "t.csv", ("class_name", "precision"), [("cat, big", 0.5), ("Grüße", None)])
    assert (tmp_path / "t.csv").read_text("utf-8") == 'class_name,precision\n"cat, big",0.5\nGrüße,\n'


def test_a_file_name_that_is_no_text_is_shown_with_escapes() -> None:
    assert printable("caf\udce9.jpg") == "caf\\udce9.jpg"


def test_a_stream_that_lacks_a_character_gets_its_escape() -> None:
    content = io.BytesIO()
    stream = io.TextIOWrapper(content, encoding="ascii", write_through=True)
    write_line(stream, "naïve")
    assert content.getvalue() == b"na\\xefve\n"
