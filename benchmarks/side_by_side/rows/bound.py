"""Precompute against what the machine allows: decoding and the forward pass share its cores."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.side_by_side.bench import Bench
from benchmarks.side_by_side.figures import RATE, SHARE, Figure, Goal, Row, compare
from benchmarks.side_by_side.pairs import Side, take_turns
from benchmarks.side_by_side.processes import run_module
from benchmarks.side_by_side.tlkit_runs import OURS, precompute_rate

BACKBONE = "resnet50"
GOALS = Goal(0.8, 0.95)
PARTS = ("decode", "forward", "bound")


def measure_bound(bench: Bench) -> Iterator[Row]:
    """Yield two lines for each precision: filling the cache, and the whole command, each against
    1/(1/decode + 1/forward), with the forward pass in the same precision.
    """
    data, count = bench.photo_folder(bench.sizes.bound_photos)
    for name, words in OURS.items():
        yield from _measure(bench, data, count, name, words)


def _measure(bench: Bench, data: Path, count: int, name: str, words: Sequence[str]) -> Iterator[Row]:
    sides = [
        Side("tlkit", lambda: precompute_rate(bench, data, BACKBONE, count, *words)),
        Side(
            "bound",
            lambda: run_module("side_by_side.programs.bound", data=data, backbone=BACKBONE, int8=bool(words)).output,
        ),
    ]
    output = take_turns(
        sides,
        bench.sizes.rounds,
        lambda side, rates: bench.say(
            f"  {side}{name}: " + ", ".join(f"{key} {value:.1f}" for key, value in rates.items())
        ),
    )
    parts = {part: Figure(tuple(rates[part] for rates in output["bound"]), RATE) for part in PARTS}
    for part, work in (("filling", "filling the cache alone"), ("whole", "the whole command")):
        ours = Figure(tuple(rates[part] for rates in output["tlkit"]), RATE)
        yield Row(
            f"precompute {BACKBONE}, {count:,} photos{name}, {work}",
            ours,
            "the bound 1/(1/decode + 1/forward)",
            parts["bound"],
            compare(ours, parts["bound"], SHARE),
            GOALS,
            note=f"decode alone, two threads: {parts['decode']}; forward alone: {parts['forward']}"
            if part == "filling"
            else "",
        )
