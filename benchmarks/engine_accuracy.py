r"""Show what engine and precision of the frozen layers cost in accuracy: heads on the features of each, over several seeds.

    .venv/bin/python -m benchmarks.engine_accuracy --data clothing=clothing/ --data tumours=brain_tumor/ \
        --weights mobilenet_v2_1.0_224_no_top.weights.h5 --engine openvino:float32 --engine openvino:int8

A set without a test split of its own gives a fifth, another one for each seed. A head is trained as `tlkit finetune` trains
it, on the features of the engine, and judged as `tlkit evaluate` judges it: by the whole network in float32, whichever
engine the features came from. So the table holds both what an engine's features are worth and what it costs that training
and prediction are not of one engine. Similarities are those that tlkit itself measured: when it opened the cache, or when
it calibrated int8.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import statistics
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click

from benchmarks.division import compute_t_interval, divide_for_test
from tlkit.commands.evaluate import run_evaluate
from tlkit.commands.finetune import run_finetune
from tlkit.features.calibration import read_verdict
from tlkit.features.pruning import ENGINES
from tlkit.features.upkeep import list_caches
from tlkit.recipes import BackboneSettings, HeadSettings, Recipe, Stage, TrainingSettings
from tlkit.reports.console import Console

QUIET = Console(verbosity=-1)
COMPARED = ("keras:float32", "openvino:float32", "openvino:bfloat16", "openvino:int8")


@dataclass(frozen=True)
class Outcome:
    """Test accuracies of the seeds, and how close the features are to those of float32."""

    accuracies: list[float]
    similarity: float


@click.command()
@click.option("--data", "sets", multiple=True, required=True, help="NAME=PATH of a folder or a table.")
@click.option("--backbone", default="mobilenet_v2", show_default=True)
@click.option("--weights", default="", help="imagenet, or a file (default: the backbone's own).")
@click.option("--head", "kind", default="dense", show_default=True)
@click.option("--engine", "engines", multiple=True, default=COMPARED, show_default=True, help="ENGINE:PRECISION.")
@click.option("--seeds", default=5, show_default=True)
def main(sets: tuple[str, ...], backbone: str, weights: str, kind: str, engines: tuple[str, ...], seeds: int) -> None:
    """Print a table: for each set and engine the test accuracy of heads trained on its features."""
    click.echo(f"{backbone}, {kind} head, seeds 0 to {seeds - 1}\n")
    click.echo(
        "| set | engine | test accuracy: mean (lowest to highest) | against the first, same seed, 95% | median cosine |"
    )
    click.echo("|---|---|---|---|---|")
    for item in sets:
        name, _, path = item.partition("=")
        data = divide_for_test(Path(path))
        first: list[float] = []
        for setting in engines:
            engine, _, precision = setting.partition(":")
            recipe = Recipe(
                data=data,
                backbone=BackboneSettings(backbone, weights=weights, engine=engine, precision=precision),
                head=HeadSettings(kind=kind),
                stages=(Stage(),),
            )
            outcome = measure(recipe, Path(path), seeds)
            first = first or outcome.accuracies
            click.echo(f"| {name} | {engine}, {precision} | {describe(outcome, first)} |")


def describe(outcome: Outcome, first: list[float]) -> str:
    """Return the cells of an engine."""
    accuracies = outcome.accuracies
    differences = [one - other for one, other in zip(accuracies, first, strict=True)]
    against = f"{statistics.mean(differences):+.4f}"
    if len(differences) > 1:
        low, high = compute_t_interval(differences)
        against += f" ({low:+.4f} to {high:+.4f})"
    return (
        f"{statistics.mean(accuracies):.3f} ({min(accuracies):.3f} to {max(accuracies):.3f}) | {against} "
        f"| {outcome.similarity:.4f}"
    )


def measure(recipe: Recipe, data: Path, num_seeds: int) -> Outcome:
    """Train and judge one head for each seed, on features of one engine."""
    with tempfile.TemporaryDirectory() as scratch, _cache_in(Path(scratch) / "cache"):
        accuracies = []
        for seed in range(num_seeds):
            seeded = dataclasses.replace(recipe, training=TrainingSettings(seed=seed))
            run = Path(scratch) / f"run-{seed}"
            run_finetune(seeded, data, run, console=QUIET)
            accuracies.append(run_evaluate(run, None, console=QUIET, settings=recipe.data)["accuracy"]["value"])
        return Outcome(accuracies, read_similarity(Path(scratch) / "cache"))


def read_similarity(root: Path) -> float:
    """Return the median cosine similarity to float32 that was measured for the first of the caches."""
    cache = list_caches(root)[0]
    assert cache.spec is not None, "tlkit has just written it"
    if cache.spec.calibration:
        return read_verdict(root / ENGINES, cache.spec.calibration).similarity
    found: float = json.loads((cache.folder / "agreement.json").read_text("utf-8"))["median"]
    return found


@contextlib.contextmanager
def _cache_in(folder: Path) -> Iterator[None]:
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
