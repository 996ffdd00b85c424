r"""Show that accuracy does not depend on the engine: heads trained on each engine's features, over several seeds.

    .venv/bin/python benchmarks/engine_accuracy.py clothing/ --weights mobilenet_v2_1.0_224_no_top.weights.h5

The data set has a test split. A head is trained as `tlkit finetune` trains it, on the features of the engine, and judged
as `tlkit evaluate` judges it: by the whole network in float32 Keras, whichever engine the features came from. So the
table holds both what an engine's features are worth and what it costs that training and prediction are not of one engine.
Similarities are those that tlkit itself measured when it opened the cache.
"""

from __future__ import annotations

import contextlib
import json
import os
import statistics
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from tlkit.commands.evaluate import run_evaluate
from tlkit.commands.finetune import run_finetune
from tlkit.features.upkeep import list_caches
from tlkit.recipes import BackboneSettings, Recipe, Stage, TrainingSettings
from tlkit.reports.console import Console

QUIET = Console(verbosity=-1)
ENGINES = ("keras:float32", "openvino:float32", "openvino:bfloat16")


@dataclass(frozen=True)
class Outcome:
    """Test accuracies of the seeds, and how the features agree with those of float32 Keras."""

    accuracies: list[float]
    agreement: dict[str, Any]


@click.command()
@click.argument("data", type=click.Path(exists=True, path_type=Path))
@click.option("--backbone", default="mobilenet_v2", show_default=True)
@click.option("--weights", default="", help="imagenet, or a file (default: the backbone's own).")
@click.option("--engine", "engines", multiple=True, default=ENGINES, show_default=True, help="ENGINE:PRECISION.")
@click.option("--seeds", default=5, show_default=True)
def main(data: Path, backbone: str, weights: str, engines: tuple[str, ...], seeds: int) -> None:
    """Print a table: for each engine the test accuracy of heads trained on its features."""
    click.echo(f"{backbone}, {data.name}, dense head, seeds 0 to {seeds - 1}\n")
    click.echo(
        "| engine | test accuracy: mean (lowest to highest) | against the first, same seed | cosine: median, lowest |"
    )
    click.echo("|---|---|---|---|")
    first: list[float] = []
    for item in engines:
        engine, _, precision = item.partition(":")
        outcome = measure(data, BackboneSettings(backbone, weights=weights, engine=engine, precision=precision), seeds)
        first = first or outcome.accuracies
        mean = statistics.mean(outcome.accuracies)
        differences = [one - other for one, other in zip(outcome.accuracies, first, strict=True)]
        click.echo(
            f"| {engine}, {precision} | {mean:.3f} ({min(outcome.accuracies):.3f} to {max(outcome.accuracies):.3f}) "
            f"| {statistics.mean(differences):+.4f} ({min(differences):+.4f} to {max(differences):+.4f}) "
            f"| {outcome.agreement['median']:.6f}, {outcome.agreement['lowest']:.6f} |"
        )


def measure(data: Path, settings: BackboneSettings, num_seeds: int) -> Outcome:
    """Train and judge one head for each seed, on features of one engine."""
    with tempfile.TemporaryDirectory() as scratch, _cache_in(Path(scratch) / "cache"):
        accuracies = []
        for seed in range(num_seeds):
            recipe = Recipe(backbone=settings, training=TrainingSettings(seed=seed), stages=(Stage(),))
            run = Path(scratch) / f"run-{seed}"
            run_finetune(recipe, data, run, console=QUIET)
            accuracies.append(run_evaluate(run, None, console=QUIET, settings=recipe.data)["accuracy"]["value"])
        (cache,) = list_caches(Path(scratch) / "cache")
        return Outcome(accuracies, json.loads((cache.folder / "agreement.json").read_text("utf-8")))


@contextlib.contextmanager
def _cache_in(folder: Path) -> Any:
    """Give the runs within a cache of their own."""
    before = os.environ.get("TLKIT_CACHE")
    os.environ["TLKIT_CACHE"] = str(folder)
    try:
        yield
    finally:
        del os.environ["TLKIT_CACHE"]
        if before is not None:
            os.environ["TLKIT_CACHE"] = before


if __name__ == "__main__":
    main()
