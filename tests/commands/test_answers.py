"""Answers of all tasks and metadata, from a table to predictions; the pictures are small and drawn."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tlkit.commands.evaluate import EvaluateOptions, run_evaluate
from tlkit.commands.finetune import run_finetune
from tlkit.commands.predict import PredictOptions, run_predict
from tlkit.data.images import LOADER_VERSION
from tlkit.data.manifest import read_manifest
from tlkit.errors import SettingError
from tlkit.inference.destinations import PredictOutputs
from tlkit.models.storage import read_spec
from tlkit.recipes import BackboneSettings, DataSettings, HeadSettings, Recipe, Stage, TrainingSettings
from tlkit.reports.console import Console
from tlkit.runs.finalize import UNCHOSEN_THRESHOLD
from tlkit.training import metadata_weights

pytestmark = pytest.mark.usefixtures("bundles_are_read_once")

QUIET = Console(verbosity=-1)
SIZE = (48, 40)


def write_table(path: Path, columns: Sequence[str], rows: Sequence[Sequence[object]], encoding: str = "utf-8") -> Path:
    with path.open("w", newline="", encoding=encoding) as file:
        csv.writer(file).writerows([columns, *rows])
    return path


def save(pixels: np.ndarray[Any, Any], path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels.astype(np.uint8)).save(path)
    return path


SMALLEST = BackboneSettings(name="mnist_cnn", weights="random", image_size=32)
SHORT_METADATA_STAGE = dataclasses.replace(metadata_weights.METADATA_STAGE, epochs=30)


def train(
    table: Path,
    out: Path,
    *,
    data: DataSettings,
    head: str = "linear",
    **stage: Any,
) -> dict[str, Any]:
    recipe = Recipe(
        data=data,
        backbone=SMALLEST,
        head=HeadSettings(kind=head, dropout=0.1, units=512 if head == "linear" else 64),
        training=TrainingSettings(),
        stages=(Stage(**{"epochs": 24, "lr": 2e-2, "batch_size": 16, "patience": 0, **stage}),),
    )
    return run_finetune(recipe, table, out, console=QUIET)


def predict(run: Path, sources: Sequence[Path], **options: Any) -> list[dict[str, str]]:
    stream = io.BytesIO()
    run_predict(
        run,
        [str(path) for path in sources],
        PredictOutputs(),
        PredictOptions(**options),
        console=QUIET,
        stdin=None,
        stdout=stream,
    )
    return list(csv.DictReader(io.StringIO(stream.getvalue().decode())))


# Several labels


@pytest.fixture(scope="module")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table of pictures whose left half is red or grey, and whose right half is striped or grey: 0, 1 or 2 labels."""
    root = tmp_path_factory.mktemp("labels")
    rng = np.random.default_rng(3)
    rows = []
    for number in range(64):
        pixels = rng.integers(100, 140, (SIZE[1], SIZE[0], 3))
        names = [name for bit, name in enumerate(("red", "striped")) if number >> bit & 1]
        if "red" in names:
            pixels[:, :24] = (210, 30, 30)
        if "striped" in names:
            pixels[:, 24::8] = pixels[:, 25::8] = pixels[:, 26::8] = 250
        save(pixels, root / f"{number:02}.png")
        rows.append((f"{number:02}.png", " | ".join(reversed(names))))
    return write_table(root / "photos.csv", ("path", "label"), rows)


