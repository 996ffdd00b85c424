"""How the cost of a cache grows with its rows: open it, look all rows up, verify it."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.side_by_side.bench import Bench
from benchmarks.side_by_side.figures import fit_exponent
from benchmarks.side_by_side.pictures import draw_small_pictures
from benchmarks.side_by_side.processes import run_module
from benchmarks.side_by_side.results import Table
from benchmarks.side_by_side.tlkit_runs import RANDOM_WEIGHTS, precompute_process

COLUMNS = {"write": "write, s", "open": "open, s", "find": "look all rows up, s", "verify": "verify, s"}


def measure_cache(bench: Bench) -> Iterator[Table]:
    """Yield a table of numbers of rows."""
    data, cache = bench.folder("small"), bench.folder("cache")
    draw_small_pictures(data, 4, edge_px=64)
    like = precompute_process(bench, data, "mobilenet_v2", cache, *RANDOM_WEIGHTS).output["cache"]
    counts = bench.sizes.cache_rows
    seconds = []
    for count in counts:
        root = bench.folder("cache")
        output = run_module("side_by_side.programs.cache_upkeep", like=like, root=root, rows=count).output
        seconds.append(output)
        bench.say(f"  {count:,} rows: " + ", ".join(f"{name} {value:.2f} s" for name, value in output.items()))
    cells = [
        [f"{count:,}", *(f"{row[name]:.3f}" for name in COLUMNS)] for count, row in zip(counts, seconds, strict=True)
    ]
    exponents = [f"{fit_exponent(counts, [row[name] for row in seconds]):.2f}" for name in COLUMNS]
    yield Table(
        "How a cache's cost grows with its rows",
        ("rows", *COLUMNS.values()),
        [*cells, ["exponent", *exponents]],
        "Invented rows of 64 float16 numbers, in shards as tlkit writes them, warm in the system's file cache; imports stand "
        "outside the clock.",
    )
