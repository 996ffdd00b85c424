"""Exact nearest neighbours by cosine, in blocks.

Every query is compared with every row of the base by a matrix product in float32. Memory stays at a few blocks, however
many rows there are; the rows themselves may be a memory map of float16. Time grows with queries × rows × channels:
`benchmarks/search.md` has the figures.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.floating[Any]]
Pairs = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]
"""Places of queries, int64 (p,), of rows, int64 (p,), and their cosines, float32 (p,)."""

_QUERIES_AT_ONCE, _ROWS_AT_ONCE = 4096, 2048
_SAMPLED_PER_NEIGHBOUR = 8
_MAX_FOUND = 1_000_000
"""Cosines of a block that are sorted at once; a block of equal rows has more above the limit."""


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


def find_similar_pairs(queries: Rows, base: Rows, k: int, *, above: float, only_after: bool = False) -> Pairs:
    """Find the pairs of a query and a row of the base whose cosine is above a limit.

    Costs less than `find_neighbours` where few pairs are so similar.

    Args:
        queries: Float (n, channels), finite, of any length.
        base: Float (m, channels), likewise.
        k: Of each query at most so many pairs are returned, the most similar.
        above: The limit, -1..1.
        only_after: Compare each query only with rows that come after its own position, as for all pairs of one set.
    """
    lengths = measure_lengths(base)
    found: list[Pairs] = [no_pairs()]
    for start in range(0, len(queries), _QUERIES_AT_ONCE):
        part = slice(start, start + _QUERIES_AT_ONCE)
        block = scale_rows(queries[part], measure_lengths(queries[part]))
        best = no_pairs()
        for first in range(start // _ROWS_AT_ONCE * _ROWS_AT_ONCE if only_after else 0, len(base), _ROWS_AT_ONCE):
            rows = slice(first, first + _ROWS_AT_ONCE)
            similarities = block @ scale_rows(base[rows], lengths[rows]).T
            if only_after and first < start + len(block):
                places = np.arange(start, start + len(block))[:, None]
                similarities[places >= np.arange(first, first + similarities.shape[1])] = -np.inf
            best = keep_best(best, _find_above(similarities, np.float32(above), k, first), k)
        found.append((best[0] + start, best[1], np.clip(best[2], -1.0, 1.0)))
    return join(found)


def no_pairs() -> Pairs:
    """Return the pairs to begin with."""
    return np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.float32)


def join(found: Sequence[Pairs]) -> Pairs:
    """Return pairs together."""
    places, columns, cosines = zip(*found, strict=True)
    return np.concatenate(places), np.concatenate(columns), np.concatenate(cosines)


def keep_best(known: Pairs, new: Pairs, k: int) -> Pairs:
    """Return the `k` most similar pairs of each query, of known and new ones together, sorted by query and cosine."""
    places, columns, cosines = join([known, new])
    order = np.lexsort((columns, -cosines, places))
    places = places[order]
    firsts = np.searchsorted(places, places)
    kept = np.arange(len(places)) - firsts < k
    return places[kept], columns[order][kept], cosines[order][kept]


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
    limits = np.full((num_queries, 1), -np.inf, np.float32)
    best = no_pairs()
    for start in range(0, len(base), _ROWS_AT_ONCE):
        part = slice(start, start + _ROWS_AT_ONCE)
        similarities = queries @ scale_rows(base[part], lengths[part]).T
        if first is not None:
            own = np.arange(first, first + num_queries) - start
            inside = np.flatnonzero((own >= 0) & (own < similarities.shape[1]))
            similarities[inside, own[inside]] = -np.inf
        if len(best[0]) < k * num_queries:
            # Before the lists are full everything is better than nothing: only the best k of the block can enter.
            best = keep_best(best, _take_best(similarities, k, start), k)
        else:
            best = keep_best(best, _find_above(similarities, limits, k, start), k)
        if len(best[0]) == k * num_queries:
            limits = best[2].reshape(num_queries, k)[:, -1:]
    return best[1].reshape(num_queries, k), np.clip(best[2].reshape(num_queries, k), -1.0, 1.0)


def _find_above(
    similarities: NDArray[np.float32], limits: NDArray[np.float32] | np.float32, k: int, start: int
) -> Pairs:
    """Return the pairs whose cosine, of (n, rows), is above a limit, (n, 1) or one; of very many, the best of each query.

    `start` is the place of the first row.
    """
    is_above = similarities > limits
    found = np.flatnonzero(is_above)
    if len(found) > _MAX_FOUND:
        return _take_best(np.where(is_above, similarities, -np.inf), k, start)
    places, columns = np.divmod(found, similarities.shape[1])
    return places, columns + start, similarities.ravel()[found]


def _take_best(similarities: NDArray[np.float32], k: int, start: int) -> Pairs:
    """Return at least the `k` highest finite cosines of each row, (n, rows), and few others."""
    num_rows, num_columns = similarities.shape
    size = num_columns // (_SAMPLED_PER_NEIGHBOUR * k)
    if size > 1:
        # The k-th highest of the maxima of parts of a row is at most its k-th highest value, and close to it.
        parts = similarities[:, : num_columns // size * size].reshape(num_rows, size, -1).max(axis=1)
        limits = np.partition(parts, parts.shape[1] - k, axis=1)[:, -k][:, None]
        found = np.flatnonzero(similarities >= limits)
        if len(found) <= _MAX_FOUND:
            places, columns = np.divmod(found, num_columns)
            return places, columns + start, similarities.ravel()[found]
    kept = min(k, num_columns)
    columns = np.argpartition(similarities, num_columns - kept, axis=1)[:, -kept:]
    best = np.take_along_axis(similarities, columns, axis=1)
    places, ranks = np.nonzero(np.isfinite(best))
    return places, columns[places, ranks] + start, best[places, ranks]
