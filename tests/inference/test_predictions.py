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
from tlkit.inference.predictions import PredictionColumns, open_predictions
from tlkit.outputs import CLASSIFICATION, MULTILABEL, REGRESSION
from tlkit.reports.row_file import ROWS_IN_A_GROUP, check_rows_path
from tlkit.tasks.predictions import Prediction, rank_classes, shorten_float32

ROWS = [
    Prediction("a/cat, the.jpg", (("cat", 0.75), ('do"g', 0.25))),
    Prediction("a/broken.jpg", error="truncated JPEG file"),
    Prediction("a/Gr\u00fc\u00dfe.jpg", (('do"g', 1.0), ("cat", 0.0))),
]


COLUMNS = PredictionColumns(top_k=2)
LABELS = PredictionColumns(task=MULTILABEL, top_k=2, with_targets=True, with_box=True)
LABEL_ROWS = [
    Prediction(
        "a.jpg",
        (("dog", 0.75), ("cat", 0.25)),
        (1.0, 2.0, 3.0, 4.004),
        labels=("cat", "dog"),
        true_labels=("dog",),
    ),
    Prediction("b.jpg", (("dog", 0.1), ("cat", 0.0)), labels=(), true_labels=()),
    Prediction("c.jpg", error="empty file"),
]
VALUES = PredictionColumns(task=REGRESSION, value_name="probability", with_targets=True, with_box=True)
VALUE_ROWS = [
    Prediction("a.jpg", box=(1.0, 2.0, 3.0, 4.0), value=324_987.3, true_value=0.1),
    Prediction("b.jpg", error="empty file"),
]


def write(out: Path | io.BytesIO, rows: Iterable[Prediction], columns: PredictionColumns = COLUMNS) -> None:
    with open_predictions(out, columns) as writer:
        for row in rows:
            writer.write(row)


def read_lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


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
    rows = read_lines(tmp_path / "p.jsonl")
    assert [tuple(row) for row in rows] == [COLUMNS.names()] * 3
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
    assert tuple(table.column_names) == COLUMNS.names()
    assert table.schema.field("probability").type == pa.float32()
    assert table.num_rows == len(rows)
    assert table.slice(1, 1).to_pylist()[0]["error"] == "truncated JPEG file"
    assert table["path"].to_pylist() == [row.path for row in rows]


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_no_rows_make_a_readable_file(tmp_path: Path, suffix: str) -> None:
    write(tmp_path / f"p{suffix}", [])
    assert (tmp_path / f"p{suffix}").exists()


@pytest.mark.parametrize(
    ("suffix", "written"),
    [
        (".csv", b"caf\xe9.jpg"),
        (".jsonl", rb"caf\udce9.jpg"),
        (".parquet", "caf\N{REPLACEMENT CHARACTER}.jpg".encode()),
    ],
)
def test_a_file_name_that_is_no_utf8_is_written(tmp_path: Path, suffix: str, written: bytes) -> None:
    write(tmp_path / f"p{suffix}", [Prediction("caf\udce9.jpg", error="empty file")])
    assert written in (tmp_path / f"p{suffix}").read_bytes()


@pytest.mark.parametrize("name", ["a\nb.jpg", "a\r.jpg", 'a"b",c.jpg', "a\r\nb.jpg", "caf\udce9.jpg", "\u2028.jpg", ""])
def test_every_file_name_is_read_back_as_it_was(tmp_path: Path, name: str) -> None:
    rows = [Prediction(name, (("cat", 0.75), ('do"g', 0.25))), Prediction("b.jpg", error="empty file")]
    write(tmp_path / "p.csv", rows)
    write(tmp_path / "p.jsonl", rows)
    with (tmp_path / "p.csv").open(newline="", encoding="utf-8", errors="surrogateescape") as file:
        assert [row["path"] for row in csv.DictReader(file)] == [name, "b.jpg"]
    lines = (tmp_path / "p.jsonl").read_bytes().splitlines()
    assert [json.loads(line)["path"] for line in lines] == [name, "b.jpg"]


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_the_rows_before_an_exception_stay_and_so_does_the_earlier_file(tmp_path: Path, suffix: str) -> None:
    path, partial = tmp_path / f"p{suffix}", tmp_path / f"p{suffix}.partial"
    write(path, ROWS)
    earlier = path.read_bytes()
    with pytest.raises(RuntimeError, match="in the middle"):
        write(path, rows_that_break_off())
    assert path.read_bytes() == earlier
    write(tmp_path / f"one{suffix}", ROWS[:1])
    assert partial.read_bytes() == (tmp_path / f"one{suffix}").read_bytes()
    write(path, ROWS[:1])
    assert path.read_bytes() == (tmp_path / f"one{suffix}").read_bytes()
    assert not partial.exists()


