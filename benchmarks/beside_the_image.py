"""Measure what metadata beside the image, and a box beside the class, bring: one line a variant, over several seeds.

    python benchmarks/beside_the_image.py pond POND/photos.csv --backbone tiny
    python benchmarks/beside_the_image.py houses houses.csv --weights mobilenet_v2_1.0_224_no_top.weights.h5

`pond` trains on the table that `tlkit demo` draws: the class alone, with its box, with the facts of the image file, and
with both. `houses` predicts quarters of a price, and its logarithm, from the image, from the table, and from both; each
seed is another split. Scores are those of the test split, which nothing was chosen by. Cost: about half a minute a
training on two cores.
"""

from __future__ import annotations

import csv
import dataclasses
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np

from tlkit.commands.evaluate import EvaluateOptions, run_evaluate
from tlkit.commands.finetune import run_finetune
from tlkit.data.manifest import read_manifest
from tlkit.metadata.columns import parse_metadata
from tlkit.metadata.encoding import fit_encoding
from tlkit.probes.folds import Fold
from tlkit.probes.images import make_probe_targets
from tlkit.probes.leak_columns import make_leak_columns
from tlkit.probes.probe import run_probes
from tlkit.recipes import BackboneSettings, DataSettings, HeadSettings, Recipe, Stage, TrainingSettings
from tlkit.reports.console import Console

QUIET = Console(verbosity=-1)
HOUSE_COLUMNS = "bedrooms,bathrooms,area_sqft,zipcode"
STAGE = Stage(views=4, epochs=30)


@click.group()
def main() -> None:
    """Choose what to measure."""


@main.command()
@click.argument("table", type=click.Path(path_type=Path, exists=True))
@click.option("--backbone", default="tiny", show_default=True)
@click.option("--weights")
@click.option("--seeds", default=5, show_default=True)
@click.option("--box-loss", default=TrainingSettings().box_loss, show_default=True)
@click.option("--box-weight", default=TrainingSettings().box_weight, show_default=True)
def pond(table: Path, backbone: str, weights: str | None, seeds: int, box_loss: str, box_weight: float) -> None:
    """Train on the pond's TABLE with and without boxes and metadata."""
    network = BackboneSettings(name=backbone, weights=weights)
    for name, data in (
        ("class alone", DataSettings()),
        ("class and box", DataSettings(boxes=table.name)),
        ("with image-size", DataSettings(metadata="image-size")),
        ("box and image-size", DataSettings(boxes=table.name, metadata="image-size")),
    ):
        training = TrainingSettings(box_loss=box_loss, box_weight=box_weight) if data.boxes else TrainingSettings()
        scores = [_train(table, data, network, dataclasses.replace(training, seed=seed)) for seed in range(seeds)]
        _print_result(name, "accuracy", (score["accuracy"]["value"] for score in scores))
        if "boxes" in scores[0]:
            _print_result("", "mean IoU", (score["boxes"]["iou"]["value"] for score in scores))


@main.command()
@click.argument("table", type=click.Path(path_type=Path, exists=True))
@click.option("--backbone", default="mobilenet_v2", show_default=True)
@click.option("--weights")
@click.option("--seeds", default=5, show_default=True)
def houses(table: Path, backbone: str, weights: str | None, seeds: int) -> None:
    """Predict prices of the TABLE of houses (image, bedrooms, bathrooms, area_sqft, zipcode, price_usd)."""
    network = BackboneSettings(name=backbone, weights=weights)
    regression = DataSettings(task="regression", target="price_usd", target_scale="log", test_fraction=0.2)
    with tempfile.TemporaryDirectory() as folder:
        quarters = write_quarters(table, Path(folder) / "quarters.csv")
        classes = DataSettings(label_column="quarter", test_fraction=0.2)
        for source, settings in ((quarters, classes), (table, regression)):
            for name, metadata in (("image", ""), ("image and table", HOUSE_COLUMNS)):
                data = dataclasses.replace(settings, metadata=metadata)
                scores = [_train(source, data, network, TrainingSettings(seed=seed)) for seed in range(seeds)]
                _print_result(name, *_pick(scores))
                if metadata:
                    alone = [score["metadata_alone"] for score in scores]
                    _print_result("table", "accuracy" if source is quarters else "R² of the logarithm", alone)


def _train(table: Path, data: DataSettings, network: BackboneSettings, training: TrainingSettings) -> dict[str, Any]:
    """Return the test scores of one training, and what a probe on the metadata alone reaches on the same split."""
    recipe = Recipe(data=data, backbone=network, head=HeadSettings(), training=training, stages=(STAGE,))
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        run_finetune(recipe, table, run, console=QUIET)
        out = Path(folder) / "scores"
        scores = run_evaluate(run, None, EvaluateOptions(split="test", out=out), console=QUIET, settings=DataSettings())
        if data.task == "regression":
            with (out / "predictions.csv").open(newline="") as file:
                rows = list(csv.DictReader(file))
            true, predicted = (np.log([float(row[name]) for row in rows]) for name in ("true_value", data.target))
            scores["r2_of_log"] = float(1 - ((true - predicted) ** 2).sum() / ((true - true.mean()) ** 2).sum())
        if data.metadata == HOUSE_COLUMNS:
            scores["metadata_alone"] = _probe_metadata(run, data)
        return scores


def _probe_metadata(run: Path, data: DataSettings) -> float:
    """Return the test score of a ridge probe that learns from the metadata of the training and validation images."""
    manifest = read_manifest(run)
    records = manifest.records
    texts = [record.metadata for record in records]
    columns = make_leak_columns(fit_encoding(parse_metadata(data.metadata), texts), texts)
    targets = make_probe_targets(manifest, records, data)
    is_test = np.array([record.split == "test" for record in records])
    fold = Fold(np.flatnonzero(~is_test), np.flatnonzero(is_test))
    matrix = np.concatenate([column.matrix for column in columns.judged], axis=1)
    (probe,) = run_probes(manifest.task, targets, matrix, [fold])
    score = probe.score_part(fold.test)
    assert score is not None
    return score


def write_quarters(table: Path, path: Path) -> Path:
    """Write the table again with the quarter of the price in place of the price."""
    with table.open(newline="", encoding="utf-8-sig") as file:
        rows = list(csv.DictReader(file))
    prices = np.array([float(row.pop("price_usd")) for row in rows])
    quarters = np.searchsorted(np.quantile(prices, [0.25, 0.5, 0.75]), prices)
    for row, quarter in zip(rows, quarters, strict=True):
        row["image"] = str((table.parent / row["image"]).resolve())
        row["quarter"] = f"quarter {quarter + 1}"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)
    return path


def _pick(scores: Sequence[dict[str, Any]]) -> tuple[str, list[float]]:
    if "accuracy" in scores[0]:
        return "accuracy", [score["accuracy"]["value"] for score in scores]
    return "R² of the logarithm", [score["r2_of_log"] for score in scores]


def _print_result(name: str, quantity: str, values: Iterable[float]) -> None:
    numbers = list(values)
    each = " ".join(f"{value:.3f}" for value in numbers)
    click.echo(f"{name:<20}{quantity:<22}{np.mean(numbers):.3f}  (each seed: {each})")


if __name__ == "__main__":
    main()
