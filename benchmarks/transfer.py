r"""Compare backbones by the heads that they allow: test accuracy on several data sets, over several seeds.

    .venv/bin/python -m benchmarks.transfer --data clothing=clothing/ --data houses=houses.csv \
        --backbone tiny --backbone tiny:random --backbone mobilenet_v2

Each data set without a test split of its own gives a fifth to the test and a fifth to validation, another one for each
seed. Features are cached, so a backbone's cost is paid once; a head is trained as `tlkit finetune` trains it.
"""

from __future__ import annotations

import dataclasses
import statistics
import tempfile
import time
from pathlib import Path

import click

from benchmarks.division import divide_for_test
from tlkit.commands.evaluate import run_evaluate
from tlkit.commands.finetune import run_finetune
from tlkit.recipes import BackboneSettings, HeadSettings, Recipe, Stage, TrainingSettings
from tlkit.reports.console import Console

QUIET = Console(verbosity=-1)


@click.command()
@click.option("--data", "sets", multiple=True, required=True, help="NAME=PATH of a folder or a table.")
@click.option("--backbone", "backbones", multiple=True, required=True, help="NAME, or NAME:WEIGHTS.")
@click.option("--image-size", default=0, help="Edge of the square input in pixels (default: the backbone's own).")
@click.option("--head", "kind", default="dense", show_default=True)
@click.option("--views", default=1, show_default=True)
@click.option("--seeds", default=3, show_default=True)
def main(sets: tuple[str, ...], backbones: tuple[str, ...], image_size: int, kind: str, views: int, seeds: int) -> None:
    """Print a table of test accuracies: mean, and lowest to highest."""
    click.echo(
        f"head {kind}, views {views}, seeds 0 to {seeds - 1}; seconds of a whole run, the first with an empty cache"
    )
    click.echo("| backbone | " + " | ".join(name.partition("=")[0] for name in sets) + " | seconds, first and median |")
    click.echo("|---|" + "---|" * (len(sets) + 1))
    for backbone in backbones:
        name, _, weights = backbone.partition(":")
        recipe = Recipe(
            backbone=BackboneSettings(name=name, weights=weights, image_size=image_size),
            head=HeadSettings(kind=kind),
            stages=(Stage(views=views),),
        )
        cells, seconds = [], []
        for item in sets:
            path = Path(item.partition("=")[2])
            data = divide_for_test(path)
            accuracies = []
            for seed in range(seeds):
                started = time.perf_counter()
                accuracies.append(measure(dataclasses.replace(recipe, data=data), path, seed))
                seconds.append(time.perf_counter() - started)
            cells.append(f"{statistics.mean(accuracies):.3f} ({min(accuracies):.3f} to {max(accuracies):.3f})")
        cost = f"{seconds[0]:.0f}, {statistics.median(seconds):.0f}"
        label = f"{name}, {Path(weights).name}" if weights else name
        click.echo(f"| {label} | " + " | ".join(cells) + f" | {cost} |")


def measure(recipe: Recipe, data: Path, seed: int) -> float:
    """Train and return the accuracy on the test images."""
    recipe = dataclasses.replace(recipe, training=TrainingSettings(seed=seed))
    with tempfile.TemporaryDirectory() as scratch:
        run = Path(scratch) / "run"
        run_finetune(recipe, data, run, console=QUIET)
        value: float = run_evaluate(run, None, console=QUIET, settings=recipe.data)["accuracy"]["value"]
        return value


if __name__ == "__main__":
    main()
