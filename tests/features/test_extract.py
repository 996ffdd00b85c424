from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tlkit.backbones.engines.base import Engine
from tlkit.features.cache import FeatureCache
from tlkit.features.extract import Loaded, LoadFailure, fill_cache, load_sample, run_batches
from tlkit.features.row_keys import RowKey
from tlkit.features.spec import CacheSpec
from tlkit.waiting import find_long_wait

if TYPE_CHECKING:
    from tests.features.conftest import Rows

SHAPE = (2, 3)


def draw_number(number: int) -> NDArray[np.uint8]:
    if number % 10 == 9:
        raise LoadFailure(f"{number} ends in nine")
    time.sleep(0.001 * (number % 3))
    return np.full((2, 2), number, dtype=np.uint8)


def load_number(number: int) -> Loaded[str]:
    return Loaded([(draw_number(number),)], note=f"note of {number}")


def load_one(array: NDArray[Any]) -> Loaded[None]:
    return Loaded([(array,)])


def test_results_come_in_order_and_every_item_is_accounted_for() -> None:
    shapes = []

    def compute(batch: NDArray[np.uint8]) -> NDArray[np.float32]:
        shapes.append(batch.shape)
        return np.asarray(batch.mean(axis=(1, 2)), dtype=np.float32)

    results = list(run_batches(range(50), load_number, compute, batch_size=8, workers=4))
    found = [result for batch in results for result in batch]
    assert [result.item for result in found] == list(range(50))
    assert [[int(output) for output in result.outputs] for result in found] == [
        [number] if number % 10 != 9 else [] for number in range(50)
    ]
    assert [(result.item, result.failure) for result in found if result.failure] == [
        (number, f"{number} ends in nine") for number in range(9, 50, 10)
    ]
    assert {result.note for result in found if not result.failure} >= {"note of 0", "note of 48"}
    assert shapes == [(8, 2, 2)] * 6, "the last batch must be as full as the others"


@pytest.mark.parametrize("items", [[], [9, 19]])
def test_without_a_single_good_item_nothing_is_computed(items: list[int]) -> None:
    def compute(batch: NDArray[np.uint8]) -> NDArray[np.float32]:
        raise AssertionError

    results = list(run_batches(items, load_number, compute, batch_size=4))
    found = [result for batch in results for result in batch]
    assert [result.item for result in found if result.failure] == items
    assert not any(result.outputs for result in found)


def test_the_rows_of_an_item_are_computed_among_those_of_others_and_come_together() -> None:
    """Items of 3, 1, 0 (a failure), 5 and 2 rows fill batches of 4, one after another."""
    shapes = []

    def load(number: int) -> Loaded[None]:
        if not number:
            raise LoadFailure("none")
        return Loaded([(np.full(2, 10 * number + row, np.float32),) for row in range(number)])

    def compute(batch: NDArray[np.float32]) -> NDArray[np.float32]:
        shapes.append(batch.shape)
        return batch[:, 0]

    batches = list(run_batches([3, 1, 0, 5, 2], load, compute, batch_size=4, rows_of_item=5))
    assert [[result.item for result in batch] for batch in batches] == [[3, 1], [0], [5, 2]]
    found = [[float(output) for output in result.outputs] for batch in batches for result in batch]
    assert found == [[30, 31, 32], [10], [], [50, 51, 52, 53, 54], [20, 21]]
    assert shapes == [(4, 2)] * 3


def test_only_a_few_batches_are_loaded_ahead() -> None:
    taken = 0

    def count_taken() -> Iterator[int]:
        nonlocal taken
        for number in range(1_000):
            taken += 1
            yield number * 10

    loaded = threading.Semaphore(0)

    def load(number: int) -> Loaded[None]:
        loaded.release()
        return load_one(np.zeros(1, np.uint8))

    batches = run_batches(count_taken(), load, lambda batch: batch, batch_size=4, workers=2)
    next(batches)
    assert taken <= 3 * 4 + 2 * 4
    batches.close()  # type: ignore[attr-defined]
    assert taken <= 3 * 4 + 2 * 4


def test_an_error_that_is_no_load_failure_is_not_swallowed() -> None:
    def load(number: int) -> Loaded[None]:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        list(run_batches(range(20), load, lambda batch: batch, batch_size=4))


def test_loading_and_computing_go_on_at_the_same_time() -> None:
    """The second batch is computed only once the fourth is loaded, which a single thread would wait for in vain."""
    third_is_loaded = threading.Event()

    def load(number: int) -> Loaded[None]:
        if number == 12:
            third_is_loaded.set()
        return load_one(np.full(1, number, np.uint8))

    def compute(batch: NDArray[np.uint8]) -> NDArray[np.uint8]:
        assert third_is_loaded.wait(timeout=30)
        return batch

    batches = list(run_batches(range(20), load, compute, batch_size=4, workers=1))
    assert [result.item for batch in batches for result in batch] == list(range(20))


def test_so_many_batches_are_computed_at_the_same_time_and_come_in_order() -> None:
    both_compute = threading.Barrier(2, timeout=30)

    def compute(batch: NDArray[np.uint8]) -> NDArray[np.uint8]:
        both_compute.wait()
        return batch

    batches = run_batches(
        range(16), lambda number: load_one(np.full(1, number, np.uint8)), compute, batch_size=4, num_parallel=2
    )
    assert [int(result.outputs[0][0]) for batch in batches for result in batch] == list(range(16))


