"""`tlkit predict` from the words on the command line to what a shell sees."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

RunCli = Callable[..., Any]


pytestmark = pytest.mark.usefixtures("bundles_are_read_once")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory, make_bundle: Callable[..., Path]) -> Path:
    """A model with random weights."""
    return make_bundle(tmp_path_factory.mktemp("model") / "bundle", ("cat", "dog"))


@pytest.fixture
def photos(tmp_path: Path, make_image_folder: Callable[..., Path]) -> Path:
    root = make_image_folder(tmp_path / "photos", {"red": 2})
    (root / "broken.jpg").write_bytes(b"\xff\xd8\xff")
    return root


def test_predict_prints_nothing_but_csv_on_standard_output(run_cli: RunCli, bundle: Path, photos: Path) -> None:
    result = run_cli("predict", bundle, photos)
    rows = list(csv.DictReader(io.StringIO(result.stdout)))
    assert result.exit_code == 0
    assert len(rows) == 3
    assert list(rows[0]) == ["path", "class_name", "probability", "class_name_2", "probability_2", "error"]
    assert "Warning: 1 of 3 files could not be read; the rows say why." in result.stderr


def test_predict_with_out_tells_the_story_and_where_the_rows_are(
    run_cli: RunCli, bundle: Path, photos: Path, tmp_path: Path
) -> None:
    result = run_cli("predict", bundle, photos, "--out", tmp_path / "p.parquet", "--top-k", 1)
    assert result.exit_code == 0
    assert f"Predictions: {tmp_path / 'p.parquet'}" in result.stdout
    assert "Answers" in result.stdout
    assert (tmp_path / "p.parquet").read_bytes()[:4] == b"PAR1"


def test_predict_json_is_one_object(run_cli: RunCli, bundle: Path, photos: Path) -> None:
    payload = run_cli("predict", bundle, photos, "--json").json()
    assert payload["images"] == 3
    assert payload["errors"] == 1
    assert [row["error"] is None for row in payload["predictions"]] == [False, True, True]


def test_predict_reads_paths_from_standard_input(run_cli: RunCli, bundle: Path, photos: Path) -> None:
    path = photos / "red" / "red_001.png"
    result = run_cli("predict", bundle, "-", stdin=f"{path}\n")
    assert result.stdout.splitlines()[1].startswith(f"{path},")


def test_predict_refuses_an_unknown_ending_before_tensorflow_is_loaded(
    run_cli: RunCli, bundle: Path, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tlkit.workflows.predict.start_keras", lambda: pytest.fail("TensorFlow was started"))
    result = run_cli("predict", bundle, photos, "--out", "p.xlsx")
    assert result.exit_code == 1
    assert result.stderr == (
        "Error: --out p.xlsx: its ending '.xlsx' names no format.\n"
        "  Expected: a file that ends in .csv, .jsonl or .parquet\n"
        "  Fix: --out p.csv\n"
    )


@pytest.mark.parametrize("words", [["--top-k", "0"], ["--batch-size", "0"]])
def test_predict_refuses_a_count_below_one(run_cli: RunCli, bundle: Path, photos: Path, words: list[str]) -> None:
    assert run_cli("predict", bundle, photos, *words).exit_code == 2


def test_predict_needs_a_source(run_cli: RunCli, bundle: Path) -> None:
    assert run_cli("predict", bundle).exit_code == 2


def test_the_help_has_an_example(run_cli: RunCli) -> None:
    result = run_cli("predict", "--help")
    assert "Example: tlkit predict runs/first new-photos/ --out predictions.csv" in result.stdout
