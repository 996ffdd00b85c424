"""Precompute with an empty cache, beside stock Keras, OpenVINO, PyTorch and ONNX Runtime on the same photos."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.side_by_side.bench import Bench, NotMeasured, find_peers
from benchmarks.side_by_side.figures import RATE, Figure, Goal, Row, compare
from benchmarks.side_by_side.machine import has_bfloat16
from benchmarks.side_by_side.pairs import Side, take_turns
from benchmarks.side_by_side.processes import run_module
from benchmarks.side_by_side.tlkit_runs import OURS, precompute_rate

GOALS = {"resnet50": Goal(4, 6), "vgg16": Goal(3.5, 5), "mobilenet_v2": Goal(3, 4)}
IN_PYTORCH = ("resnet50", "vgg16")
STOCK = "stock Keras"


def measure_precompute(bench: Bench) -> Iterator[Row | NotMeasured]:
    """Yield a line for each network, each of tlkit's sides and each rival. Every side builds its network inside the clock,
    and calibrates or compiles it.
    """
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
    rounds = bench.sizes.peer_rounds
    sides = [
        *(
            Side(f"tlkit{name}", partial(_precompute, bench, data, backbone, count, words))
            for name, words in OURS.items()
        ),
        Side(STOCK, partial(_run, "keras_features", data=data, backbone=backbone)),
        Side("stock OpenVINO", partial(_run, "openvino_features", data=data, backbone=backbone), rounds),
        *(_peer_sides(bench, data, backbone, python) if python and backbone in IN_PYTORCH else ()),
    ]
    rates = take_turns(sides, bench.sizes.rounds, lambda side, rate: bench.say(f"  {side}: {RATE.write(rate)}"))
    ours = {name: Figure(tuple(rates.pop(f"tlkit{name}")), RATE) for name in OURS}
    for (name, figure), (rival, values) in itertools.product(ours.items(), rates.items()):
        theirs = Figure(tuple(values), RATE)
        goal = GOALS.get(backbone) if name and rival == STOCK else None
        yield Row(
            f"precompute {backbone}, {count:,} photos{name}", figure, rival, theirs, compare(figure, theirs), goal
        )


def _precompute(bench: Bench, data: Path, backbone: str, count: int, words: Sequence[str]) -> float:
    return precompute_rate(bench, data, backbone, count, *words)["whole"]


def _run(module: str, python: str = sys.executable, **arguments: Any) -> float:
    output = run_module(f"peers.{module}", python=python, **arguments).output
    return float(output["images"] / output["seconds"])


def _peer_sides(bench: Bench, data: Path, backbone: str, python: str) -> list[Side[float]]:
    """Return the sides that run in the environment of the peers. Compiling takes PyTorch minutes, so once will do."""
    rounds = bench.sizes.peer_rounds

    def run(module: str, **more: Any) -> Callable[[], float]:
        return partial(_run, module, python, data=data, backbone=backbone, **more)

    sides = [
        Side("PyTorch eager float32", run("torch_features", bfloat16=False, compiles=False), rounds),
        Side("PyTorch `torch.compile` float32", run("torch_features", bfloat16=False, compiles=True), 1),
        Side("ONNX Runtime float32", run("onnxruntime_features", int8=False), rounds),
        Side("ONNX Runtime int8", run("onnxruntime_features", int8=True), rounds),
    ]
    if has_bfloat16():
        sides.append(Side("PyTorch autocast bfloat16", run("torch_features", bfloat16=True, compiles=False), rounds))
    return sides
