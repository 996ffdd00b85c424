"""Exact nearest neighbours by cosine, in blocks.

Every query is compared with every row of the base by a matrix product in float32. Memory stays at a few blocks, however
many rows there are; the rows themselves may be a memory map of float16. Time grows with queries × rows × channels:
`benchmarks/search.md` has the figures.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.floating[Any]]

_QUERIES_AT_ONCE, _ROWS_AT_ONCE = 2048, 4096


def find_neighbours(
    queries: Rows,
    base: Rows,
    k: int,
    *,
    exclude_self: bool = False,
    advance: Callable[[int], None] = lambda count: None,
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Find the `k` rows of the base with the highest cosine to each query.

    A row of zeros has the cosine 0 with every row.

    Args:
        queries: Float (n, channels), finite, of any length.
        base: Float (m, channels), likewise.
        k: Number of neighbours, at least 1; with fewer rows in the base, all of them are returned.
        exclude_self: `queries` is `base`, and no row is its own neighbour.
        advance: Called with the number of queries answered since the last call.

    Returns:
        Positions in the base, int64 (n, k), nearest first; and their cosines, float32 (n, k), -1..1. Among equal cosines the order is
        arbitrary.
    """
    k = max(0, min(k, len(base) - exclude_self))
    indices, cosines = np.empty((len(queries), k), np.int64), np.empty((len(queries), k), np.float32)
    if not k:
        return indices, cosines
    lengths = measure_lengths(base)
    for start in range(0, len(queries), _QUERIES_AT_ONCE):
        part = slice(start, start + _QUERIES_AT_ONCE)
        block = scale_rows(queries[part], measure_lengths(queries[part]))
        indices[part], cosines[part] = _search_block(block, base, lengths, k, start if exclude_self else None)
        advance(len(block))
    return indices, cosines


def measure_lengths(rows: Rows) -> NDArray[np.float32]:
    """Return the Euclidean length of each row, float (n, channels): float32 (n,); 1 for a row of zeros."""
    lengths = np.empty(len(rows), np.float32)
    for start in range(0, len(rows), _ROWS_AT_ONCE):
        block = rows[start : start + _ROWS_AT_ONCE].astype(np.float32, copy=False)
        # The squares of features may exceed float32; their quotients by the largest do not.
        largest = np.abs(block).max(axis=1, initial=0.0)
        safe = np.where(largest > 0, largest, 1.0)
        lengths[start : start + _ROWS_AT_ONCE] = np.where(
            largest > 0, safe * np.linalg.norm(block / safe[:, None], axis=1), 1.0
        )
    return lengths


def scale_rows(rows: Rows, lengths: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return rows, float (n, channels), divided by their lengths, float32 (n,): float32 (n, channels)."""
    return rows.astype(np.float32, copy=False) / lengths[:, None]


def _search_block(
    queries: NDArray[np.float32], base: Rows, lengths: NDArray[np.float32], k: int, first: int | None
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return the neighbours of unit rows; `first` is the place in the base of the first of them, if they are of it."""
    num_queries = len(queries)
    indices = np.full((num_queries, k), len(base), np.int64)
    cosines = np.full((num_queries, k), -np.inf, np.float32)
    for start in range(0, len(base), _ROWS_AT_ONCE):
        part = slice(start, start + _ROWS_AT_ONCE)
        similarities = queries @ scale_rows(base[part], lengths[part]).T
        if first is not None:
            own = np.arange(first, first + num_queries) - start
            inside = np.flatnonzero((own >= 0) & (own < similarities.shape[1]))
            similarities[inside, own[inside]] = -np.inf
        _merge(indices, cosines, similarities, start)
    return indices, np.clip(cosines, -1.0, 1.0)


def _merge(
    indices: NDArray[np.int64], cosines: NDArray[np.float32], similarities: NDArray[np.float32], start: int
) -> None:
    """Update the best of each query, (n, k), in place by similarities to the rows from `start` on, (n, rows)."""
    num_queries, k = indices.shape
    if similarities.shape[1] > k and not np.isfinite(cosines[:, -1]).all():
        # Before the lists are full everything is better than nothing: only the best k of the block can enter.
        columns = np.argpartition(similarities, similarities.shape[1] - k, axis=1)[:, -k:].ravel()
        rows = np.repeat(np.arange(num_queries), k)
    else:
        rows, columns = np.nonzero(similarities > cosines[:, -1:])
    if not len(rows):
        return
    all_rows = np.concatenate([np.repeat(np.arange(num_queries), k), rows])
    all_indices = np.concatenate([indices.ravel(), columns + start])
    all_cosines = np.concatenate([cosines.ravel(), similarities[rows, columns]])
    order = np.lexsort((all_indices, -all_cosines, all_rows))
    firsts = np.searchsorted(all_rows[order], np.arange(num_queries))
    kept = order[firsts[:, None] + np.arange(k)]
    indices[:], cosines[:] = all_indices[kept], all_cosines[kept]
