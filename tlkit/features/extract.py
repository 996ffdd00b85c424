"""From images to rows: decode in threads, compute in fixed batches, on the caller's thread.

The batch that reaches `compute` always has the same shape. TensorFlow chooses its algorithms by shape, and with them
the order of its sums; so a row's value would otherwise depend on how many images happened to be left over. Precompute,
prediction and evaluation all come through here.
"""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from tlkit.features.cache import FeatureCache
from tlkit.features.row_keys import RowKey

Item = TypeVar("Item")

Loaded = tuple[NDArray[Any], ...]
"""What is loaded of an item: one or more arrays, of the same shapes and types for all items."""


class LoadFailure(Exception):  # noqa: N818
    """An item that cannot be loaded, for a reason that lies in its file; raised by a `load` function."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True)
class BatchResult(Generic[Item]):
    """What became of some consecutive items.

    Attributes:
        items: The items that were computed, in order.
        outputs: One row for each of `items`; empty where there is none.
        failures: The items between them that could not be loaded, each with its reason.
    """

    items: tuple[Item, ...]
    outputs: NDArray[Any]
    failures: tuple[tuple[Item, str], ...]


@dataclass(frozen=True)
class FillReport:
    """What filling a cache took.

    Attributes:
        computed: How many rows were added.
        failures: The rows whose images could not be loaded, each with its reason.
        seconds: Time that it took.
    """

    computed: int
    failures: tuple[tuple[RowKey, str], ...]
    seconds: float


def run_batches(
    items: Iterable[Item],
    load: Callable[[Item], Loaded],
    compute: Callable[..., NDArray[Any]],
    *,
    batch_size: int,
    workers: int | None = None,
) -> Iterator[BatchResult[Item]]:
    """Load items in threads, compute them in batches and yield the results in the order of the items.

    Memory holds about three batches, however many items there are; `items` is read as it is needed.

    Args:
        items: What to load. Any number, also none.
        load: Returns an item's arrays, or raises `LoadFailure`. Runs in threads.
        compute: Takes the arrays of a batch, each (batch_size, ...), and returns (batch_size, ...). The last batch is
            filled up with copies of its last item, whose outputs are dropped.
        batch_size: Items in a batch.
        workers: Threads; by default one for each processor.
    """
    executor = ThreadPoolExecutor(max_workers=workers or os.cpu_count() or 1, thread_name_prefix="load")
    try:
        loaded = _load_ahead(executor, items, load, ahead=2 * batch_size)
        while True:
            batch, arrays, failures = _collect(loaded, batch_size)
            if not batch and not failures:
                return
            yield BatchResult(tuple(batch), _compute_padded(arrays, compute, batch_size), tuple(failures))
    finally:
        executor.shutdown(wait=True, cancel_futures=True)


def _load_ahead(
    executor: ThreadPoolExecutor, items: Iterable[Item], load: Callable[[Item], Loaded], *, ahead: int
) -> Iterator[tuple[Item, Future[Loaded]]]:
    """Yield each item with its future, keeping `ahead` more of them under way."""
    remaining = iter(items)
    under_way = deque((item, executor.submit(load, item)) for item in islice(remaining, ahead))
    while under_way:
        oldest = under_way.popleft()
        under_way.extend((item, executor.submit(load, item)) for item in islice(remaining, 1))
        yield oldest


def _collect(
    loaded: Iterator[tuple[Item, Future[Loaded]]], batch_size: int
) -> tuple[list[Item], list[Loaded], list[tuple[Item, str]]]:
    """Take items until there are `batch_size`, and the failures met on the way."""
    items: list[Item] = []
    arrays: list[Loaded] = []
    failures: list[tuple[Item, str]] = []
    for item, future in loaded:
        try:
            arrays.append(future.result())
        except LoadFailure as failure:
            failures.append((item, failure.reason))
        else:
            items.append(item)
        if len(arrays) == batch_size:
            break
    return items, arrays, failures


def _compute_padded(arrays: list[Loaded], compute: Callable[..., NDArray[Any]], batch_size: int) -> NDArray[Any]:
    if not arrays:
        return np.empty(0, dtype=np.float32)
    padded = arrays + [arrays[-1]] * (batch_size - len(arrays))
    return compute(*map(np.stack, zip(*padded, strict=True)))[: len(arrays)]


def fill_cache(
    cache: FeatureCache,
    rows: Iterable[RowKey],
    load: Callable[[RowKey], NDArray[np.uint8]],
    compute: Callable[[NDArray[np.uint8]], NDArray[np.float32]],
    *,
    batch_size: int,
    advance: Callable[[int], None],
) -> FillReport:
    """Compute rows and add them to the cache. When this returns, `cache.find` knows them.

    Args:
        cache: The cache, which lacks these rows.
        rows: The rows to compute, each once.
        load: Returns a row's image, uint8 (height, width, 3), 0..255, or raises `LoadFailure`.
        compute: The trunk: uint8 (batch_size, height, width, 3) to float32 (batch_size, *feature_shape).
        batch_size: Images in a batch; part of a row's value in its last bits, so the same for one cache at all times.
        advance: Called with the number of rows done since the last call, failures included.

    Raises:
        NumericsError: A feature is not finite, or too large for the cache's dtype.
        CacheError: The cache cannot be written. What was finished before stays.
    """
    start = time.perf_counter()
    computed = 0
    failures: list[tuple[RowKey, str]] = []
    with cache.writer() as writer:
        for batch in run_batches(rows, lambda row: (load(row),), compute, batch_size=batch_size):
            if batch.items:
                writer.append(batch.items, batch.outputs)
            computed += len(batch.items)
            failures.extend(batch.failures)
            advance(len(batch.items) + len(batch.failures))
    return FillReport(computed, tuple(failures), time.perf_counter() - start)
