"""`tlkit predict` from the words on the command line to what a shell sees."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tlkit.data.images import LOADER_VERSION
from tlkit.metadata.encoding import CategoryColumn, MetadataEncoding
from tlkit.models.classifier import assemble_classifier
from tlkit.models.saving import write_bundle
from tlkit.models.spec import BundleSpec
from tlkit.models.storage import read_spec
from tlkit.recipes import HeadSettings

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
    assert "Predictions" in result.stdout
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
    monkeypatch.setattr("tlkit.models.opening.start_keras", lambda: pytest.fail("TensorFlow was started"))
    result = run_cli("predict", bundle, photos, "--out", "p.xlsx")
    assert result.exit_code == 1
    assert result.stderr == (
        "Error: --out p.xlsx: unknown suffix .xlsx.\n"
        "  Expected: a file that ends in .csv, .jsonl or .parquet\n"
        "  Fix: --out p.csv\n"
    )


@pytest.mark.parametrize("words", [["--top-k", "0"], ["--batch-size", "0"], ["--views", "0"]])
def test_predict_refuses_a_count_below_one(run_cli: RunCli, bundle: Path, photos: Path, words: list[str]) -> None:
    assert run_cli("predict", bundle, photos, *words).exit_code == 2


def test_predict_averages_over_views(run_cli: RunCli, bundle: Path, photos: Path) -> None:
    one, three = (run_cli("predict", bundle, photos, "--views", count, "--json").json() for count in (1, 3))
    assert (one["views"], three["views"]) == (1, 3)
    assert one["predictions"][1]["classes"] != three["predictions"][1]["classes"]
    strong = run_cli("predict", bundle, photos, "--views", 3, "--policy", "strong", "--json").json()
    assert strong["predictions"][1]["classes"] != three["predictions"][1]["classes"]


@pytest.mark.parametrize("command", ["predict", "evaluate"])
def test_a_policy_without_views_is_refused(run_cli: RunCli, bundle: Path, photos: Path, command: str) -> None:
    result = run_cli(command, bundle, photos, "--policy", "strong")
    assert (result.exit_code, result.stderr) == (
        1,
        "Error: --policy strong has no effect without --views: the only view is the image itself.\n"
        "  Expected: --policy only with --views of 2 or more\n"
        "  Fix: add --views 4, or leave out --policy.\n",
    )


@pytest.fixture(scope="module")
def boats(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that goes by the boat alone: Herons catch cats, others dogs."""
    spec = BundleSpec(
        "tiny",
        (64, 64),
        "squash",
        LOADER_VERSION,
        "avg",
        HeadSettings(kind="linear"),
        ("cat", "dog"),
        metadata=MetadataEncoding((CategoryColumn("boat", ("Heron", "Otter")),)),
    )
    classifier = assemble_classifier(spec, weights="random", seed=1)
    kernel = np.zeros(classifier.head.trainable_weights[-2].shape)
    kernel[-4:] = [[4, -4], [-4, 4], [0, 0], [0, 0]]
    classifier.head.trainable_weights[-2].assign(kernel)
    folder = tmp_path_factory.mktemp("model") / "boats"
    images, metadata = np.zeros((1, 64, 64, 3), np.uint8), spec.metadata.encode([("Heron",)])
    write_bundle(folder, classifier, classifier.spec, images, metadata)
    return folder