@pytest.mark.parametrize("suffix", [".csv", ".jsonl"])
def test_each_row_is_there_as_soon_as_it_is_written(tmp_path: Path, suffix: str) -> None:
    partial = tmp_path / f"p{suffix}.partial"
    with open_predictions(tmp_path / f"p{suffix}", COLUMNS) as writer:
        for number, row in enumerate(ROWS, start=1):
            writer.write(row)
            content = partial.read_bytes()
            assert content.count(b"\n") == number + (suffix == ".csv")
            assert content.endswith(b"\n")
    assert [path.name for path in tmp_path.iterdir()] == [f"p{suffix}"]


def test_the_true_class_stands_beside_the_path_where_it_is_known(tmp_path: Path) -> None:
    row = Prediction("a.jpg", (("cat", 0.5), ("dog", 0.25)), true_class_name="eel", true_probability=0.125)
    write(tmp_path / "p.csv", [row], PredictionColumns(top_k=2, with_targets=True))
    assert (tmp_path / "p.csv").read_text().splitlines() == [
        "path,true_class_name,true_class_probability,class_name,probability,class_name_2,probability_2,error",
        "a.jpg,eel,0.125,cat,0.5,dog,0.25,",
    ]


def test_flags_are_yes_or_no(tmp_path: Path) -> None:
    rows = [
        Prediction("a.jpg", (("cat", 0.5),), is_uncertain=True, distance=0.25),
        Prediction("b.jpg", (("cat", 1.0),), is_uncertain=False, distance=0.5, is_unknown=True),
        Prediction("c.jpg", error="empty file"),
    ]
    write(tmp_path / "p.csv", rows, PredictionColumns(with_uncertain=True, with_distance=True))
    assert (tmp_path / "p.csv").read_text().splitlines() == [
        "path,class_name,probability,uncertain,unknown,distance,error",
        "a.jpg,cat,0.5,yes,no,0.25,",
        "b.jpg,cat,1.0,no,yes,0.5,",
        "c.jpg,,,,,,empty file",
    ]
    assert [row.flag for row in rows] == ["uncertain", "unknown", ""]


def test_labels_in_csv_are_joined_and_stand_before_the_ranking(tmp_path: Path) -> None:
    write(tmp_path / "p.csv", LABEL_ROWS, LABELS)
    assert (tmp_path / "p.csv").read_text().splitlines() == [
        "path,true_labels,labels,class_name,probability,class_name_2,probability_2,left,top,right,bottom,error",
        "a.jpg,dog,cat|dog,dog,0.75,cat,0.25,1.0,2.0,3.0,4.0,",
        "b.jpg,,,dog,0.1,cat,0.0,,,,,",
        "c.jpg,,,,,,,,,,,empty file",
    ]


