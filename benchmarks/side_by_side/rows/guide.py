"""From the start of the process to the accuracy that the loop of Keras' transfer-learning guide reaches."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.side_by_side.bench import Bench, NotMeasured
from benchmarks.side_by_side.figures import PART, SECONDS, Figure, Goal, Row, compare
from benchmarks.side_by_side.pairs import Side, take_turns
from benchmarks.side_by_side.processes import run_module
from benchmarks.side_by_side.tlkit_runs import finetune_process

BACKBONE = "mobilenet_v2"
LEARNING_RATE = 1e-3
GOALS = Goal(15, 30)


@dataclass(frozen=True)
class Course:
    """How a training went.

    Attributes:
        accuracies: On the validation images, by epoch.
        seconds: When each of them was known, counted from the start of the process.
        total: When the process ended.
    """

    accuracies: tuple[float, ...]
    seconds: tuple[float, ...]
    total: float

    @property
    def best(self) -> float:
        """The highest accuracy."""
        return max(self.accuracies)

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
    """Yield the line.

    Raises:
        NotMeasured: There is no real data set, or tlkit did not get to the guide's accuracy in some round.
    """
    data = find_real_data(bench)
    courses = take_turns(
        [Side("tlkit", lambda: _follow_tlkit(bench, data)), Side("the guide", lambda: _follow_guide(bench, data))],
        bench.sizes.peer_rounds,
        lambda side, course: bench.say(f"  {side}: {course.best:.3f} after {course.seconds_to(course.best):.1f} s"),
    )
    ours, theirs, notes = [], [], []
    for own, guide in zip(courses["tlkit"], courses["the guide"], strict=True):
        reached = own.seconds_to(guide.best)
        if reached is None:
            raise NotMeasured(f"tlkit got to {own.best:.3f} in {own.total:.0f} s, the guide's loop to {guide.best:.3f}")
        ours.append(reached)
        theirs.append(guide.seconds_to(guide.best) or guide.total)
        notes.append(f"accuracy {guide.best:.3f}; tlkit's best {own.best:.3f}, its whole run {own.total:.1f} s")
    own_time, guide_time = Figure(tuple(ours), SECONDS), Figure(tuple(theirs), SECONDS)
    yield Row(
        f"time to the best validation accuracy of the guide's loop in {bench.sizes.guide_epochs} epochs, {data.name}",
        own_time,
        "the guide's loop",
        guide_time,
        compare(own_time, guide_time, PART),
        GOALS,
        note=f"{BACKBONE}, from the start of the process, imports and an empty cache included; " + "; ".join(notes),
    )


def _follow_guide(bench: Bench, data: Path) -> Course:
    started = time.time()
    finished = run_module(
        "peers.keras_training",
        data=data,
        backbone=BACKBONE,
        weights=bench.weights,
        trained="head",
        learning_rate=LEARNING_RATE,
        epochs=bench.sizes.guide_epochs,
    )
    ends = tuple(end - started for end in finished.output["ends"])
    return Course(tuple(finished.output["accuracies"]), ends, finished.seconds)


def _follow_tlkit(bench: Bench, data: Path) -> Course:
    """Run tlkit with its defaults."""
    words = ("--backbone", BACKBONE, "--weights", bench.weights)
    _, watch, finished = finetune_process(bench, data, bench.folder("cache"), *words)
    accuracies = tuple(float(row["validation_accuracy"]) for row in watch.epochs)
    return Course(accuracies, tuple(float(row["arrived"]) for row in watch.epochs), finished.seconds)
