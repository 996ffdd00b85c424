"""`tlkit evaluate` from the words on the command line to what a shell sees."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.origin import name_origin, read_origin

RunCli = Callable[..., Any]


pytestmark = pytest.mark.usefixtures("bundles_are_read_once")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory, make_bundle: Callable[..., Path]) -> Path:
    """A model with random weights."""
    return make_bundle(tmp_path_factory.mktemp("model") / "bundle", ("green", "red"))


def test_evaluate_json_has_accuracy_with_its_interval_macro_f1_and_classes(
    run_cli: RunCli, bundle: Path, tmp_path: Path, make_image_folder: Callable[..., Path]
) -> None:
    photos = make_image_folder(tmp_path / "photos", {"red": 3, "green": 2})
    payload = run_cli("evaluate", bundle, photos, "--json").json()
    assert set(payload["accuracy"]) == {"value", "low", "high"}
    assert 0 <= payload["macro_f1"] <= 1
    assert [(score["class_name"], score["support"]) for score in payload["classes"]] == [("green", 2), ("red", 3)]
    assert payload["data"] == str(photos)


def test_evaluate_takes_the_split_of_a_data_set(
    run_cli: RunCli, bundle: Path, tmp_path: Path, make_image_folder: Callable[..., Path]
) -> None:
    layout = {"train/red": 1, "train/green": 1, "test/red": 2, "val/red": 3}
    photos = make_image_folder(tmp_path / "photos", layout)
    assert run_cli("evaluate", bundle, photos, "--json").json()["images"] == 2
    assert run_cli("evaluate", bundle, photos, "--split", "validation", "--json").json()["images"] == 3


def test_evaluate_reads_a_table_by_the_columns_named(
    run_cli: RunCli, bundle: Path, tmp_path: Path, make_image_folder: Callable[..., Path]
) -> None:
    make_image_folder(tmp_path, {"photos/red": 2})
    table = tmp_path / "labels.csv"
    table.write_text("datei,farbe\nphotos/red/red_000.png,red\nphotos/red/red_001.png,green\n")
    result = run_cli("evaluate", bundle, table, "--image-column", "datei", "--label-column", "farbe", "--json")
    assert [score["support"] for score in result.json()["classes"]] == [1, 1]


def test_evaluate_tells_the_story_and_writes_the_folder(
    run_cli: RunCli, bundle: Path, tmp_path: Path, make_image_folder: Callable[..., Path]
) -> None:
    photos = make_image_folder(tmp_path / "photos", {"red": 3})
    result = run_cli("evaluate", bundle, photos, "--views", 2, "--out", tmp_path / "out")
    assert result.exit_code == 0
    assert f"Evaluating {bundle} on 3 images, each in 2 standard views: {photos}." in " ".join(result.stdout.split())
    assert "mean of the classes" in result.stdout
    page = tmp_path / "out" / "report.html"
    assert name_origin(page) == "data, backbone, boundary, command, date, versions"
    assert read_origin(page)["command"] == f"tlkit evaluate {bundle} {photos} --views 2 --out {tmp_path / 'out'}"
    assert "(95% interval " in result.stdout
    assert f"Written: {tmp_path / 'out'}" in result.stdout
    assert (tmp_path / "out" / "confusion.png").exists()


def test_a_class_that_the_model_does_not_know_is_an_error(
    run_cli: RunCli, bundle: Path, tmp_path: Path, make_image_folder: Callable[..., Path]
) -> None:
    photos = make_image_folder(tmp_path / "photos", {"red": 1, "grean": 1})
    result = run_cli("evaluate", bundle, photos)
    assert result.exit_code == 1
    assert "grean" in result.stderr
    assert "green" in result.stderr


def test_evaluate_without_data_needs_a_run(run_cli: RunCli, bundle: Path) -> None:
    result = run_cli("evaluate", bundle)
    assert result.exit_code == 1
    assert result.stderr == (
        f"Error: {bundle} is a bundle without its run, so it has no images.\n"
        "  Expected: a run folder with its manifest.csv, or images to evaluate on\n"
        f"  Fix: tlkit evaluate {bundle} DATA\n"
    )


def test_the_help_has_an_example(run_cli: RunCli) -> None:
    assert "Example: tlkit evaluate runs/third photos/test" in run_cli("evaluate", "--help").stdout