def test_predict_takes_metadata_from_the_rows_of_a_table(run_cli: RunCli, boats: Path, photos: Path) -> None:
    table = photos / "catch.csv"
    table.write_text("file,photo,boat\nred/red_000.png,?,Heron\nelsewhere/red_001.png,red/red_001.png,Otter\n")
    result = run_cli("predict", boats, photos / "red", photos / "broken.jpg", "--table", table, "--top-k", 1)
    assert result.exit_code == 0
    rows = list(csv.DictReader(io.StringIO(result.stdout)))
    assert [(Path(row["path"]).name, row["class_name"], row["error"]) for row in rows] == [
        ("red_000.png", "cat", ""),
        ("red_001.png", "dog", ""),
        ("broken.jpg", "", "damaged or truncated JPEG file"),
    ]
    named = run_cli("predict", boats, photos / "red", "--table", table, "--image-column", "photo")
    assert [(row["class_name"], row["error"]) for row in csv.DictReader(io.StringIO(named.stdout))] == [
        ("", "no row for it in catch.csv"),
        ("dog", ""),
    ]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            (),
            "Error: the model also takes boat, but no table was given.\n"
            "  Expected: a table with image paths and these columns\n"
            "  Fix: add --table TABLE.\n",
        ),
        (
            ("--table", "{table}"),
            "Error: {table}: no image column among photo, boat.\n"
            "  Expected: a column named path, image_path, image, filepath, file_path, filename, file_name, file or "
            "image_name\n"
            "  Fix: name the column with --image-column.\n",
        ),
    ],
)
def test_predict_refuses_a_table_that_does_not_tell_before_tensorflow_is_loaded(
    run_cli: RunCli,
    boats: Path,
    photos: Path,
    monkeypatch: pytest.MonkeyPatch,
    words: tuple[str, ...],
    message: str,
) -> None:
    table = photos / "catch.csv"
    table.write_text("photo,boat\nred/red_000.png,Heron\n")
    monkeypatch.setattr("tlkit.models.opening.start_keras", lambda: pytest.fail("TensorFlow was started"))
    result = run_cli("predict", boats, photos, *(word.format(table=table) for word in words))
    assert (result.exit_code, result.stderr) == (1, message.format(table=table))


def test_predict_refuses_a_table_of_which_the_model_takes_nothing(run_cli: RunCli, bundle: Path, photos: Path) -> None:
    result = run_cli("predict", bundle, photos, "--table", photos / "catch.csv")
    assert (result.exit_code, result.stderr) == (
        1,
        f"Error: --table {photos / 'catch.csv'} has no effect: the model uses no table columns.\n"
        "  Expected: a table only if the model was trained with --metadata columns of a table\n"
        "  Fix: remove --table.\n",
    )


def test_predict_needs_a_source(run_cli: RunCli, bundle: Path) -> None:
    assert run_cli("predict", bundle).exit_code == 2


def test_the_help_has_an_example(run_cli: RunCli) -> None:
    result = run_cli("predict", "--help")
    assert "Example: tlkit predict runs/first new-photos/ --out predictions.csv" in result.stdout


def test_a_tile_is_predicted_as_the_same_part_of_the_picture_in_a_file_of_its_own(
    run_cli: RunCli, bundle: Path, tmp_path: Path
) -> None:
    size = read_spec(bundle, loader_version=LOADER_VERSION).image_size[0]
    pixels = np.random.default_rng(0).integers(0, 256, (2 * size, 2 * size + 5, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "large.png")
    rows = list(csv.DictReader(io.StringIO(run_cli("predict", bundle, tmp_path / "large.png", "--tiles").stdout)))
    assert [int(row["left"]) for row in rows] == 2 * [0, size, size + 5]
    parts = tmp_path / "parts"
    parts.mkdir()
    for number, row in enumerate(rows):
        left, top = int(row["left"]), int(row["top"])
        Image.fromarray(pixels[top : top + size, left : left + size]).save(parts / f"{number}.png")
    alone = list(csv.DictReader(io.StringIO(run_cli("predict", bundle, parts).stdout)))
    names = ("class_name", "probability", "class_name_2", "probability_2")
    assert [[row[name] for name in names] for row in rows] == [[row[name] for name in names] for row in alone]


@pytest.mark.parametrize(
    ("words", "found", "fix"),
    [
        (
            "--tiles --sort-into sorted",
            "--sort-into has no effect with --tiles.",
            "leave out --sort-into, or --tiles.",
        ),
        ("--step 8", "--step has no effect without --tiles.", "add --tiles, or leave out --step."),
    ],
)
def test_options_that_do_not_go_together_are_refused(
    run_cli: RunCli, bundle: Path, photos: Path, words: str, found: str, fix: str
) -> None:
    result = run_cli("predict", bundle, photos, *words.split())
    assert result.exit_code == 1
    assert result.stderr.splitlines()[0] == f"Error: {found}"
    assert result.stderr.splitlines()[2] == f"  Fix: {fix}"
