r"""Measure what centring, standardising and whitening the features bring to a linear probe and to heads, by seed.

    D=DATA W=mobilenet_v2_1.0_224_no_top.weights.h5
    python -m benchmarks.views houses $D/houses/houses.csv --out quarters.csv
    python -m benchmarks.inputs whiten --data clothing=$D/clothing --data brain=$D/brain_tumor --data houses=quarters.csv \
        --weights $W --out inputs.jsonl
    python -m benchmarks.inputs report inputs.jsonl

Each seed divides all images of a set anew: a fifth is for the test; of the others all are trained on, or `--few` of them,
a fifth of which chooses the epoch of a head. The probe has no epochs and learns from them, too.

Lines are added to the file as they are measured; those that it has are not measured again. Features take `TLKIT_CACHE`.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

from benchmarks.division import compute_t_interval
from benchmarks.mixing import QUIET, open_views
from benchmarks.views.features import CachedViews, read_divided
from tlkit.metrics.ridge import RidgePath
from tlkit.outputs import CLASSIFICATION
from tlkit.recipes import HeadSettings, Recipe, Stage, TrainingSettings, resolve_stages
from tlkit.runtime import graph_precision, start_keras
from tlkit.tasks import Outputs

PROBE = "probe"
PROBE_HEAD = {PROBE: "linear"}
PCAS = tuple(("pca", floor) for floor in (0.3, 0.1, 0.03, 0.01))
PLAIN, CENTRE, STANDARD, ZCA = ("none", 0.1), ("centre", 0.1), ("standard", 0.1), ("zca", 0.1)
ARMS = {
    PROBE: (PLAIN, CENTRE, *PCAS),
    "linear": (PLAIN, CENTRE, STANDARD, ("pca", 0.1), ("pca", 0.01), ZCA),
    "dense": (PLAIN, STANDARD, ("pca", 0.1), ZCA),
}
"""Whitenings and floors by head. For a probe, standard is the same as none, and zca as pca."""


@dataclass(frozen=True)
class Cell:
    """One training: the set, its size, the seed of its division and of the training, and the head's settings."""

    data: str
    images: int
    seed: int
    head: str
    whiten: str
    floor: float

    @property
    def arm(self) -> str:
        """What is compared, with its floor."""
        return f"{self.whiten} {self.floor:g}" if self.whiten in ("pca", "zca") else self.whiten


