"""tlkit's side: its commands as the rows give them, with a cache folder of their own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.side_by_side.bench import Bench
from benchmarks.side_by_side.processes import TLKIT, EpochWatch, Finished, run_module, run_process

RANDOM_WEIGHTS = ("--weights", "random", "--feature-dtype", "float32")
"""They do not change the speed, and can give features that are too small for float16."""

OURS: dict[str, tuple[str, ...]] = {"": (), ", int8": ("--precision", "int8")}
"""Options of tlkit's sides, by what is put behind its name."""


def precompute_words(bench: Bench, data: Path, backbone: str, *more: str) -> list[str]:
    """Return `precompute` for pooled vectors, answering in JSON."""
    words = ["precompute", str(data), "--backbone", backbone, "--head", "linear", "--json", "-q"]
    return [*words, *more, *bench.tlkit_words]


def precompute_rate(bench: Bench, data: Path, backbone: str, num_images: int, *more: str) -> dict[str, float]:
    """Precompute with an empty cache and random weights; imports stand outside the clock.

    Returns:
        Images a second: of the `whole` command, and of `filling` the cache alone.
    """
    words = precompute_words(bench, data, backbone, *RANDOM_WEIGHTS, *more)
    environment = {"TLKIT_CACHE": str(bench.folder("cache"))}
    output = run_module("side_by_side.programs.command", environment=environment, words=words).output
    assert output["payload"]["misses"] == num_images, output
    return {"whole": num_images / output["seconds"], "filling": output["payload"]["images_per_second"]}


def precompute_process(bench: Bench, data: Path, backbone: str, cache: Path, *more: str) -> Finished:
    """Precompute as a user does, from the start of the process to its end."""
    words = [TLKIT, *precompute_words(bench, data, backbone, *more)]
    return run_process(words, environment={"TLKIT_CACHE": str(cache)})


def finetune_process(bench: Bench, data: Path, cache: Path, *more: str) -> tuple[Path, EpochWatch, Finished]:
    """Train; return the run's folder, its epochs with the time at which each came, and what the process took."""
    run = bench.folder("run")
    watch = EpochWatch(run / "history.csv")
    words = [TLKIT, "finetune", str(data), "--out", str(run), "--json", "-q", *more, *bench.tlkit_words]
    finished = run_process(words, environment={"TLKIT_CACHE": str(cache)}, watch=watch)
    return run, watch, finished


def evaluate(run: Path, data: Path, cache: Path) -> dict[str, Any]:
    """Return what `tlkit evaluate` says of a run on a data set's test images."""
    words = [TLKIT, "evaluate", str(run), str(data), "--json", "-q"]
    return run_process(words, environment={"TLKIT_CACHE": str(cache)}).output
