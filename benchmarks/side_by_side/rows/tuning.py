"""Epochs with layers unfrozen, beside stock Keras with the same layers frozen."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.side_by_side.bench import Bench
from benchmarks.side_by_side.figures import SECONDS, Figure, Goal, Row, compare
from benchmarks.side_by_side.pairs import Side, take_turns
from benchmarks.side_by_side.processes import run_module
from benchmarks.side_by_side.tlkit_runs import finetune_process

LEARNING_RATE = 1e-5


@dataclass(frozen=True)
class Tuning:
    """What is unfrozen.

    Attributes:
        work: What the table says of it.
        backbone: The network.
        unfreeze: Value of tlkit's `--unfreeze`.
        trained: The same for `peers.keras_training`.
        goal: What is to be reached.
        note: What a reader must know.
    """

    work: str
    backbone: str
    unfreeze: str
    trained: str
    goal: Goal
    note: str


TAIL = Tuning(
    "fine-tune, conv5 unfrozen",
    "resnet50",
    "conv5",
    "conv5_",
    Goal(10, 20),
    "an epoch after the first, validation included; what tlkit caches below conv5 it computes before the first epoch",
)
WHOLE, WHOLE_SMALL = (
    Tuning(
        "fine-tune, everything unfrozen",
        backbone,
        "all",
        "all",
        Goal(3, 4),
        "an epoch after the first, validation included; batch norm frozen on both sides, no augmentation",
    )
    for backbone in ("resnet50", "mobilenet_v2")
)


def measure_tuning(bench: Bench) -> Iterator[Row]:
    """Yield a line for each. The weights are random, the same on both sides: they do not change the speed."""
    sizes = bench.sizes
    for tuning, wished in ((TAIL, sizes.tail_photos), (WHOLE, sizes.whole_photos), (WHOLE_SMALL, sizes.whole_photos)):
        weights = bench.folder("weights") / f"{tuning.backbone}.weights.h5"
        run_module("peers.keras_files", backbone=tuning.backbone, path=weights)
        data, count = bench.split_photo_folder(wished)
        yield _measure(bench, tuning, data, count, weights)


def _measure(bench: Bench, tuning: Tuning, data: Path, count: int, weights: Path) -> Row:
    epochs = bench.sizes.tuning_epochs
    given: dict[str, Any] = {
        "backbone": tuning.backbone,
        "weights": weights,
        "learning_rate": LEARNING_RATE,
        "epochs": epochs,
    }
    sides = [
        Side("tlkit", lambda: _train_with_tlkit(bench, tuning, data, weights)),
        Side(
            "stock Keras",
            lambda: float(
                run_module("peers.keras_training", data=data, trained=tuning.trained, **given).output["seconds"]
            ),
        ),
    ]
    seconds = take_turns(
        sides,
        bench.sizes.peer_rounds,
        lambda side, value: bench.say(f"  {tuning.backbone}, {tuning.unfreeze}, {side}: {value:.2f} s an epoch"),
    )
    ours, theirs = (Figure(tuple(seconds[side.name]), SECONDS) for side in sides)
    work = f"{tuning.work}, {tuning.backbone}, {count} photos"
    return Row(work, ours, "stock Keras", theirs, compare(ours, theirs), tuning.goal, tuning.note)


def _train_with_tlkit(bench: Bench, tuning: Tuning, data: Path, weights: Path) -> float:
    words = ["--backbone", tuning.backbone, "--weights", str(weights), "--head", "linear", "--feature-dtype", "float32"]
    words += ["--unfreeze", tuning.unfreeze, "--epochs", str(bench.sizes.tuning_epochs), "--patience", "0"]
    words += ["--batch-size", "32", "--lr", str(LEARNING_RATE), "--policy", "none"]
    return finetune_process(bench, data, bench.folder("cache"), *words)[1].seconds_per_epoch()
