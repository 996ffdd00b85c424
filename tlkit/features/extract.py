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
from dataclasses import dataclass, field
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
Note = TypeVar("Note")
Result = TypeVar("Result")

Row = tuple[NDArray[Any], ...]
"""What is computed from at once: one or more arrays, of the same shapes and types for all rows."""


@dataclass(frozen=True)
class Loaded(Generic[Note]):
    """What is loaded of an item: one row or more, and a note that travels beside them to whoever gets the outputs."""

    rows: Sequence[Row]
    note: Note | None = None


class LoadFailure(Exception):  # noqa: N818
    """An item that cannot be loaded, for a reason that lies in its file; raised by a `load` function."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, eq=False)
class ItemResult(Generic[Item, Note]):
    """What became of an item.

    Attributes:
        item: The item.
        outputs: One for each of its rows; none if it could not be loaded.
        note: What was noted of it.
        failure: Why it could not be loaded; None if it was.
    """

    item: Item
    outputs: Sequence[NDArray[Any]]
    note: Note | None = None
    failure: str | None = None


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
    load: Callable[[Item], Loaded[Note]],
    compute: Callable[..., NDArray[Any]],
    *,
    batch_size: int,
    rows_of_item: int = 1,
    workers: int | None = None,
    num_parallel: int = 1,
) -> Iterator[list[ItemResult[Item, Note]]]:
    """Load items in threads, compute their rows in batches in others, and yield the results in the order of the items.

    One batch is always ready when another is done, so loading, computing and what the caller does with the results go
    on at the same time. Memory holds about four batches, however many items there are; `items` is read as it is needed.

    Args:
        items: What to load. Any number, also none.
        load: Returns what an item's rows are computed from, or raises `LoadFailure`. Runs in threads.
        compute: Takes the arrays of a batch, each (batch_size, ...), and returns (batch_size, ...). The last batch is
            filled up with copies of its last row, whose outputs are dropped. Runs in `num_parallel` threads.
        batch_size: Rows in a batch.
        rows_of_item: The most rows that an item has.
        workers: Threads that load; by default one for each processor.
        num_parallel: Batches that are computed at the same time.

    Yields:
        After each batch, the items that are complete with it: perhaps none.
    """
    num_workers = workers or os.cpu_count() or 1
    loaders = ThreadPoolExecutor(max_workers=num_workers, thread_name_prefix="load")
    computers = ThreadPoolExecutor(max_workers=num_parallel, thread_name_prefix="compute")
    ahead = 2 * max(batch_size, num_parallel)
    if rows_of_item > 1:
        ahead = max(num_workers, -(-ahead // rows_of_item))
    try:
        loaded = _run_ahead(loaders, items, load, ahead=ahead)
        batches = _collect_batches(loaded, batch_size)
        under_way = _run_ahead(
            computers, batches, lambda batch: _compute_padded(batch.rows, compute, batch_size), ahead=num_parallel + 1
        )
        for batch, outputs in under_way:
            with waiting_for("the network to compute a batch of images"):
                computed = outputs.result()
            yield _complete(batch.parts, computed)
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


@dataclass(frozen=True, eq=False)
class _Pending(Generic[Item, Note]):
    """An item whose outputs are collected: those of its rows may come in several batches."""

    item: Item
    num_rows: int
    note: Note | None = None
    failure: str | None = None
    outputs: list[NDArray[Any]] = field(default_factory=list)


@dataclass(frozen=True, eq=False)
class _LoadedBatch(Generic[Item, Note]):
    """Consecutive rows, and for each item among them, loaded or not, how many are its own."""

    rows: list[Row] = field(default_factory=list)
    parts: list[tuple[_Pending[Item, Note], int]] = field(default_factory=list)


def _collect_batches(
    loaded: Iterator[tuple[Item, Future[Loaded[Note]]]], batch_size: int
) -> Iterator[_LoadedBatch[Item, Note]]:
    """Yield batches of `batch_size` rows; the last may be smaller, or have nothing but failures."""
    batch = _LoadedBatch[Item, Note]()
    for item, future in loaded:
        try:
            with waiting_for("an image to be read and decoded"):
                found = future.result()
        except LoadFailure as failure:
            batch.parts.append((_Pending(item, 0, failure=failure.reason), 0))
            continue
        pending, rows = _Pending(item, len(found.rows), found.note), found.rows
        while rows:
            part = rows[: batch_size - len(batch.rows)]
            rows = rows[len(part) :]
            batch.rows.extend(part)
            batch.parts.append((pending, len(part)))
            if len(batch.rows) == batch_size:
                yield batch
                batch = _LoadedBatch()
    if batch.parts:
        yield batch


def _complete(parts: Sequence[tuple[_Pending[Item, Note], int]], outputs: NDArray[Any]) -> list[ItemResult[Item, Note]]:
    """Hand each item its outputs in a batch; return the items that have all of theirs now."""
    done, position = [], 0
    for pending, number in parts:
        pending.outputs.extend(outputs[position : position + number])
        position += number
        if len(pending.outputs) == pending.num_rows:
            done.append(ItemResult(pending.item, pending.outputs, pending.note, pending.failure))
    return done


def _compute_padded(rows: list[Row], compute: Callable[..., NDArray[Any]], batch_size: int) -> NDArray[Any]:
    if not rows:
        return np.empty(0, dtype=np.float32)
    padded = rows + [rows[-1]] * (batch_size - len(rows))
    return compute(*map(np.stack, zip(*padded, strict=True)))[: len(rows)]


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
    files: Iterable[Sequence[RowKey]],
    load: Callable[[Sequence[RowKey]], Sequence[NDArray[np.uint8]]],
    engine: Engine,
    *,
    rows_of_file: int = 1,
    advance: Callable[[int], None],
) -> FillReport:
    """Compute rows and add them to the cache. When this returns, `cache.find` knows them.

    Args:
        cache: The cache, which lacks these rows.
        files: The rows to compute, each once, those of a file together.
        load: Returns the images of a file's rows, uint8 (height, width, 3), 0..255, or raises `LoadFailure`.
        engine: The trunk. Its batch size is part of a row's value in its last bits, so the same at all times.
        rows_of_file: The most rows of a file.
        advance: Called with the number of rows done since the last call, failures included.

    Raises:
        NumericsError: A feature is not finite, or too large for the cache's dtype.
        CacheError: The cache cannot be written. What was finished before stays.
    """
    start = time.perf_counter()
    computed = 0
    failures: list[tuple[RowKey, str]] = []
    with cache.writer() as writer:
        for results in run_batches(
            files,
            lambda keys: Loaded[None]([(image,) for image in load(keys)]),
            engine.compute,
            batch_size=engine.batch_size,
            rows_of_item=rows_of_file,
            num_parallel=engine.num_parallel,
        ):
            done = [key for result in results if result.failure is None for key in result.item]
            if done:
                writer.append(done, np.stack([row for result in results for row in result.outputs]))
            computed += len(done)
            failures.extend((key, result.failure) for result in results if result.failure for key in result.item)
            advance(sum(len(result.item) for result in results))
    return FillReport(computed, tuple(failures), time.perf_counter() - start)