@pytest.mark.parametrize("place", ["items", "load", "compute", "consumer"])
@pytest.mark.parametrize("error", [MemoryError, KeyboardInterrupt, ZeroDivisionError])
def test_whatever_fails_in_the_middle_ends_the_work_and_its_threads(place: str, error: type[BaseException]) -> None:
    def fail_at(number: int, here: str) -> None:
        if place == here and number >= 24:
            raise error

    def list_items() -> Iterator[int]:
        for number in range(10_000):
            fail_at(number, "items")
            yield number

    def load(number: int) -> Loaded[None]:
        fail_at(number, "load")
        return load_one(np.full(1, number))

    def compute(batch: NDArray[np.int64]) -> NDArray[np.int64]:
        fail_at(batch.max(), "compute")
        return batch

    def consume() -> None:
        for batch in run_batches(list_items(), load, compute, batch_size=4, workers=3, num_parallel=2):
            fail_at(max(result.item for result in batch), "consumer")

    before = set(threading.enumerate())
    with pytest.raises(error):
        consume()
    assert set(threading.enumerate()) == before


def test_a_consumer_that_stops_early_ends_the_threads() -> None:
    before = set(threading.enumerate())
    batches = run_batches(range(10_000), load_number, lambda batch: batch, batch_size=4, num_parallel=2)
    next(batches)
    assert set(threading.enumerate()) > before
    batches.close()  # type: ignore[attr-defined]
    assert set(threading.enumerate()) == before


def test_what_is_waited_for_is_known() -> None:
    seen: list[str] = []

    def note_wait() -> None:
        last_moment = time.monotonic() + 10
        while (wait := find_long_wait(0.02)) is None and time.monotonic() < last_moment:
            time.sleep(0.01)
        seen.append(wait[0] if wait else "nothing")

    def load(number: int) -> Loaded[None]:
        if number == 0:
            note_wait()
        return load_one(np.full(1, number))

    def compute(batch: NDArray[np.int64]) -> NDArray[np.int64]:
        note_wait()
        return batch

    assert len(list(run_batches(range(4), load, compute, batch_size=4))) == 1
    assert seen == ["an image to be read and decoded", "the network to compute a batch of images"]


def test_an_error_of_computing_is_not_swallowed() -> None:
    def compute(batch: NDArray[np.uint8]) -> NDArray[np.uint8]:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        list(run_batches(range(20), load_number, compute, batch_size=4))


def test_a_sample_is_made_of_what_can_be_loaded() -> None:
    sample = load_sample([8, 9, 10, 11], draw_number, at_most=3)
    assert sample is not None
    assert sample[:, 0, 0].tolist() == [8, 10]
    assert load_sample([9, 19], draw_number, at_most=2) is None


@pytest.mark.parametrize("error", [MemoryError, KeyboardInterrupt, RuntimeError])
def test_an_engine_that_fails_in_the_middle_costs_no_row_that_came_before(
    tmp_path: Path, spec: CacheSpec, rows: Rows, error: type[BaseException]
) -> None:
    num_batches = 0

    def compute(batch: NDArray[np.uint8]) -> NDArray[np.float32]:
        nonlocal num_batches
        num_batches += 1
        if num_batches > 3:
            raise error
        return np.ones((len(batch), *SHAPE), np.float32)

    keys = rows.keys(40)
    cache = FeatureCache.open(tmp_path, spec)
    engine = Engine("openvino", "float32", batch_size=4, num_parallel=1, compute=compute)
    files = [[key] for key in keys]
    with pytest.raises(error):
        fill_cache(cache, files, lambda keys: [np.zeros((2, 2, 3), np.uint8)], engine, advance=lambda count: None)
    assert np.flatnonzero(cache.find(keys) >= 0).tolist() == list(range(12))


def test_filling_adds_what_was_computed_and_names_what_failed(tmp_path: Path, spec: CacheSpec, rows: Rows) -> None:
    keys = rows.keys(11)
    number_of = {key: number for number, key in enumerate(keys)}
    advanced: list[int] = []

    def load(keys: Sequence[RowKey]) -> list[NDArray[np.uint8]]:
        return [draw_number(number_of[key]) for key in keys]

    def compute(batch: NDArray[np.uint8]) -> NDArray[np.float32]:
        return np.broadcast_to(batch[:, :1, :1], (len(batch), *SHAPE)).astype(np.float32)

    cache = FeatureCache.open(tmp_path, spec)
    engine = Engine("keras", "float32", batch_size=4, num_parallel=2, compute=compute)
    files = iter([keys[:2], keys[2:9], keys[9:10], keys[10:]])
    report = fill_cache(cache, files, load, engine, rows_of_file=7, advance=advanced.append)
    assert report.computed == 10
    assert report.failures == ((keys[9], "9 ends in nine"),)
    assert report.seconds > 0
    assert sum(advanced) == 11
    positions = cache.find(keys)
    assert np.flatnonzero(positions < 0).tolist() == [9]
    assert cache.read(positions[positions >= 0])[:, 0, 0].tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 8, 10]
