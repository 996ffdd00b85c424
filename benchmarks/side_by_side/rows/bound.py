"""Precompute against what the machine allows: decoding and the forward pass share its cores."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.side_by_side.bench import Bench
from benchmarks.side_by_side.figures import RATE, SHARE, Figure, Goal, Row, compare
from benchmarks.side_by_side.pairs import Side, take_turns
from benchmarks.side_by_side.processes import run_module
from benchmarks.side_by_side.tlkit_runs import precompute_rate

BACKBONE = "resnet50"
GOALS = Goal(0.95, 1.05)


def measure_bound(bench: Bench) -> Iterator[Row]:
    """Yield two lines: filling the cache, and the whole command, each against 1/(1/decode + 1/forward)."""
    data, count = bench.photo_folder(bench.sizes.bound_photos)
    sides = [
        Side("tlkit", lambda: precompute_rate(bench, data, BACKBONE, count)),
        Side("bound", lambda: run_module("side_by_side.programs.bound", data=data, backbone=BACKBONE).output),
    ]
    output = take_turns(
        sides,
        bench.sizes.rounds,
        lambda side, rates: bench.say(f"  {side}: " + ", ".join(f"{key} {value:.1f}" for key, value in rates.items())),
    )
    parts = {
        name: Figure(tuple(rates[name] for rates in output["bound"]), RATE) for name in ("decode", "forward", "bound")
    }
    for name, work in (("filling", "filling the cache alone"), ("whole", "the whole command")):
        ours = Figure(tuple(rates[name] for rates in output["tlkit"]), RATE)
        yield Row(
            f"precompute {BACKBONE}, {count:,} photos, {work}",
            ours,
            "the bound 1/(1/decode + 1/forward)",
            parts["bound"],
            compare(ours, parts["bound"], SHARE),
            GOALS,
            note=f"decode alone, two threads: {parts['decode']}; forward alone: {parts['forward']}",
        )
