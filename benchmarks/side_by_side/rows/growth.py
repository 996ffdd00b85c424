"""How precompute grows with the number of images, what a second one costs when nothing changed, and memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from benchmarks.side_by_side.bench import Bench
from benchmarks.side_by_side.figures import GROWTH, MEGABYTES, PART, SECONDS, Figure, Goal, Row, compare, fit_exponent
from benchmarks.side_by_side.pictures import draw_small_pictures
from benchmarks.side_by_side.processes import Finished
from benchmarks.side_by_side.results import Table
from benchmarks.side_by_side.tlkit_runs import RANDOM_WEIGHTS, precompute_process

EDGE_PX = 64
SMALLER = 1_000
WANTED_AGAIN = Goal(50, 200)
WANTED_MEMORY = Goal(1.1, 1.02)


@dataclass(frozen=True)
class Step:
    """One number of images: the first precompute, and those after it."""

    count: int
    first: Finished
    again: tuple[Finished, ...]


def measure_growth(bench: Bench) -> Iterator[Row | Table]:
    """Yield the second precompute and the peak memory at the largest number, and a table of all numbers."""
    steps = []
    for count in bench.sizes.growth:
        steps.append(_measure_step(bench, count))
        bench.say(f"  {count:,} images: {steps[-1].first.seconds:.1f} s, again {steps[-1].again[0].seconds:.1f} s")
    yield _second_row(bench, steps[-1])
    yield _memory_row(bench, steps)
    yield _table(bench, steps)


def _measure_step(bench: Bench, count: int) -> Step:
    """Precompute small pictures, then again: whole processes, from start to end."""
    data, cache = bench.folder("small"), bench.folder("cache")
    draw_small_pictures(data, count, edge_px=EDGE_PX)

    def precompute() -> Finished:
        return precompute_process(bench, data, bench.growth_backbone, cache, *RANDOM_WEIGHTS)

    first = precompute()
    again = tuple(precompute() for _ in range(bench.sizes.rounds))
    assert first.output["misses"] == count
    assert {finished.output["hits"] for finished in again} == {count}
    return Step(count, first, again)


def _second_row(bench: Bench, step: Step) -> Row:
    ours = Figure(tuple(finished.seconds for finished in step.again), SECONDS)
    first = Figure((step.first.seconds,) * len(step.again), SECONDS)
    return Row(
        f"second precompute, nothing changed, {step.count:,} images ({bench.growth_backbone})",
        ours,
        "the first",
        first,
        compare(ours, first, PART),
        WANTED_AGAIN,
        note="from the start of the process to its end, imports included, in both",
    )


def _memory_row(bench: Bench, steps: Sequence[Step]) -> Row:
    """Compare the largest number of images with the one that is nearest to `SMALLER`."""
    small, large = min(steps[:-1], key=lambda step: abs(step.count - SMALLER)), steps[-1]
    ours, theirs = (Figure((step.first.peak_bytes / 1e6,), MEGABYTES) for step in (large, small))
    return Row(
        f"peak memory of precompute, {large.count:,} images ({bench.growth_backbone})",
        ours,
        f"{small.count:,} images",
        theirs,
        Figure((ours.median / theirs.median,), GROWTH),
        WANTED_MEMORY,
    )


def _table(bench: Bench, steps: Sequence[Step]) -> Table:
    counts = [step.count for step in steps]
    columns = {
        "first, s": [step.first.seconds for step in steps],
        "again, s": [Figure(tuple(finished.seconds for finished in step.again), SECONDS).median for step in steps],
        "peak memory, MB": [step.first.peak_bytes / 1e6 for step in steps],
    }
    cells = [
        [f"{count:,}", *(f"{column[row]:,.1f}" for column in columns.values())] for row, count in enumerate(counts)
    ]
    exponents = [f"{fit_exponent(counts, column):.2f}" for column in columns.values()]
    return Table(
        "How precompute grows with the images",
        ("images", *columns),
        [*cells, ["exponent", *exponents]],
        f"{bench.growth_backbone}, pictures of {EDGE_PX} x {EDGE_PX}, whole processes. The exponent b is that of the least "
        "squares fit cost = a · images^b in logarithms: 1 is in proportion, 0 is constant.",
    )
