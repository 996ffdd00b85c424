"""From images to rows: decode in threads, compute in fixed batches, in threads too.

The batch that reaches `compute` always has the same shape. TensorFlow chooses its algorithms by shape, and with them
the order of its sums; so a row's value would otherwise depend on how many images happened to be left over. Precompute,
prediction and evaluation all come through here.
"""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from tlkit.waiting import waiting_for

if TYPE_CHECKING:
    from tlkit.backbones.engines.base import Engine
    from tlkit.features.cache import FeatureCache
    from tlkit.features.row_keys import RowKey

Item = TypeVar("Item")
Result = TypeVar("Result")

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
    num_parallel: int = 1,
) -> Iterator[BatchResult[Item]]:
    """Load items in threads, compute them in batches in others, and yield the results in the order of the items.

    One batch is always ready when another is done, so loading, computing and what the caller does with the results go
    on at the same time. Memory holds about four batches, however many items there are; `items` is read as it is needed.

    Args:
        items: What to load. Any number, also none.
        load: Returns an item's arrays, or raises `LoadFailure`. Runs in threads.
        compute: Takes the arrays of a batch, each (batch_size, ...), and returns (batch_size, ...). The last batch is
            filled up with copies of its last item, whose outputs are dropped. Runs in `num_parallel` threads.
        batch_size: Items in a batch.
        workers: Threads that load; by default one for each processor.
        num_parallel: Batches that are computed at the same time.
    """
    loaders = ThreadPoolExecutor(max_workers=workers or os.cpu_count() or 1, thread_name_prefix="load")
    computers = ThreadPoolExecutor(max_workers=num_parallel, thread_name_prefix="compute")
    try:
        loaded = _run_ahead(loaders, items, load, ahead=2 * max(batch_size, num_parallel))
        batches = _collect_batches(loaded, batch_size)
        under_way = _run_ahead(
            computers, batches, lambda batch: _compute_padded(batch.arrays, compute, batch_size), ahead=num_parallel + 1
        )
        for batch, outputs in under_way:
            with waiting_for("the network to compute a batch of images"):
                computed = outputs.result()
            yield BatchResult(tuple(batch.items), computed, tuple(batch.failures))
    finally:
        with waiting_for("what is under way to end"):
            for executor in (loaders, computers):
                executor.shutdown(wait=True, cancel_futures=True)


def _run_ahead(
    executor: ThreadPoolExecutor, items: Iterable[Item], work: Callable[[Item], Result], *, ahead: int
) -> Iterator[tuple[Item, Future[Result]]]:
    """Yield each item with its future, keeping `ahead` more of them under way."""
    remaining = iter(items)
    under_way = deque((item, executor.submit(work, item)) for item in islice(remaining, ahead))
    while under_way:
        oldest = under_way.popleft()
        under_way.extend((item, executor.submit(work, item)) for item in islice(remaining, 1))
        yield oldest


@dataclass(frozen=True)
class _LoadedBatch(Generic[Item]):
    """Items with what was loaded of them, and those between them that could not be loaded."""

    items: list[Item]
    arrays: list[Loaded]
    failures: list[tuple[Item, str]]


def _collect_batches(loaded: Iterator[tuple[Item, Future[Loaded]]], batch_size: int) -> Iterator[_LoadedBatch[Item]]:
    """Yield batches of `batch_size` items; the last may be smaller, or have nothing but failures."""
    batch = _LoadedBatch[Item]([], [], [])
    for item, future in loaded:
        try:
            with waiting_for("an image to be read and decoded"):
                batch.arrays.append(future.result())
        except LoadFailure as failure:
            batch.failures.append((item, failure.reason))
        else:
            batch.items.append(item)
        if len(batch.arrays) == batch_size:
            yield batch
            batch = _LoadedBatch[Item]([], [], [])
    if batch.items or batch.failures:
        yield batch


def _compute_padded(arrays: list[Loaded], compute: Callable[..., NDArray[Any]], batch_size: int) -> NDArray[Any]:
    if not arrays:
        return np.empty(0, dtype=np.float32)
    padded = arrays + [arrays[-1]] * (batch_size - len(arrays))
    return compute(*map(np.stack, zip(*padded, strict=True)))[: len(arrays)]


def load_sample(
    items: Sequence[Item], load: Callable[[Item], NDArray[np.uint8]], at_most: int
) -> NDArray[np.uint8] | None:
    """Return the images of the first items that can be loaded, uint8 (n, height, width, 3); None if none can."""

    def try_to_load(item: Item) -> NDArray[np.uint8] | None:
        try:
            return load(item)
        except LoadFailure:
            return None

    with waiting_for("the first images to be read and decoded"), ThreadPoolExecutor(thread_name_prefix="load") as pool:
        found = [image for image in pool.map(try_to_load, items[:at_most]) if image is not None]
    return np.stack(found) if found else None


def fill_cache(
    cache: FeatureCache,
    rows: Iterable[RowKey],
    load: Callable[[RowKey], NDArray[np.uint8]],
    engine: Engine,
    *,
    advance: Callable[[int], None],
) -> FillReport:
    """Compute rows and add them to the cache. When this returns, `cache.find` knows them.

    Args:
        cache: The cache, which lacks these rows.
        rows: The rows to compute, each once.
        load: Returns a row's image, uint8 (height, width, 3), 0..255, or raises `LoadFailure`.
        engine: The trunk. Its batch size is part of a row's value in its last bits, so the same at all times.
        advance: Called with the number of rows done since the last call, failures included.

    Raises:
        NumericsError: A feature is not finite, or too large for the cache's dtype.
        CacheError: The cache cannot be written. What was finished before stays.
    """
    start = time.perf_counter()
    computed = 0
    failures: list[tuple[RowKey, str]] = []
    with cache.writer() as writer:
        batches = run_batches(
            rows,
            lambda row: (load(row),),
            engine.compute,
            batch_size=engine.batch_size,
            num_parallel=engine.num_parallel,
        )
        for batch in batches:
            if batch.items:
                writer.append(batch.items, batch.outputs)
            computed += len(batch.items)
            failures.extend(batch.failures)
            advance(len(batch.items) + len(batch.failures))
    return FillReport(computed, tuple(failures), time.perf_counter() - start)
