"""Epochs with layers unfrozen, beside stock Keras and PyTorch with the same layers frozen."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.side_by_side.bench import Bench, NotMeasured, find_peers
from benchmarks.side_by_side.figures import SECONDS, Figure, Goal, Row, compare
from benchmarks.side_by_side.machine import has_bfloat16
from benchmarks.side_by_side.pairs import Side, take_turns
from benchmarks.side_by_side.processes import run_module
from benchmarks.side_by_side.tlkit_runs import finetune_process

LEARNING_RATE = 1e-5
IN_PYTORCH = ("resnet50",)
STOCK = "stock Keras"


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
    Goal(7, 10),
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


def measure_tuning(bench: Bench) -> Iterator[Row | NotMeasured]:
    """Yield a line for each, and each rival. The weights are random: they do not change the speed."""
    sizes = bench.sizes
    python = ""
    try:
        python = find_peers()
    except NotMeasured as reason:
        yield reason
    for tuning, wished in ((TAIL, sizes.tail_photos), (WHOLE, sizes.whole_photos), (WHOLE_SMALL, sizes.whole_photos)):
        weights = bench.folder("weights") / f"{tuning.backbone}.weights.h5"
        run_module("peers.keras_files", backbone=tuning.backbone, path=weights)
        data, count = bench.split_photo_folder(wished)
        yield from _measure(bench, tuning, data, count, weights, python)


def _measure(bench: Bench, tuning: Tuning, data: Path, count: int, weights: Path, python: str) -> Iterator[Row]:
    epochs = bench.sizes.tuning_epochs
    given: dict[str, Any] = {
        "data": data,
        "backbone": tuning.backbone,
        "trained": tuning.trained,
        "learning_rate": LEARNING_RATE,
        "epochs": epochs,
    }

    def run(module: str, **more: Any) -> float:
        return float(run_module(f"peers.{module}", **given, **more).output["seconds"])

    sides = [
        Side("tlkit", lambda: _train_with_tlkit(bench, tuning, data, weights)),
        Side(STOCK, lambda: run("keras_training", weights=weights)),
    ]
    if python and tuning.backbone in IN_PYTORCH:
        words, bfloat16 = ("autocast bfloat16", True) if has_bfloat16() else ("float32", False)
        torch_training = partial(run, "torch_training", python=python, bfloat16=bfloat16)
        sides.append(Side(f"PyTorch {words}", partial(torch_training, compiles=False)))
        sides.append(Side(f"PyTorch `torch.compile`, {words}", partial(torch_training, compiles=True), 1))
    seconds = take_turns(
        sides,
        bench.sizes.peer_rounds,
        lambda side, value: bench.say(f"  {tuning.backbone}, {tuning.unfreeze}, {side}: {value:.2f} s an epoch"),
    )
    ours, *rivals = (Figure(tuple(seconds[side.name]), SECONDS) for side in sides)
    work = f"{tuning.work}, {tuning.backbone}, {count} photos"
    for side, theirs in zip(sides[1:], rivals, strict=True):
        goal, note = (tuning.goal, tuning.note) if side.name == STOCK else (None, "")
        yield Row(work, ours, side.name, theirs, compare(ours, theirs), goal, note)


def _train_with_tlkit(bench: Bench, tuning: Tuning, data: Path, weights: Path) -> float:
    words = ["--backbone", tuning.backbone, "--weights", str(weights), "--head", "linear", "--feature-dtype", "float32"]
    words += ["--unfreeze", tuning.unfreeze, "--epochs", str(bench.sizes.tuning_epochs), "--patience", "0"]
    words += ["--batch-size", "32", "--lr", str(LEARNING_RATE), "--policy", "none"]
    return finetune_process(bench, data, bench.folder("cache"), *words)[1].seconds_per_epoch()
