from __future__ import annotations

import numpy as np
import pytest

from tlkit.similarity import search
from tlkit.similarity.search import find_neighbours, find_similar_pairs


def draw_rows(num_rows: int, seed: int, dtype: type = np.float32) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(num_rows, 24)).astype(dtype)


def compute_cosines(queries: np.ndarray, base: np.ndarray) -> np.ndarray:
    first, second = queries.astype(np.float64), base.astype(np.float64)
    lengths = np.linalg.norm(first, axis=1)[:, None] * np.linalg.norm(second, axis=1)
    cosines: np.ndarray = np.divide(first @ second.T, lengths, out=np.zeros_like(lengths), where=lengths > 0)
    return cosines


@pytest.fixture(params=[(7, 5), (7, 64), (64, 3)], ids=str)
def small_blocks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "_QUERIES_AT_ONCE", request.param[0])
    monkeypatch.setattr(search, "_ROWS_AT_ONCE", request.param[1])


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
@pytest.mark.usefixtures("small_blocks")
def test_neighbours_over_blocks_are_those_of_the_whole_matrix(dtype: type) -> None:
    queries, base = draw_rows(30, 1, dtype), draw_rows(41, 2, dtype)
    indices, cosines = find_neighbours(queries, base, 6)
    expected = compute_cosines(queries, base)
    order = np.argsort(-expected, axis=1)[:, :6]
    np.testing.assert_array_equal(indices, order)
    np.testing.assert_allclose(cosines, np.take_along_axis(expected, order, axis=1), atol=1e-5)
    assert f"{indices.dtype} {cosines.dtype}" == "int64 float32"


@pytest.mark.usefixtures("small_blocks")
def test_no_row_is_its_own_neighbour_but_an_equal_row_is() -> None:
    rows = draw_rows(40, 3)
    rows[33] = 2 * rows[4]
    indices, cosines = find_neighbours(rows, rows, 3, exclude_self=True)
    assert not (indices == np.arange(40)[:, None]).any()
    assert (indices[33, 0], indices[4, 0]) == (4, 33)
    assert cosines[4, 0] == pytest.approx(1, abs=1e-6)


def test_all_rows_are_neighbours_where_there_are_fewer_than_k() -> None:
    rows = draw_rows(4, 5)
    indices, _ = find_neighbours(rows, rows, 10, exclude_self=True)
    assert np.sort(indices, axis=1).tolist() == [[1, 2, 3], [0, 2, 3], [0, 1, 3], [0, 1, 2]]


@pytest.mark.parametrize(("num_queries", "num_rows"), [(0, 5), (5, 0)])
def test_without_anything_to_find_the_answer_is_empty(num_queries: int, num_rows: int) -> None:
    indices, cosines = find_neighbours(draw_rows(num_queries, 6), draw_rows(num_rows, 6), 3)
    assert indices.shape == cosines.shape == (num_queries, min(3, num_rows))


def test_the_only_row_has_no_neighbour_but_itself() -> None:
    row = draw_rows(1, 7)
    assert find_neighbours(row, row, 3, exclude_self=True)[0].shape == (1, 0)
    assert find_neighbours(row, row, 3)[0].tolist() == [[0]]


@pytest.mark.usefixtures("small_blocks")
def test_progress_counts_every_query() -> None:
    done: list[int] = []
    find_neighbours(draw_rows(30, 8), draw_rows(9, 9), 2, advance=done.append)
    assert sum(done) == 30


def test_a_row_of_zeros_and_rows_of_extreme_length_have_proper_cosines() -> None:
    base = np.stack([np.zeros(24), np.full(24, 1e30), np.full(24, -1e-30)]).astype(np.float32)
    indices, cosines = find_neighbours(np.ones((1, 24), np.float32), base, 3)
    assert indices.tolist() == [[1, 0, 2]]
    np.testing.assert_allclose(cosines, [[1, 0, -1]], atol=1e-6)


@pytest.mark.parametrize("most", [10, 10**6], ids=["many equal", "few equal"])
@pytest.mark.usefixtures("small_blocks")
def test_neighbours_of_many_are_the_same_whether_cosines_are_sampled_or_sorted(
    most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "_MAX_FOUND", most)
    monkeypatch.setattr(search, "_ROWS_AT_ONCE", 300)
    rows = draw_rows(700, 9)
    indices, _ = find_neighbours(rows[:20], rows, 5)
    np.testing.assert_array_equal(indices, np.argsort(-compute_cosines(rows[:20], rows), axis=1)[:, :5])


@pytest.mark.parametrize("most", [2, 10**6], ids=["many similar", "few similar"])
@pytest.mark.usefixtures("small_blocks")
def test_similar_pairs_are_those_above_the_limit_the_best_of_each_query(
    most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "_MAX_FOUND", most)
    queries, base = draw_rows(30, 1, np.float16), draw_rows(41, 2)
    expected = compute_cosines(queries, base)
    found = find_similar_pairs(queries, base, 41, above=0.3)
    assert sorted(zip(*found[:2], strict=True)) == list(zip(*np.nonzero(expected > 0.3), strict=True))
    np.testing.assert_allclose(found[2], expected[found[0], found[1]], atol=1e-3)
    first, second, _ = find_similar_pairs(queries, base, 2, above=0.3)
    order = np.argsort(-expected, axis=1)[:, :2]
    best = [(row, column) for row in range(30) for column in order[row] if expected[row, column] > 0.3]
    assert sorted(zip(first, second, strict=True)) == sorted(best)


@pytest.mark.usefixtures("small_blocks")
def test_pairs_of_one_set_are_found_once() -> None:
    rows = draw_rows(60, 4)
    first, second, _ = find_similar_pairs(rows, rows, 60, above=0.2, only_after=True)
    expected = np.nonzero(np.triu(compute_cosines(rows, rows) > 0.2, 1))
    assert sorted(zip(first, second, strict=True)) == list(zip(*expected, strict=True))