@pytest.fixture(scope="module")
def labels_run(labelled: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("labels-run") / "run"
    train(labelled, out, data=DataSettings(task="multilabel", test_fraction=0.2))
    return out


def test_several_labels_are_learnt(labels_run: Path) -> None:
    payload = json.loads((labels_run / "summary.json").read_text())
    assert payload["mean_average_precision"]["value"] > 0.9
    assert payload["validation"][0]["after"]["label_accuracy"] > 0.8
    spec = read_spec(labels_run, loader_version=LOADER_VERSION)
    assert (spec.task, spec.class_names, len(spec.thresholds)) == ("multilabel", ("red", "striped"), 2)
    assert UNCHOSEN_THRESHOLD not in spec.thresholds
    assert (labels_run / "labels.png").is_file()


def test_each_label_is_shared_out_among_the_splits(labels_run: Path) -> None:
    manifest = read_manifest(labels_run)
    columns, rows = manifest.class_table()
    assert columns == ("label", "train", "validation", "test", "total")
    assert [row[0] for row in rows] == ["red", "striped", "images"]
    assert [int(row[-1]) for row in rows] == [32, 32, 64]
    assert all(int(cell) >= 4 for row in rows for cell in row[1:])


def test_labels_of_a_picture_are_those_above_their_thresholds(labels_run: Path, labelled: Path) -> None:
    rows = predict(labels_run, [labelled.parent])
    assert list(rows[0]) == [
        "path", "labels", "class_name", "probability", "class_name_2", "probability_2", "unknown", "distance", "error"
    ]  # fmt: skip
    right = [
        row["labels"] == "|".join(n for b, n in enumerate(("red", "striped")) if i >> b & 1)
        for i, row in enumerate(rows)
    ]
    assert np.mean(right) > 0.75


def test_labels_are_measured_on_images_that_were_held_back(labels_run: Path, tmp_path: Path) -> None:
    payload = run_evaluate(
        labels_run, None, EvaluateOptions(out=tmp_path / "scores"), console=QUIET, settings=DataSettings()
    )
    assert payload["mean_average_precision"]["value"] > 0.8
    assert {path.name for path in (tmp_path / "scores").iterdir()} >= {"labels.png", "per_label.csv", "predictions.csv"}


# Values


@pytest.fixture(scope="module")
def priced(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table of grey pictures whose brightness makes their price, from 10 to 1,000; one row has no price."""
    root = tmp_path_factory.mktemp("prices")
    rng = np.random.default_rng(4)
    rows: list[tuple[str, object]] = [("none.png", "")]
    save(np.zeros((SIZE[1], SIZE[0], 3)), root / "none.png")
    for number in range(80):
        part = number / 79
        save(30 + 200 * part + rng.integers(-9, 10, (SIZE[1], SIZE[0], 3)), root / f"{number:02}.png")
        rows.append((f"{number:02}.png", round(10 * 100**part, 2)))
    return write_table(root / "photos.csv", ("path", "price"), rows)


@pytest.fixture(scope="module")
def values_run(priced: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("values-run") / "run"
    train(priced, out, data=DataSettings(task="regression", target="price", target_scale="log", test_fraction=0.2))
    return out


def test_a_value_is_learnt_in_its_own_unit(values_run: Path) -> None:
    payload = json.loads((values_run / "summary.json").read_text())
    assert payload["name"] == "price"
    assert payload["mean_absolute_error"]["value"] < 0.6 * payload["guess_error"]
    assert payload["r2"]["value"] > 0.5
    assert payload["validation"][0]["after"]["r2"] > 0.7, "of the logarithm"
    target = read_spec(values_run, loader_version=LOADER_VERSION).target
    assert target is not None
    manifest = read_manifest(values_run)
    assert target.mean == pytest.approx(np.log(manifest.targets(manifest.in_split("train"))).mean())
    assert (values_run / "predicted.png").is_file()


def test_rows_without_a_value_are_skipped(values_run: Path) -> None:
    manifest = read_manifest(values_run)
    assert [(item.path.name, item.reason) for item in manifest.skipped] == [("none.png", "no value in line 2")]
    columns, rows = manifest.class_table()
    assert columns == ("split", "images", "lowest", "median", "highest")
    assert [row[1] for row in rows] == ["50", "15", "15"]


def test_values_are_predicted_in_a_column_of_their_name(values_run: Path, priced: Path) -> None:
    rows = predict(values_run, [priced.parent / f"{number:02}.png" for number in (5, 40, 75)])
    assert list(rows[0]) == ["path", "price", "unknown", "distance", "error"]
    prices = [float(row["price"]) for row in rows]
    assert prices == sorted(prices)
    assert prices[0] < 60 < 200 < prices[2]


def test_values_are_measured_on_images_that_were_held_back(values_run: Path, tmp_path: Path) -> None:
    payload = run_evaluate(
        values_run, None, EvaluateOptions(out=tmp_path / "scores"), console=QUIET, settings=DataSettings()
    )
    assert payload["images"] == 15
    assert {path.name for path in (tmp_path / "scores").iterdir()} >= {
        "predicted.png",
        "predictions.csv",
        "report.json",
    }


def test_the_logarithm_of_nothing_is_refused(priced: Path, tmp_path: Path) -> None:
    table = write_table(priced.parent / "zero.csv", ("path", "price"), [(f"{n:02}.png", n) for n in range(80)])
    with pytest.raises(SettingError) as caught:
        train(table, tmp_path / "run", data=DataSettings(task="regression", target="price", target_scale="log"))
    assert str(caught.value) == (
        "target_scale is log, but the lowest price is 0.\n"
        "  Expected: values above 0 for a logarithmic scale\n"
        "  Fix: remove --target-scale."
    )


# Metadata


@pytest.fixture(scope="module")
def boats(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table with a byte-order mark: grey pictures that show nothing, a boat and an hour that together tell the class."""
    root = tmp_path_factory.mktemp("boats")
    rng = np.random.default_rng(6)
    rows = []
    for number in range(120):
        save(rng.integers(127, 130, (SIZE[1], SIZE[0], 3)), root / "photos" / f"{number:03}.png")
        boat = ("Heron", "Otter", "")[number % 3]
        hour = int(rng.integers(0, 24))
        class_name = "eel" if (boat == "Heron") or (boat == "Otter" and hour > 11) else "carp"
        rows.append((f"photos/{number:03}.png", class_name, boat, hour if number % 10 else "n/a"))
    return write_table(root / "photos.csv", ("path", "label", "boat", "hour"), rows, encoding="utf-8-sig")


@pytest.fixture(scope="module")
def boats_run(boats: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("boats-run") / "run"
    data = DataSettings(metadata="boat,hour", test_fraction=0.2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(metadata_weights, "METADATA_STAGE", SHORT_METADATA_STAGE)
        train(boats, out, data=data, head="dense", epochs=6, lr=1e-2)
    return out


def test_metadata_tell_what_the_picture_does_not(boats_run: Path) -> None:
    assert json.loads((boats_run / "summary.json").read_text())["accuracy"]["value"] > 0.75


def test_metadata_are_recorded_and_encoded_by_the_training_images(boats_run: Path) -> None:
    manifest = read_manifest(boats_run)
    assert manifest.metadata_columns == ("boat", "hour")
    assert {record.metadata[0] for record in manifest.records} == {"Heron", "Otter", ""}
    encoding = read_spec(boats_run, loader_version=LOADER_VERSION).metadata
    hours = [float(r.metadata[1]) for r in manifest.in_split("train") if r.metadata[1] != "n/a"]
    assert set(encoding.columns[0].values) == {"Heron", "Otter"}  # type: ignore[union-attr]
    assert encoding.columns[1].mean == pytest.approx(np.mean(hours))  # type: ignore[union-attr]


def test_the_runs_own_images_keep_their_metadata(boats_run: Path) -> None:
    assert run_evaluate(boats_run, None, console=QUIET, settings=DataSettings())["accuracy"]["value"] > 0.7


def test_prediction_takes_metadata_from_a_table_by_path_or_by_name(
    boats_run: Path, boats: Path, tmp_path: Path
) -> None:
    photos = [boats.parent / "photos" / f"{number:03}.png" for number in range(3)]
    herons = write_table(
        tmp_path / "herons.csv",
        ("hour", "file", "boat"),
        [(3, photos[0], "Heron"), (3, "elsewhere/001.png", "Heron")],
    )
    carps = write_table(tmp_path / "carps.csv", ("hour", "file", "boat"), [(3, path, "Otter") for path in photos])
    first, second, third = predict(boats_run, photos, table=herons)
    assert [first["class_name"], second["class_name"]] == ["eel", "eel"]
    assert (third["class_name"], third["error"]) == ("", "no row for it in herons.csv")
    assert [row["class_name"] for row in predict(boats_run, photos, table=carps)] == ["carp"] * 3


def test_an_unseen_category_and_a_missing_value_are_no_error(boats_run: Path, boats: Path, tmp_path: Path) -> None:
    photo = boats.parent / "photos" / "000.png"
    table = write_table(tmp_path / "new.csv", ("file", "boat", "hour"), [(photo, "Albatross", "")])
    (row,) = predict(boats_run, [photo], table=table)
    assert row["error"] == ""
    assert 0 < float(row["probability"]) <= 1


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (
            ("file", "boat", "our"),
            "{table}: no column 'hour' (--metadata).\n  Expected: one of file, boat, our\n  Fix: did you mean 'our'?",
        ),
        (
            None,
            "the model also takes boat, hour, but no table was given.\n"
            "  Expected: a table with image paths and these columns\n"
            "  Fix: add --table TABLE.",
        ),
    ],
)
def test_a_missing_column_is_named(
    boats_run: Path, boats: Path, tmp_path: Path, columns: Sequence[str] | None, message: str
) -> None:
    photo = boats.parent / "photos" / "000.png"
    table = write_table(tmp_path / "new.csv", columns, [(photo, "Heron", 3)]) if columns else None
    with pytest.raises(SettingError) as caught:
        predict(boats_run, [photo], table=table)
    assert str(caught.value) == message.format(table=table)


def test_a_table_that_says_nothing_new_is_refused(values_run: Path, priced: Path) -> None:
    with pytest.raises(SettingError) as caught:
        predict(values_run, [priced.parent / "05.png"], table=priced)
    assert str(caught.value) == (
        f"--table {priced} has no effect: the model uses no table columns.\n"
        "  Expected: a table only if the model was trained with --metadata columns of a table\n"
        "  Fix: remove --table."
    )


# All together


@pytest.fixture(scope="module")
def patches(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table of pictures with one patch each: class by colour, box by place, and the camera's shape by the class."""
    root = tmp_path_factory.mktemp("patches")
    rng = np.random.default_rng(8)
    rows = []
    for number in range(48):
        class_name, colour, (width, height) = (
            ("orange", (240, 150, 30), (80, 60)) if number % 2 else ("teal", (20, 170, 170), (60, 80))
        )
        left, top = int(rng.integers(0, width - 30)), int(rng.integers(0, height - 30))
        pixels = rng.integers(20, 60, (height, width, 3))
        pixels[top : top + 28, left : left + 28] = colour
        save(pixels, root / f"{number:02}.png")
        rows.append((f"{number:02}.png", class_name, left, top, left + 28, top + 28, number % 24))
    return write_table(root / "photos.csv", ("path", "label", "xmin", "ymin", "xmax", "ymax", "hour"), rows)


@pytest.mark.usefixtures("untraced")
@pytest.mark.parametrize("unfreeze", ["none", "conv2", "all"])
def test_image_and_metadata_go_in_and_class_and_box_come_out_at_every_boundary(
    patches: Path, tmp_path: Path, unfreeze: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    short = dataclasses.replace(metadata_weights.METADATA_STAGE, epochs=3)
    monkeypatch.setattr(metadata_weights, "METADATA_STAGE", short)
    data = DataSettings(metadata="hour,image-size", boxes="photos.csv")
    options: dict[str, Any] = {"unfreeze": unfreeze, "epochs": 2, "lr": 1e-3}
    summary = train(patches, tmp_path / "run", data=data, head="dense", **options)
    assert set(summary["validation"][0]["after"]) == {"loss", "accuracy", "iou"}
    spec = read_spec(tmp_path / "run", loader_version=LOADER_VERSION)
    assert spec.has_box
    assert spec.metadata.names[:2] == ("hour", "image-width")
    rows = predict(tmp_path / "run", [patches.parent / "00.png", patches.parent / "01.png"], table=patches)
    assert [row["error"] for row in rows] == ["", ""]
    assert all(0 <= float(row["left"]) < float(row["right"]) <= 80 for row in rows)
    scores = run_evaluate(tmp_path / "run", patches, console=QUIET, settings=DataSettings(boxes="photos.csv"))
    assert scores["images"] == scores["boxes"]["images"] == 48
