"""The rows of the benchmark, by the names that `--rows` takes, in the order of the page.

Each is a function of the `Bench` that yields lines and tables as soon as they are measured. It raises `NotMeasured` where
something is lacking, or yields it where that is not all of the row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from benchmarks.side_by_side.bench import Bench, NotMeasured
from benchmarks.side_by_side.figures import Row
from benchmarks.side_by_side.results import Table
from benchmarks.side_by_side.rows.bound import measure_bound
from benchmarks.side_by_side.rows.cache import measure_cache
from benchmarks.side_by_side.rows.growth import measure_growth
from benchmarks.side_by_side.rows.guide import measure_guide
from benchmarks.side_by_side.rows.head import measure_head
from benchmarks.side_by_side.rows.logistic import measure_logistic
from benchmarks.side_by_side.rows.precompute import measure_precompute
from benchmarks.side_by_side.rows.start import measure_start
from benchmarks.side_by_side.rows.tuning import measure_tuning

ROWS: dict[str, Callable[[Bench], Iterator[Row | Table | NotMeasured]]] = {
    "precompute": measure_precompute,
    "bound": measure_bound,
    "growth": measure_growth,
    "head": measure_head,
    "tuning": measure_tuning,
    "guide": measure_guide,
    "logistic": measure_logistic,
    "start": measure_start,
    "cache": measure_cache,
}