def test_labels_in_json_lines_and_parquet_tell_no_label_from_no_prediction(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    write(tmp_path / "p.jsonl", LABEL_ROWS, LABELS)
    write(tmp_path / "p.parquet", LABEL_ROWS, LABELS)
    table = pq.read_table(tmp_path / "p.parquet")
    for rows in (read_lines(tmp_path / "p.jsonl"), table.to_pylist()):
        assert [tuple(row) for row in rows] == [LABELS.names()] * 3
        assert [row["labels"] for row in rows] == ["cat|dog", "", None]
        assert [row["true_labels"] for row in rows] == ["dog", "", None]
    assert [table.schema.field(name).type for name in ("labels", "probability_2", "left")] == [
        pa.string(),
        pa.float32(),
        pa.float32(),
    ]


def test_values_in_csv_stand_under_their_name(tmp_path: Path) -> None:
    write(tmp_path / "p.csv", VALUE_ROWS, VALUES)
    assert (tmp_path / "p.csv").read_text().splitlines() == [
        "path,true_value,probability,left,top,right,bottom,error",
        "a.jpg,0.1,324987.3,1.0,2.0,3.0,4.0,",
        "b.jpg,,,,,,,empty file",
    ]


def test_values_in_json_lines_and_parquet_keep_all_their_digits(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    write(tmp_path / "p.jsonl", VALUE_ROWS, VALUES)
    write(tmp_path / "p.parquet", VALUE_ROWS, VALUES)
    table = pq.read_table(tmp_path / "p.parquet")
    for rows in (read_lines(tmp_path / "p.jsonl"), table.to_pylist()):
        assert [tuple(row) for row in rows] == [VALUES.names()] * 2
        assert [(row["probability"], row["true_value"]) for row in rows] == [(324_987.3, 0.1), (None, None)]
    assert {table.schema.field(name).type for name in ("probability", "true_value")} == {pa.float64()}


@pytest.mark.parametrize("name", ["path", "error", "left", "true_value", "Bottom"])
def test_a_value_called_like_another_column_gets_a_name_of_its_own(name: str) -> None:
    columns = PredictionColumns(task=REGRESSION, value_name=name, with_targets=True, with_box=True)
    assert columns.value_column == f"predicted_{name}"
    assert len(columns.names()) == 8


@pytest.mark.parametrize(
    ("columns", "names"),
    [
        (PredictionColumns(CLASSIFICATION), ("path", "class_name", "probability", "error")),
        (PredictionColumns(MULTILABEL), ("path", "labels", "class_name", "probability", "error")),
        (PredictionColumns(REGRESSION, value_name="price_usd"), ("path", "price_usd", "error")),
        (PredictionColumns(REGRESSION, top_k=3), ("path", "value", "error")),
    ],
)
def test_truth_and_box_have_no_columns_unless_they_are_wanted(
    columns: PredictionColumns, names: tuple[str, ...]
) -> None:
    assert columns.names() == names


def test_classes_are_ranked_by_probability_and_equals_by_order() -> None:
    probabilities = np.array([0.2, 0.3, 0.2, 0.3], np.float32)
    assert rank_classes(probabilities, list("abcd"), 3) == (("b", 0.3), ("d", 0.3), ("a", 0.2))
    assert len(rank_classes(probabilities, list("abcd"), 9)) == 4


def test_probabilities_print_short_and_read_back_to_the_bit() -> None:
    probabilities = np.random.default_rng(0).dirichlet(np.ones(50)).astype(np.float32)
    names = [str(label) for label in range(50)]
    assert repr(shorten_float32(np.float32(0.83))) == "0.83"
    for name, probability in rank_classes(probabilities, names, 50):
        assert np.float32(repr(probability)) == probabilities[int(name)]
        assert len(repr(probability)) <= 14


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "p.xlsx",
            "--out p.xlsx: unknown suffix .xlsx.\n"
            "  Expected: a file that ends in .csv, .jsonl or .parquet\n"
            "  Fix: --out p.csv",
        ),
        (
            "p",
            "--out p: no suffix.\n  Expected: a file that ends in .csv, .jsonl or .parquet\n  Fix: --out p.csv",
        ),
    ],
)
def test_an_ending_without_a_format_is_refused(name: str, message: str) -> None:
    with pytest.raises(SettingError) as caught:
        check_rows_path(Path(name))
    assert str(caught.value) == message


def test_a_folder_in_place_of_the_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "p.csv").mkdir()
    with pytest.raises(SettingError) as caught:
        check_rows_path(tmp_path / "p.csv")
    assert str(caught.value) == (
        f"--out {tmp_path / 'p.csv'} is a folder.\n  Expected: a file name\n  Fix: use another name."
    )