def divide(num_images: int, num_used: int, seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Return the places of training, validation and test images; those of the test do not depend on `num_used`."""
    order = np.random.default_rng(seed).permutation(num_images)
    test, others = order[: num_images // 5], order[num_images // 5 :][:num_used]
    return others[len(others) // 5 :], others[: len(others) // 5], test


def measure(cell: Cell, cached: CachedViews, answers: NDArray[np.int32]) -> dict[str, float]:
    """Train, and return the accuracy on test images."""
    train, validation, test = divide(len(answers), cell.images, cell.seed)
    head = HeadSettings(PROBE_HEAD.get(cell.head, cell.head), whiten=cell.whiten, whiten_floor=cell.floor)
    if cell.head == PROBE:
        return {"accuracy": _probe(cached, answers, np.concatenate([train, validation]), test, head)}
    from tlkit.training.held_out import FeatureSource, HeadTraining, Parts, answer_held_out

    (stage,) = resolve_stages(Recipe(stages=(Stage(),)))
    outputs = Outputs(CLASSIFICATION, int(answers.max()) + 1)
    how = HeadTraining(outputs, head, stage, TrainingSettings(seed=cell.seed))
    is_pooled = head.record.pooling == "avg"
    shape = cached.shape[-1:] if is_pooled else cached.shape
    source = FeatureSource(cached.read_pooled if is_pooled else cached.read, 1, shape, 2 * int(np.prod(shape)))
    with graph_precision("float32"):
        answered = answer_held_out(source, answers, Parts(train, validation, test), how)
    right = answered.outputs.argmax(axis=1) == answers[test]
    return {"accuracy": float(right.mean()), "epochs": answered.progress.epochs_done, "seconds": answered.seconds}


def _probe(
    cached: CachedViews, answers: NDArray[np.int32], train: NDArray[Any], test: NDArray[Any], head: HeadSettings
) -> float:
    rows = cached.read_pooled(np.arange(len(answers)), np.zeros(len(answers), np.int64)).astype(np.float64)
    targets = np.eye(int(answers.max()) + 1)[answers[train]]

    def rank(left_out: NDArray[np.float64]) -> tuple[float, ...]:
        return float((left_out.argmax(axis=1) == answers[train]).mean()), -float(((left_out - targets) ** 2).sum())

    predicted = RidgePath(rows[train], targets, head.whitening).fit(rank).predict(rows[test])
    return float((predicted.argmax(axis=1) == answers[test]).mean())


def read_set(path: Path, weights: str) -> tuple[CachedViews, NDArray[np.int32]]:
    """Return the features and the answers of all images of a set, by place."""
    cached, manifest = open_views(path, weights, num_views=1), read_divided(path, 0)
    answers = np.zeros(len(cached.positions), np.int32)
    for record, answer in zip(manifest.records, manifest.targets(manifest.records), strict=True):
        answers[cached.place_of[record.sha256]] = answer
    return cached, answers


def list_cells(data: str, num_images: int, few: int, seeds: int, heads: tuple[str, ...]) -> Iterator[Cell]:
    """Yield the trainings of a set: with few images and with all."""
    everything = num_images - num_images // 5
    for seed in range(seeds):
        for images in sorted({min(few, everything), everything}):
            for head in heads:
                for whiten, floor in ARMS[head]:
                    yield Cell(data, images, seed, head, whiten, floor)


def report(lines: Sequence[Mapping[str, Any]]) -> str:
    """Return tables of mean accuracies, and of differences from `none` with 95% intervals over seeds."""
    found = {Cell(**line["cell"]): line["accuracy"] for line in lines}
    groups = sorted({(cell.head, cell.data, cell.images) for cell in found})
    arms = list(dict.fromkeys(cell.arm for cell in found))
    rows = ["| head | set | images | " + " | ".join(arms) + " |", "|---" * (3 + len(arms)) + "|"]
    for head, data, images in groups:
        cells = [cell for cell in found if (cell.head, cell.data, cell.images) == (head, data, images)]
        plain = {cell.seed: found[cell] for cell in cells if cell.arm == "none"}
        columns = []
        for arm in arms:
            scores = {cell.seed: found[cell] for cell in cells if cell.arm == arm}
            if arm == "none" or len(scores) < 2:
                columns.append(f"{np.mean(list(scores.values())):.3f}" if scores else "")
                continue
            differences = [scores[seed] - plain[seed] for seed in scores if seed in plain]
            low, high = compute_t_interval(differences)
            columns.append(f"{np.mean(differences):+.3f} ({low:+.3f} to {high:+.3f})")
        rows.append(f"| {head} | {data} | {images:,} | " + " | ".join(columns) + " |")
    return "\n".join(rows)


@click.group()
def main() -> None:
    """Measure what preprocessing of features brings."""


@main.command()
@click.option("--data", "sets", multiple=True, required=True, metavar="NAME=PATH")
@click.option("--weights", required=True, help="Of MobileNetV2.")
@click.option("--few", default=100, show_default=True, help="Images of the small trainings.")
@click.option("--seeds", default=5, show_default=True)
@click.option("--heads", default="probe,linear,dense", show_default=True)
@click.option("--out", type=click.Path(path_type=Path), required=True)
def whiten(sets: tuple[str, ...], weights: str, few: int, seeds: int, heads: str, out: Path) -> None:
    """Train probes and heads with each preprocessing."""
    start_keras()
    known = {Cell(**line["cell"]) for line in read_lines(out)}
    for text in sets:
        name, _, path = text.partition("=")
        cached, answers = read_set(Path(path), weights)
        for cell in list_cells(name, len(answers), few, seeds, tuple(heads.split(","))):
            if cell not in known:
                line = {"cell": dataclasses.asdict(cell), **measure(cell, cached, answers)}
                QUIET.say(json.dumps(line))
                with out.open("a") as file:
                    file.write(json.dumps(line) + "\n")


def read_lines(path: Path) -> list[dict[str, Any]]:
    """Return the lines of a file of results, none if there is no such file."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.is_file() else []


@main.command("report")
@click.argument("path", type=click.Path(path_type=Path, exists=True))
def print_report(path: Path) -> None:
    """Print the tables."""
    print(report(read_lines(path)))


if __name__ == "__main__":
    main()
