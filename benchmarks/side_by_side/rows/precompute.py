"""Precompute with an empty cache, beside stock Keras and PyTorch on the same photos."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from benchmarks.side_by_side.bench import Bench, NotMeasured, find_peers
from benchmarks.side_by_side.figures import RATE, Figure, Goal, Row, compare
from benchmarks.side_by_side.machine import has_bfloat16
from benchmarks.side_by_side.pairs import Side, take_turns
from benchmarks.side_by_side.processes import run_module
from benchmarks.side_by_side.tlkit_runs import precompute_rate

GOALS = {"resnet50": Goal(6, 7.5), "vgg16": Goal(5, 6)}
IN_PYTORCH = ("resnet50", "vgg16")
STOCK = "stock Keras"


def measure_precompute(bench: Bench) -> Iterator[Row | NotMeasured]:
    """Yield a line for each network and each rival. Every side builds its network inside the clock."""
    python = ""
    try:
        python = find_peers()
    except NotMeasured as reason:
        yield reason
    if python and not has_bfloat16():
        yield NotMeasured("PyTorch under autocast: this processor has no bfloat16 instructions")
    for backbone, wished in bench.sizes.photos.items():
        yield from _measure_backbone(bench, backbone, wished, python)


def _measure_backbone(bench: Bench, backbone: str, wished: int, python: str) -> Iterator[Row]:
    data, count = bench.photo_folder(wished)
    sides = [
        Side("tlkit", lambda: precompute_rate(bench, data, backbone, count)["whole"]),
        Side(STOCK, lambda: _predict_with_keras(data, backbone)),
        *(_pytorch_sides(bench, data, backbone, python) if python and backbone in IN_PYTORCH else ()),
    ]
    rates = take_turns(sides, bench.sizes.rounds, lambda side, rate: bench.say(f"  {side}: {RATE.write(rate)}"))
    ours = Figure(tuple(rates.pop("tlkit")), RATE)
    for rival, values in rates.items():
        theirs = Figure(tuple(values), RATE)
        goal = GOALS.get(backbone) if rival == STOCK else None
        yield Row(f"precompute {backbone}, {count:,} photos", ours, rival, theirs, compare(ours, theirs), goal)


def _predict_with_keras(data: Path, backbone: str) -> float:
    output = run_module("peers.keras_features", data=data, backbone=backbone).output
    return float(output["images"] / output["seconds"])


def _pytorch_sides(bench: Bench, data: Path, backbone: str, python: str) -> list[Side[float]]:
    def run(bfloat16: bool) -> float:
        output = run_module(
            "peers.torch_features", python=python, data=data, backbone=backbone, bfloat16=bfloat16
        ).output
        return float(output["images"] / output["seconds"])

    rounds = bench.sizes.peer_rounds
    sides = [Side("PyTorch eager float32", lambda: run(False), rounds)]
    if has_bfloat16():
        sides.append(Side("PyTorch autocast bfloat16", lambda: run(True), rounds))
    return sides
