"""What a user waits for before anything happens: one prediction, and the help, from the start of the process to its end."""

from __future__ import annotations

import sys
from collections.abc import Iterator

from benchmarks.side_by_side.bench import Bench
from benchmarks.side_by_side.figures import MILLISECONDS, SECONDS, Figure, Goal, Row, compare
from benchmarks.side_by_side.pairs import Side, take_turns
from benchmarks.side_by_side.processes import TLKIT, run_module, run_process
from benchmarks.side_by_side.tlkit_runs import RANDOM_WEIGHTS, finetune_process

BACKBONE = "mobilenet_v2"
NUM_PHOTOS = 24
WANTED_PREDICT = Goal(2, 1)
WANTED_HELP = Goal(100)


def measure_start(bench: Bench) -> Iterator[Row]:
    """Yield the lines of `tlkit predict` and `tlkit --help`."""
    yield _measure_predict(bench)
    yield _measure_help(bench)


def _measure_predict(bench: Bench) -> Row:
    data, _ = bench.photo_folder(NUM_PHOTOS)
    picture = next(data.rglob("*.*"))
    words = ("--backbone", BACKBONE, *RANDOM_WEIGHTS, "--head", "linear", "--epochs", "1")
    run, _, _ = finetune_process(bench, data, bench.folder("cache"), *words)
    model = bench.folder("keras") / "model.keras"
    run_module("peers.keras_files", backbone=BACKBONE, path=model)
    sides = [
        Side("tlkit", lambda: run_process([TLKIT, "predict", str(run), str(picture), "-q"]).seconds),
        Side("stock Keras", lambda: run_module("peers.keras_predict", model=model, picture=picture).seconds),
    ]
    seconds = take_turns(
        sides, bench.sizes.short_rounds, lambda side, value: bench.say(f"  predict, {side}: {value:.2f} s")
    )
    ours, theirs = (Figure(tuple(seconds[side.name]), SECONDS) for side in sides)
    return Row(
        f"predict, one picture ({BACKBONE}), process start to answer",
        ours,
        "stock Keras: load_model, load_img, predict",
        theirs,
        ours,
        WANTED_PREDICT,
        note=f"{compare(ours, theirs)} faster than the script; the seconds are judged",
    )


def _measure_help(bench: Bench) -> Row:
    sides = [
        Side("tlkit --help", lambda: 1000 * run_process([TLKIT, "--help"]).seconds),
        Side("bare Python", lambda: 1000 * run_process([sys.executable, "-c", "pass"]).seconds),
    ]
    times = take_turns(sides, 2 * bench.sizes.short_rounds, lambda side, value: None)
    ours, theirs = (Figure(tuple(times[side.name]), MILLISECONDS) for side in sides)
    more = Figure(tuple(one - other for one, other in zip(ours.values, theirs.values, strict=True)), MILLISECONDS)
    bench.say(f"  tlkit --help: {more} above bare Python")
    return Row("tlkit --help", ours, "bare Python", theirs, more, WANTED_HELP, note="the difference is judged")
