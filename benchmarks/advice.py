"""Measure what `tlkit plan` advises about: the head alone, the last groups unfrozen, everything unfrozen.

    python -m benchmarks.advice clothing/ --unfreeze group5 --weights mobilenet_v2_1.0_224_no_top.weights.h5 --out advice.jsonl

Each seed trains a head on four views, and goes on from it to both depths at each of the rates given. Scores are those of the
test split, which nothing was chosen by; data without one lends a fifth of its images, another fifth for each seed. A stage
that makes validation worse is undone, as in any run. One line of JSON a training; seeds that the file has are skipped.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from benchmarks.division import divide_for_test
from tlkit.commands.evaluate import EvaluateOptions, run_evaluate
from tlkit.commands.finetune import run_finetune
from tlkit.recipes import BackboneSettings, DataSettings, Recipe, Stage, TrainingSettings
from tlkit.reports.console import Console

QUIET = Console(verbosity=-1)
VIEWS = 4


@click.command()
@click.argument("data", type=click.Path(path_type=Path, exists=True))
@click.option("--backbone", default="mobilenet_v2", show_default=True)
@click.option("--weights", default="")
@click.option("--unfreeze", required=True, help="Lowest of the last groups.")
@click.option("--rates", default="1e-4,1e-3", show_default=True)
@click.option("--epochs", default=10, show_default=True, help="Most epochs after unfreezing.")
@click.option(
    "--policy", default="standard", show_default=True, help="How views are made; letters for what has a right way."
)
@click.option("--label-column", default="")
@click.option("--seeds", default="0,1,2", show_default=True)
@click.option("--out", type=click.Path(path_type=Path), required=True, help="File of JSON lines to add to.")
def main(
    data: Path,
    backbone: str,
    weights: str,
    unfreeze: str,
    rates: str,
    epochs: int,
    policy: str,
    label_column: str,
    seeds: str,
    out: Path,
) -> None:
    """Train on DATA to each depth and print the test scores."""
    settings = divide_for_test(data, DataSettings(label_column=label_column))
    network = BackboneSettings(name=backbone, weights=weights)
    lines = [json.loads(line) for line in out.read_text("utf-8").splitlines()] if out.is_file() else []
    done = {(line["data"], line["backbone"], line["seed"]) for line in lines}
    later = [
        Stage(
            unfreeze=depth,
            lr=float(rate),
            lr_ratio=10.0,
            epochs=epochs,
            views=1 if depth == "all" else VIEWS,
            policy=policy,
        )
        for rate in rates.split(",")
        for depth in (unfreeze, "all")
    ]
    for seed in map(int, seeds.split(",")):
        if (data.name, backbone, seed) in done:
            continue
        stages = [Stage(views=VIEWS, policy=policy), *later]
        for scores in _train(data, settings, network, stages, seed):
            line = json.dumps({"data": data.name, "backbone": backbone, "seed": seed, **scores})
            click.echo(line)
            with out.open("a", encoding="utf-8") as file:
                file.write(line + "\n")


def _train(
    data: Path, settings: DataSettings, network: BackboneSettings, stages: list[Stage], seed: int
) -> Iterator[dict[str, Any]]:
    """Yield the scores of the first stage, the head's, and of each other one, which goes on from it."""
    with tempfile.TemporaryDirectory() as folder:
        head = Path(folder) / "head"
        for number, stage in enumerate(stages):
            run = Path(folder) / f"run-{number}" if number else head
            recipe = Recipe(settings, network, training=TrainingSettings(seed=seed), stages=(stage,))
            summary = run_finetune(recipe, data, run, console=QUIET, start_from=head if number else None)
            out = Path(folder) / f"scores-{number}"
            test = run_evaluate(
                run, None, EvaluateOptions(split="test", out=out), console=QUIET, settings=DataSettings()
            )
            last = summary["validation"][-1]
            yield {
                "unfreeze": stage.unfreeze,
                "lr": stage.lr,
                "test": test["accuracy"]["value"],
                "validation": last["after"]["accuracy"],
                "best_epoch": last["best_epoch"],
                "seconds": summary["seconds"],
            }


if __name__ == "__main__":
    main()
