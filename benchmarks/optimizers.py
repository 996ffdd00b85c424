r"""Measure optimizers: test accuracy by rate, seed and batch size, for heads on cached features and for unfrozen layers.

    D=DATA W=mobilenet_v2_1.0_224_no_top.weights.h5
    python -m benchmarks.optimizers rates --data clothing=$D/clothing --weights $W --out optimizers.jsonl
    python -m benchmarks.optimizers usual --data clothing=$D/clothing --weights $W --out optimizers.jsonl
    python -m benchmarks.optimizers batches --data clothing=$D/clothing --weights $W --out optimizers.jsonl
    python -m benchmarks.optimizers report optimizers.jsonl

`rates` trains heads with multiples of AdamW's usual rate, on half of the images, to choose the factors of
`tlkit.recipes.optimizers`; `usual` trains with these, on all images and other seeds; `batches` with batches of 16 images to all of
them. Each seed divides the images anew, as `benchmarks.inputs` does.

Lines are added to the file as they are measured; those that it has are not measured again. Features take `TLKIT_CACHE`.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

from benchmarks.division import compute_t_interval
from benchmarks.inputs import divide, read_lines, read_set
from benchmarks.views.features import CachedViews
from tlkit.outputs import CLASSIFICATION
from tlkit.recipes import HeadSettings, Recipe, ResolvedStage, Stage, TrainingSettings, resolve_stages
from tlkit.recipes.fields import ALL_IMAGES
from tlkit.recipes.optimizers import ADAMW, OPTIMIZERS
from tlkit.runtime import graph_precision, start_keras
from tlkit.tasks import Outputs

SEARCHED = {
    "sgd": (10.0, 30.0, 100.0, 300.0),
    "momentum": (1.0, 3.0, 10.0, 30.0),
    "nesterov": (1.0, 3.0, 10.0, 30.0),
    "adagrad": (1.0, 3.0, 10.0, 30.0),
    "rmsprop": (0.1, 0.3, 1.0, 3.0),
    "adam": (0.3, 1.0, 3.0),
    "adamw": (0.3, 1.0, 3.0),
    "lion": (0.03, 0.1, 0.3, 1.0),
}
HEADS = ("linear", "dense")
FIRST_OTHER_SEED = 10
"""Seeds of `usual` and `batches`; those below have chosen the rates."""


@dataclass(frozen=True)
class Cell:
    """One training; with `lr` None the optimizer's usual rate, and with `batch` 0 all images in a batch."""

    data: str
    head: str
    optimizer: str
    seed: int
    lr: float | None = None
    batch: int = 64
    part: float = 1.0

    def resolve(self) -> tuple[ResolvedStage, TrainingSettings]:
        """Return the settings of its stage, with defaults filled in."""
        training = TrainingSettings(seed=self.seed, optimizer=self.optimizer)
        stage = Stage(lr=self.lr, batch_size=self.batch or ALL_IMAGES)
        (resolved,) = resolve_stages(Recipe(training=training, stages=(stage,)))
        return resolved, training


