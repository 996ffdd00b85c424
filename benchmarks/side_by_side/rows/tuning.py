"""Epochs with layers of ResNet50 unfrozen, beside stock Keras with the same layers frozen."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.side_by_side.bench import Bench
from benchmarks.side_by_side.figures import SECONDS, Figure, Row, Wanted, compare
from benchmarks.side_by_side.pairs import Side, take_turns
from benchmarks.side_by_side.processes import run_module
from benchmarks.side_by_side.tlkit_runs import finetune_process

BACKBONE = "resnet50"
LEARNING_RATE = 1e-5


@dataclass(frozen=True)
class Tuning:
    """What is unfrozen.

    Attributes:
        work: What the table says of it.
        unfreeze: Value of tlkit's `--unfreeze`.
        trained: The same for `peers.keras_training`.
        wanted: What is to be reached.
        note: What a reader must know.
    """

    work: str
    unfreeze: str
    trained: str
    wanted: Wanted
    note: str


TAIL = Tuning(
    "fine-tune, conv5 unfrozen",
    "conv5",
    "conv5_",
    Wanted(10, 20),
    "an epoch after the first, validation included; what tlkit caches below conv5 it computes before the first epoch",
)
WHOLE = Tuning(
    "fine-tune, everything unfrozen",
    "all",
    "all",
    Wanted(3, 4),
    "an epoch after the first, validation included; batch norm frozen on both sides, no augmentation",
)


def measure_tuning(bench: Bench) -> Iterator[Row]:
    """Yield both lines. The weights are random, the same on both sides: they do not change the speed."""
    weights = bench.folder("weights") / f"{BACKBONE}.weights.h5"
    run_module("peers.keras_files", backbone=BACKBONE, path=weights)
    for tuning, wished in ((TAIL, bench.sizes.tail_photos), (WHOLE, bench.sizes.whole_photos)):
        data, count = bench.split_photo_folder(wished)
        yield _measure(bench, tuning, data, count, weights)


def _measure(bench: Bench, tuning: Tuning, data: Path, count: int, weights: Path) -> Row:
    epochs = bench.sizes.tuning_epochs
    given: dict[str, Any] = {"backbone": BACKBONE, "weights": weights, "learning_rate": LEARNING_RATE, "epochs": epochs}
    sides = [
        Side("tlkit", lambda: _train_with_tlkit(bench, tuning, data, weights)),
        Side(
            "stock Keras",
            lambda: float(
                run_module("peers.keras_training", data=data, trained=tuning.trained, **given).said["seconds"]
            ),
        ),
    ]
    seconds = take_turns(
        sides,
        bench.sizes.peer_rounds,
        lambda side, value: bench.say(f"  {tuning.unfreeze}, {side}: {value:.2f} s an epoch"),
    )
    ours, theirs = (Figure(tuple(seconds[side.name]), SECONDS) for side in sides)
    work = f"{tuning.work}, {BACKBONE}, {count} photos"
    return Row(work, ours, "stock Keras", theirs, compare(ours, theirs), tuning.wanted, tuning.note)


def _train_with_tlkit(bench: Bench, tuning: Tuning, data: Path, weights: Path) -> float:
    words = ["--backbone", BACKBONE, "--weights", str(weights), "--head", "linear", "--feature-dtype", "float32"]
    words += ["--unfreeze", tuning.unfreeze, "--epochs", str(bench.sizes.tuning_epochs), "--patience", "0"]
    words += ["--batch-size", "32", "--lr", str(LEARNING_RATE), "--policy", "none"]
    return finetune_process(bench, data, bench.folder("cache"), *words)[1].seconds_per_epoch()
