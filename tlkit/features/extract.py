"""Turn images into rows: decode in threads, and compute in batches of fixed size, also in threads.

All batches have the same shape. TensorFlow chooses algorithms, and so the order of sums, by shape, so otherwise a row's
value would depend on the number of remaining images. Used by precompute, prediction and evaluation.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from tlkit.runtime import count_processors
from tlkit.waiting import waiting_for

if TYPE_CHECKING:
    from tlkit.backbones.engines.base import Engine
    from tlkit.features.cache import FeatureCache
    from tlkit.features.row_keys import RowKey

Item = TypeVar("Item")
Note = TypeVar("Note")
Result = TypeVar("Result")

Row = tuple[NDArray[Any], ...]
"""The arrays that one row is computed from; shapes and types are the same for all rows."""


@dataclass(frozen=True)
class Loaded(Generic[Note]):
    """The rows loaded for an item, and a note that is returned with the outputs."""

    rows: Sequence[Row]
    note: Note | None = None


class LoadFailure(Exception):  # noqa: N818
    """An item cannot be loaded because of its file; raised by `load` functions."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, eq=False)
class ItemResult(Generic[Item, Note]):
    """The result for an item.

    Attributes:
        item: The item.
        outputs: One per row; empty if it could not be loaded.
        note: The note returned by `load`.
        failure: Why it could not be loaded; None if it was.
    """

    item: Item
    outputs: Sequence[NDArray[Any]]
    note: Note | None = None
    failure: str | None = None


@dataclass(frozen=True)
class FillReport:
    """The result of filling a cache.

    Attributes:
        computed: Number of added rows.
        failures: The rows whose images could not be loaded, each with its reason.
        seconds: Duration.
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
    """Load items and compute their rows in batches, both in threads; yield the results in the order of the items.

    Loading, computing and the caller's work overlap. Memory holds about four batches; `items` is read lazily.

    Args:
        items: The items to load; may be empty.
        load: Returns the rows of an item, or raises `LoadFailure`. Runs in threads.
        compute: Takes the arrays of a batch, each (batch_size, ...), and returns (batch_size, ...). The last batch is
            padded with copies of its last row. Runs in `num_parallel` threads.
        batch_size: Rows in a batch.
        rows_of_item: Maximum number of rows per item.
        workers: Number of loading threads; by default one per processor.
        num_parallel: Number of batches computed at the same time.

    Yields:
        After each batch, the items completed by it; may be empty.
    """
    num_workers = workers or count_processors()
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
    """Yield each item with its future, keeping `ahead` more in progress."""
    remaining = iter(items)
    under_way = deque((item, executor.submit(work, item)) for item in islice(remaining, ahead))
    while under_way:
        oldest = under_way.popleft()
        under_way.extend((item, executor.submit(work, item)) for item in islice(remaining, 1))
        yield oldest


@dataclass(frozen=True, eq=False)
class _Pending(Generic[Item, Note]):
    """An item whose rows may be spread over several batches."""

    item: Item
    num_rows: int
    note: Note | None = None
    failure: str | None = None
    outputs: list[NDArray[Any]] = field(default_factory=list)


@dataclass(frozen=True, eq=False)
class _LoadedBatch(Generic[Item, Note]):
    """Consecutive rows, and the number of rows of each item in them, 0 if it was not loaded."""

    rows: list[Row] = field(default_factory=list)
    parts: list[tuple[_Pending[Item, Note], int]] = field(default_factory=list)


def _collect_batches(
    loaded: Iterator[tuple[Item, Future[Loaded[Note]]]], batch_size: int
) -> Iterator[_LoadedBatch[Item, Note]]:
    """Yield batches of `batch_size` rows; the last may be smaller, or contain only failures."""
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
    """Assign a batch of outputs to its items, and return the items that are complete."""
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
    """Return the images of the first items that can be loaded, uint8 (n, height, width, 3); None if there are none."""
    found = load_all(items[:at_most], load)
    return np.stack([image for _, image in found]) if found else None


def load_all(items: Sequence[Item], load: Callable[[Item], NDArray[np.uint8]]) -> list[tuple[Item, NDArray[np.uint8]]]:
    """Return the items that can be loaded, each with its image, uint8 (height, width, 3)."""

    def try_to_load(item: Item) -> tuple[Item, NDArray[np.uint8]] | None:
        try:
            return item, load(item)
        except LoadFailure:
            return None

    with waiting_for("the first images to be read and decoded"), ThreadPoolExecutor(thread_name_prefix="load") as pool:
        return [found for found in pool.map(try_to_load, items) if found is not None]


def fill_cache(
    cache: FeatureCache,
    files: Iterable[Sequence[RowKey]],
    load: Callable[[Sequence[RowKey]], Sequence[NDArray[np.uint8]]],
    engine: Engine,
    *,
    rows_of_file: int = 1,
    advance: Callable[[int], None],
) -> FillReport:
    """Compute rows and add them to the cache, where `cache.find` then finds them.

    Args:
        cache: The cache.
        files: The missing rows, each once, grouped by file.
        load: Returns the images of a file's rows, uint8 (height, width, 3), 0..255, or raises `LoadFailure`.
        engine: Runs the trunk. Its batch size affects the last bits of a row, so it must always be the same.
        rows_of_file: Maximum number of rows per file.
        advance: Called with the number of rows since the last call, including failures.

    Raises:
        NumericsError: A feature is not finite, or too large for the cache's dtype.
        CacheError: The cache cannot be written; rows written before are kept.
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