def measure(cell: Cell, cached: CachedViews, answers: NDArray[np.int32]) -> dict[str, float]:
    """Train a head, and return its accuracy on test images."""
    from tlkit.training.held_out import FeatureSource, HeadTraining, Parts, answer_held_out

    num_used = round(cell.part * (len(answers) - len(answers) // 5))
    train, validation, test = divide(len(answers), num_used, cell.seed)
    stage, training = cell.resolve()
    head = HeadSettings(cell.head)
    how = HeadTraining(Outputs(CLASSIFICATION, int(answers.max()) + 1), head, stage, training)
    is_pooled = head.record.pooling == "avg"
    shape = cached.shape[-1:] if is_pooled else cached.shape
    source = FeatureSource(cached.read_pooled if is_pooled else cached.read, 1, shape, 2 * int(np.prod(shape)))
    with graph_precision("float32"):
        answered = answer_held_out(source, answers, Parts(train, validation, test), how)
    right = answered.outputs.argmax(axis=1) == answers[test]
    return {
        "accuracy": float(right.mean()),
        "rate": stage.head_rate,
        "epochs": answered.progress.epochs_done,
        "best_epoch": answered.progress.best_epoch,
        "seconds": round(answered.seconds, 1),
    }


def list_rates(data: str, seeds: int) -> Iterator[Cell]:
    """Yield heads at several rates."""
    for seed in range(seeds):
        for head in HEADS:
            usual, _ = Cell(data, head, ADAMW, seed).resolve()
            for optimizer, factors in SEARCHED.items():
                for factor in factors:
                    yield Cell(data, head, optimizer, seed, usual.head_rate * factor, part=0.5)


def list_usual(data: str, seeds: int) -> Iterator[Cell]:
    """Yield heads at the usual rates."""
    for seed in range(FIRST_OTHER_SEED, FIRST_OTHER_SEED + seeds):
        for head in HEADS:
            for optimizer in OPTIMIZERS:
                yield Cell(data, head, optimizer, seed)


def list_batches(data: str, seeds: int) -> Iterator[Cell]:
    """Yield linear heads with small to full batches."""
    for seed in range(FIRST_OTHER_SEED, FIRST_OTHER_SEED + seeds):
        for optimizer in ("sgd", "nesterov", ADAMW):
            for batch in (16, 64, 256, 0):
                yield Cell(data, "linear", optimizer, seed, batch=batch)


def report(lines: Iterable[dict[str, Any]]) -> str:
    """Return a table: mean accuracy over seeds, and the difference from AdamW with the same head and batch."""
    found = {Cell(**line["cell"]): line for line in lines}
    kinds = sorted({dataclasses.replace(cell, seed=0) for cell in found}, key=str)
    rows = [
        "| set | head | optimizer | rate | batch | seeds | accuracy | minus AdamW's (95% interval) |",
        "|---" * 8 + "|",
    ]
    for kind in kinds:
        seeds = {cell.seed: line for cell, line in found.items() if dataclasses.replace(cell, seed=0) == kind}
        scores = {seed: line["accuracy"] for seed, line in seeds.items()}
        plain = dataclasses.replace(kind, optimizer=ADAMW, lr=None, batch=64)
        others = {seed: found.get(dataclasses.replace(plain, seed=seed)) for seed in seeds}
        pairs = [scores[seed] - other["accuracy"] for seed, other in others.items() if other]
        difference = ""
        if len(pairs) > 1 and kind != plain:
            low, high = compute_t_interval(pairs)
            difference = f"{np.mean(pairs):+.3f} ({low:+.3f} to {high:+.3f})"
        rate = next(iter(seeds.values()))["rate"]
        cells = (kind.data, kind.head, kind.optimizer, f"{rate:g}", str(kind.batch or "all"), str(len(seeds)))
        rows.append(f"| {' | '.join(cells)} | {np.mean(list(scores.values())):.3f} | {difference} |")
    return "\n".join(rows)


def run(cells: Iterable[Cell], sets: tuple[str, ...], weights: str, out: Path) -> None:
    """Measure cells that the file lacks."""
    start_keras()
    known = {Cell(**line["cell"]) for line in read_lines(out)}
    features = {name: read_set(Path(path), weights) for name, _, path in (text.partition("=") for text in sets)}
    for cell in cells:
        if cell not in known:
            line = {"cell": dataclasses.asdict(cell), **measure(cell, *features[cell.data])}
            with out.open("a") as file:
                file.write(json.dumps(line) + "\n")


@click.group()
def main() -> None:
    """Measure optimizers."""


def _add_command(name: str, list_cells: Any) -> None:
    @main.command(name, help=list_cells.__doc__)
    @click.option("--data", "sets", multiple=True, required=True, metavar="NAME=PATH")
    @click.option("--weights", required=True, help="Of MobileNetV2.")
    @click.option("--seeds", default=3, show_default=True)
    @click.option("--heads", default=",".join(HEADS), show_default=True)
    @click.option("--out", type=click.Path(path_type=Path), required=True)
    def command(sets: tuple[str, ...], weights: str, seeds: int, heads: str, out: Path) -> None:
        names = [text.partition("=")[0] for text in sets]
        cells = [cell for name in names for cell in list_cells(name, seeds) if cell.head in heads.split(",")]
        run(cells, sets, weights, out)


for each, listed in (("rates", list_rates), ("usual", list_usual), ("batches", list_batches)):
    _add_command(each, listed)


@main.command("report")
@click.argument("path", type=click.Path(path_type=Path, exists=True))
def print_report(path: Path) -> None:
    """Print the table."""
    print(report(read_lines(path)))


if __name__ == "__main__":
    main()
