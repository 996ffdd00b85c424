r"""Measure what cached views bring, over sets, heads, policies and seeds.

    D=DATA W=mobilenet_v2_1.0_224_no_top.weights.h5
    python -m benchmarks.views houses $D/houses/houses.csv --out quarters.csv
    SETS="--data clothing=$D/clothing --data brain=$D/brain_tumor --data houses=quarters.csv --weights $W"
    python -m benchmarks.views train $SETS --out views.jsonl
    python -m benchmarks.views deeper --data clothing=$D/clothing --weights $W --out views.jsonl
    python -m benchmarks.views report views.jsonl

A head is trained as `tlkit finetune` trains it. Training with K views draws one of them for each image in each epoch. As
there are 30 epochs, 30 views beside the image itself, one for each epoch, are true online augmentation: `online`.
`deeper` goes on with each trained head and unfreezes the last layer group. Lines are added to the file as they are
measured, and those that it has are not measured again, so an interrupted study goes on.

`precompute` computes features alone and tells what they cost. They take about 17 GB of `TLKIT_CACHE` for the three sets.
"""

from __future__ import annotations

import csv
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from benchmarks.beside_the_image import write_quarters
from benchmarks.views.cells import TOP, Cell, add_result, list_deeper_cells, list_head_cells, read_results
from benchmarks.views.features import Sets
from benchmarks.views.report import list_tables
from tlkit.recipes import BackboneSettings
from tlkit.runtime import start_keras


def sets_options(function: Any) -> Any:
    """Add the sets and the weights."""
    data = click.option("--data", multiple=True, required=True, help="NAME=PATH of a folder or a table.")
    weights = click.option("--weights", required=True, help="Of MobileNetV2: a file, or imagenet.")
    return data(weights(function))


def training_options(function: Any) -> Any:
    """Add what both kinds of training take."""
    seeds = click.option("--seeds", default=5, show_default=True)
    out = click.option("--out", type=click.Path(path_type=Path), required=True, help="File of results, added to.")
    return sets_options(seeds(out(function)))


def open_sets(data: tuple[str, ...], weights: str) -> Sets:
    """Return the sets that the options name."""
    start_keras()
    paths = {name: Path(path) for name, _, path in (item.partition("=") for item in data)}
    return Sets(paths, BackboneSettings(name="mobilenet_v2", weights=weights))


@click.group()
def main() -> None:
    """Choose what to do."""


@main.command()
@click.argument("table", type=click.Path(path_type=Path, exists=True))
@click.option("--out", type=click.Path(path_type=Path), required=True)
def houses(table: Path, out: Path) -> None:
    """Write the TABLE of houses with the quarter of the price as the class and nothing else beside the image."""
    write_quarters(table, out)
    with out.open(newline="", encoding="utf-8") as file:
        rows = [(row["image"], row["quarter"]) for row in csv.DictReader(file)]
    with out.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("image", "label"), *rows])


@main.command(name="train")
@training_options
def train_heads(data: tuple[str, ...], weights: str, seeds: int, out: Path) -> None:
    """Train heads on the features of the top."""
    sets = open_sets(data, weights)
    train_cells(sets, list_head_cells(list(sets.paths), seeds), out)


@main.command()
@training_options
def deeper(data: tuple[str, ...], weights: str, seeds: int, out: Path) -> None:
    """Train dense heads and then the last layer group."""
    sets = open_sets(data, weights)
    train_cells(sets, list_deeper_cells(list(sets.paths), seeds), out)


def train_cells(sets: Sets, cells: Iterator[Cell], out: Path) -> None:
    """Measure the cells that the file lacks."""
    from benchmarks.views.trainings import measure

    known = read_results(out)
    for cell in cells:
        if cell not in known:
            click.echo(add_result(out, cell, measure(sets, cell)))


@main.command()
@sets_options
@click.option("--policy", default="standard", show_default=True)
@click.option("--boundary", default=TOP, show_default=True)
def precompute(data: tuple[str, ...], weights: str, policy: str, boundary: str) -> None:
    """Compute the features that the trainings need, and tell what they cost."""
    sets = open_sets(data, weights)
    for name in sets.paths:
        started = time.process_time()
        num_rows = int((sets.features(name, policy, boundary).positions >= 0).sum())
        click.echo(f"{name} {policy} {boundary}: {num_rows} rows, {time.process_time() - started:.1f} s of processor")


@main.command()
@click.argument("lines", type=click.Path(path_type=Path, exists=True))
def report(lines: Path) -> None:
    """Print the tables of views.md."""
    click.echo("\n\n".join(list_tables(read_results(lines))))


if __name__ == "__main__":
    main()
