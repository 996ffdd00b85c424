"""An epoch of the head on cached features, beside Keras' `fit` on the same features as an array."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.side_by_side.bench import Bench, NotMeasured
from benchmarks.side_by_side.figures import MILLISECONDS, Figure, Goal, Row, compare
from benchmarks.side_by_side.pairs import Side, take_turns
from benchmarks.side_by_side.pictures import draw_small_pictures
from benchmarks.side_by_side.processes import run_module
from benchmarks.side_by_side.tlkit_runs import RANDOM_WEIGHTS, finetune_process, precompute_process

BACKBONE = "resnet50"
"""Its pooled vectors are 2,048 numbers wide."""

NUM_CLASSES = 10
EDGE_PX = 16
SHARDS = "shard-*.h5"
GOALS = Goal(4, 8)


@dataclass(frozen=True)
class InventedSet:
    """Pictures that tlkit takes for real ones, and their invented features, in its cache and as arrays."""

    data: Path
    cache: Path
    arrays: Path


def measure_head(bench: Bench) -> Iterator[Row]:
    """Yield the line of an epoch after the first, validation included.

    Raises:
        NotMeasured: tlkit trained on other features than those that were invented for it.
    """
    num_train, num_validation = bench.sizes.head_rows
    invented = invent_set(bench, num_train, num_validation)
    epochs = bench.sizes.head_epochs
    sides = [
        Side("tlkit", lambda: _train_with_tlkit(bench, invented, epochs)),
        Side(
            "Keras", lambda: run_module("peers.keras_head", features=invented.arrays, epochs=epochs).output["seconds"]
        ),
    ]
    seconds = take_turns(
        sides, bench.sizes.rounds, lambda side, value: bench.say(f"  {side}: {1000 * value:.0f} ms an epoch")
    )
    ours, theirs = (Figure(tuple(1000 * value for value in seconds[side.name]), MILLISECONDS) for side in sides)
    yield Row(
        f"head, one epoch on {num_train:,} × 2,048 cached features, batches of 64",
        ours,
        "Keras `fit(numpy)`",
        theirs,
        compare(ours, theirs),
        GOALS,
        note="the same layers; tlkit's epoch is the time between two lines of history.csv, so reading the cache, validation, "
        "checkpoint and logs are inside",
    )


def invent_set(bench: Bench, num_train: int, num_validation: int) -> InventedSet:
    """Draw small pictures and put features for them into a cache, as if a network had computed them."""
    bench.say(f"  inventing the features of {num_train + num_validation:,} pictures")
    data, cache, first = (bench.folder(name) for name in ("small", "cache", "first"))
    for split, count in (("train", num_train), ("validation", num_validation)):
        draw_small_pictures(data / split, count, edge_px=EDGE_PX, num_classes=NUM_CLASSES)
    draw_small_pictures(first, 4, edge_px=EDGE_PX)
    like = precompute_process(bench, first, BACKBONE, cache, *RANDOM_WEIGHTS).output["cache"]
    arrays = bench.folder("arrays") / "features.npz"
    run_module("side_by_side.programs.feature_rows", data=data, cache=like, target=arrays, invents=True)
    return InventedSet(data, cache, arrays)


def _train_with_tlkit(bench: Bench, invented: InventedSet, epochs: int) -> float:
    words = ["--backbone", BACKBONE, "--weights", "random", "--head", "linear"]
    words += ["--batch-size", "64", "--epochs", str(epochs), "--patience", "0"]
    shards = set(invented.cache.rglob(SHARDS))
    _, watch, _ = finetune_process(bench, invented.data, invented.cache, *words)
    if set(invented.cache.rglob(SHARDS)) != shards:
        raise NotMeasured("tlkit finetune did not find the invented features and computed others")
    return watch.seconds_per_epoch()
