"""Prediction rows in the three formats."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pytest

from tlkit.errors import SettingError
from tlkit.reports.predictions import (
    ROWS_IN_A_GROUP,
    Prediction,
    check_predictions_path,
    open_predictions,
    prediction_columns,
    rank_classes,
)

ROWS = [
    Prediction("a/cat, the.jpg", (("cat", 0.75), ('do"g', 0.25))),
    Prediction("a/broken.jpg", error="truncated JPEG file"),
    Prediction("a/Gr\u00fc\u00dfe.jpg", (('do"g', 1.0), ("cat", 0.0))),
]


def write(out: Path | io.BytesIO, rows: Iterable[Prediction], *, with_truth: bool = False) -> None:
    with open_predictions(out, top_k=2, with_truth=with_truth) as writer:
        for row in rows:
            writer.write(row)


def rows_that_break_off() -> Iterator[Prediction]:
    yield ROWS[0]
    raise RuntimeError("in the middle")


def test_csv_has_one_row_a_file_with_empty_cells_where_there_is_nothing(tmp_path: Path) -> None:
    write(tmp_path / "p.csv", ROWS)
    with (tmp_path / "p.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))
    assert rows == [
        ["path", "class_name", "probability", "class_name_2", "probability_2", "error"],
        ["a/cat, the.jpg", "cat", "0.75", 'do"g', "0.25", ""],
        ["a/broken.jpg", "", "", "", "", "truncated JPEG file"],
        ["a/Grüße.jpg", 'do"g', "1.0", "cat", "0.0", ""],
    ]


def test_a_stream_gets_csv_and_stays_open() -> None:
    stream = io.BytesIO()
    write(stream, ROWS[:1])
    assert stream.getvalue().decode().splitlines()[1] == '"a/cat, the.jpg",cat,0.75,"do""g",0.25,'
    stream.write(b"still open")


def test_json_lines_have_the_same_columns_and_null_where_there_is_nothing(tmp_path: Path) -> None:
    write(tmp_path / "p.jsonl", ROWS)
    rows = [json.loads(line) for line in (tmp_path / "p.jsonl").read_text("utf-8").splitlines()]
    assert [tuple(row) for row in rows] == [prediction_columns(2)] * 3
    assert rows[1] == {
        "path": "a/broken.jpg",
        "class_name": None,
        "probability": None,
        "class_name_2": None,
        "probability_2": None,
        "error": "truncated JPEG file",
    }
    assert rows[2]["path"] == "a/Grüße.jpg"
    assert rows[0]["probability"] == 0.75


def test_parquet_has_the_same_columns_and_more_rows_than_a_group(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = ROWS + [Prediction(f"{index}.jpg", (("cat", 0.5), ('do"g', 0.5))) for index in range(ROWS_IN_A_GROUP)]
    write(tmp_path / "p.parquet", rows)
    table = pq.read_table(tmp_path / "p.parquet")
    assert tuple(table.column_names) == prediction_columns(2)
    assert table.schema.field("probability").type == pa.float32()
    assert table.num_rows == len(rows)
    assert table.slice(1, 1).to_pylist()[0]["error"] == "truncated JPEG file"
    assert table["path"].to_pylist() == [row.path for row in rows]


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_no_rows_make_a_readable_file(tmp_path: Path, suffix: str) -> None:
    write(tmp_path / f"p{suffix}", [])
    assert (tmp_path / f"p{suffix}").exists()


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_a_file_name_that_is_no_utf8_is_written(tmp_path: Path, suffix: str) -> None:
    write(tmp_path / f"p{suffix}", [Prediction("caf\udce9.jpg", error="empty file")])
    content = (tmp_path / f"p{suffix}").read_bytes()
    assert ("caf\N{REPLACEMENT CHARACTER}.jpg".encode() if suffix == ".parquet" else b"caf\xe9.jpg") in content


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_an_exception_leaves_no_half_file(tmp_path: Path, suffix: str) -> None:
    with pytest.raises(RuntimeError, match="in the middle"):
        write(tmp_path / f"p{suffix}", rows_that_break_off())
    assert list(tmp_path.iterdir()) == []


def test_the_true_class_stands_beside_the_path_where_it_is_known(tmp_path: Path) -> None:
    row = Prediction("a.jpg", (("cat", 0.5), ("dog", 0.5)), true_class_name="dog")
    write(tmp_path / "p.csv", [row], with_truth=True)
    assert (tmp_path / "p.csv").read_text().splitlines() == [
        "path,true_class_name,class_name,probability,class_name_2,probability_2,error",
        "a.jpg,dog,cat,0.5,dog,0.5,",
    ]


def test_classes_are_ranked_by_probability_and_equals_by_order() -> None:
    probabilities = np.array([0.2, 0.3, 0.2, 0.3], np.float32)
    assert rank_classes(probabilities, list("abcd"), 3) == (("b", 0.3), ("d", 0.3), ("a", 0.2))
    assert len(rank_classes(probabilities, list("abcd"), 9)) == 4


def test_probabilities_print_short_and_read_back_to_the_bit() -> None:
    probabilities = np.random.default_rng(0).dirichlet(np.ones(50)).astype(np.float32)
    names = [str(label) for label in range(50)]
    for name, probability in rank_classes(probabilities, names, 50):
        assert np.float32(repr(probability)) == probabilities[int(name)]
        assert len(repr(probability)) <= 14


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "p.xlsx",
            "--out p.xlsx: its ending '.xlsx' names no format.\n"
            "  Expected: a file that ends in .csv, .jsonl or .parquet\n"
            "  Fix: --out p.csv",
        ),
        (
            "p",
            "--out p: no ending.\n  Expected: a file that ends in .csv, .jsonl or .parquet\n  Fix: --out p.csv",
        ),
    ],
)
def test_an_ending_without_a_format_is_refused(name: str, message: str) -> None:
    with pytest.raises(SettingError) as caught:
        check_predictions_path(Path(name))
    assert str(caught.value) == message


def test_a_folder_in_place_of_the_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "p.csv").mkdir()
    with pytest.raises(SettingError) as caught:
        check_predictions_path(tmp_path / "p.csv")
    assert str(caught.value) == (
        f"--out {tmp_path / 'p.csv'} is a folder.\n  Expected: the name of a file\n  Fix: choose another name."
    )
