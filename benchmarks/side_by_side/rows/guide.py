"""From the start of the process to the accuracy that the loop of Keras' transfer-learning guide reaches."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.side_by_side.bench import Bench, NotMeasured
from benchmarks.side_by_side.figures import PART, SECONDS, Figure, Row, Wanted
from benchmarks.side_by_side.processes import run_module
from benchmarks.side_by_side.tlkit_runs import finetune_process

BACKBONE = "mobilenet_v2"
LEARNING_RATE = 1e-3
WANTED = Wanted(10, 30)


@dataclass(frozen=True)
class Course:
    """Accuracies on the validation images and when they came, seconds after the start of the process."""

    accuracies: tuple[float, ...]
    seconds: tuple[float, ...]

    def seconds_to(self, accuracy: float) -> float | None:
        """Return when this accuracy was first reached, or None."""
        pairs = zip(self.accuracies, self.seconds, strict=True)
        return next((seconds for reached, seconds in pairs if reached >= accuracy), None)


def find_real_data(bench: Bench) -> Path:
    """Return the real data set.

    Raises:
        NotMeasured: There is none, or it lacks a split, or the weights are not named.
    """
    if bench.data is None or not bench.weights:
        raise NotMeasured(f"it needs real photos and real weights of {BACKBONE}: --data FOLDER --weights FILE")
    for split in ("train", "validation", "test"):
        if not (bench.data / split).is_dir():
            raise NotMeasured(f"{bench.data} has no folder {split}")
    return bench.data


def measure_guide(bench: Bench) -> Iterator[Row]:
    """Yield the line. A round in which tlkit does not get there makes it one that was not measured."""
    data = find_real_data(bench)
    ours, theirs, notes = [], [], []
    for _ in range(bench.sizes.peer_rounds):
        guide = _follow_guide(bench, data)
        best = max(guide.accuracies)
        course, total = _follow_tlkit(bench, data)
        theirs.append(guide.seconds_to(best) or guide.seconds[-1])
        reached = course.seconds_to(best)
        bench.say(f"  the guide: {best:.3f} after {theirs[-1]:.1f} s; tlkit the same after {reached or -1:.1f} s")
        if reached is None:
            raise NotMeasured(f"tlkit got to {max(course.accuracies):.3f}, the guide's loop to {best:.3f}")
        ours.append(reached)
        notes.append(f"accuracy {best:.3f}; tlkit's best {max(course.accuracies):.3f}, its whole run {total:.1f} s")
    figures = Figure(tuple(ours), SECONDS), Figure(tuple(theirs), SECONDS)
    yield Row(
        f"time to the best validation accuracy of the guide's loop in {bench.sizes.guide_epochs} epochs, {data.name}",
        figures[0],
        "the guide's loop",
        figures[1],
        Figure(tuple(other / one for one, other in zip(ours, theirs, strict=True)), PART),
        WANTED,
        note=f"{BACKBONE}, from the start of the process, imports and an empty cache included; " + "; ".join(notes),
    )


def _follow_guide(bench: Bench, data: Path) -> Course:
    started = time.time()
    said = run_module(
        "peers.keras_training",
        data=data,
        backbone=BACKBONE,
        weights=bench.weights,
        trained="head",
        learning_rate=LEARNING_RATE,
        epochs=bench.sizes.guide_epochs,
    ).said
    return Course(tuple(said["accuracies"]), tuple(end - started for end in said["ends"]))


def _follow_tlkit(bench: Bench, data: Path) -> tuple[Course, float]:
    """Run tlkit with its defaults; return its course, and the seconds of the whole process."""
    words = ("--backbone", BACKBONE, "--weights", bench.weights)
    _, watch, finished = finetune_process(bench, data, bench.folder("cache"), *words)
    accuracies = tuple(float(row["validation_accuracy"]) for row in watch.epochs)
    return Course(accuracies, tuple(float(row["arrived"]) for row in watch.epochs)), finished.seconds
