"""The head beside scikit-learn's logistic regression, on the same cached features of real photos."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from benchmarks.side_by_side.bench import Bench, find_peers
from benchmarks.side_by_side.figures import ACCURACY, SECONDS, Figure, Form, Row, compare
from benchmarks.side_by_side.pairs import Side, take_turns
from benchmarks.side_by_side.processes import run_module
from benchmarks.side_by_side.rows.guide import BACKBONE, find_real_data
from benchmarks.side_by_side.tlkit_runs import evaluate, finetune_process, precompute_process

Outcome = dict[str, float]
DIFFERENCE = Form(3, more_is_better=True)


def measure_logistic(bench: Bench) -> Iterator[Row]:
    """Yield a line of seconds, and one of accuracies on the test images."""
    data, python = find_real_data(bench), find_peers()
    cache, arrays = bench.folder("cache"), bench.folder("arrays") / "features.npz"
    like = precompute_process(bench, data, BACKBONE, cache, "--weights", bench.weights).output["cache"]
    run_module("side_by_side.programs.feature_rows", data=data, cache=like, target=arrays, invents=False)
    sides = [
        Side("tlkit", lambda: _train_with_tlkit(bench, data, cache)),
        Side("scikit-learn", lambda: run_module("peers.sklearn_head", python=python, features=arrays).output),
    ]
    outcomes = take_turns(
        sides,
        bench.sizes.peer_rounds,
        lambda side, output: bench.say(f"  {side}: {output['accuracy']:.3f} in {output['seconds']:.2f} s"),
    )
    ours, theirs = (_collect(outcomes[side.name], "seconds", SECONDS) for side in sides)
    work = f"linear head on the cached features of {data.name}"
    instead = "scikit-learn logistic regression"
    yield Row(
        f"{work}, seconds", ours, instead, theirs, compare(ours, theirs), note="training alone; all of tlkit's epochs"
    )
    ours, theirs = (_collect(outcomes[side.name], "accuracy", ACCURACY) for side in sides)
    gained = Figure(tuple(one - other for one, other in zip(ours.values, theirs.values, strict=True)), DIFFERENCE)
    yield Row(f"{work}, test accuracy", ours, instead, theirs, gained)


def _train_with_tlkit(bench: Bench, data: Path, cache: Path) -> Outcome:
    words = ("--backbone", BACKBONE, "--weights", bench.weights, "--head", "linear")
    run, watch, _ = finetune_process(bench, data, cache, *words)
    seconds = sum(float(row["seconds"]) for row in watch.epochs)
    return {"seconds": seconds, "accuracy": evaluate(run, data, cache)["accuracy"]["value"]}


def _collect(outcomes: list[Outcome], name: str, form: Form) -> Figure:
    return Figure(tuple(outcome[name] for outcome in outcomes), form)
