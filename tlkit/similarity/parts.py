"""Which pictures may be parts of which, turned or not: candidates by coarse detail, without features.

A picture that was cut has the detail of a window of its whole. Four windows, each 0.87 of the edge, stand for all: with
8 x 8 pixels of detail a part that keeps 0.85 of both edges, cut from anywhere, is mostly among the three most similar of
ten thousand pictures. All pairs are compared in all eight orientations, in blocks.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tlkit.similarity.pictures import Grey, Pictures, measure_detail, measure_window, turn
from tlkit.similarity.search import Pairs, join, keep_best, no_pairs

MAX_PICTURES = 30_000
"""In a data set with more pictures the search would take longer than everything else."""
_EDGE = 8
_SCALE, _OFFSETS = 0.87, (0.02, 0.11)
_LIKE, _NUM_LIKE = 0.78, 3
_PARTS_AT_ONCE, _WHOLES_AT_ONCE = 256, 1024


def propose_parts(small: Pictures, parts: NDArray[np.int64], wholes: NDArray[np.int64]) -> Pairs:
    """Return pairs of rows, a part and a whole, and how similar the part is to the best window: float32 (n,), 0.78..1.

    Takes some 0.1 ms of processor time a part and thousand wholes.

    Args:
        small: All pictures, grey, stretched to a square: (n, edge, edge), 0..255.
        parts: Rows, int64 (m,).
        wholes: Rows, int64 (k,); no picture is a part of itself.
    """
    if not len(parts) or not len(wholes):
        return no_pairs()
    windows = [measure_window(small[wholes], (_SCALE, left, top), _EDGE) for top in _OFFSETS for left in _OFFSETS]
    common = np.mean([each.mean(axis=0) for each in windows], axis=0)
    bases = [np.ascontiguousarray(_scale(each - common).T) for each in windows]
    found = [no_pairs()]
    for start in range(0, len(parts), _PARTS_AT_ONCE):
        rows = parts[start : start + _PARTS_AT_ONCE]
        details = measure_detail(small[rows], _EDGE).reshape(-1, _EDGE, _EDGE)
        queries = [_scale(turn(details, number).reshape(len(rows), -1) - common) for number in range(8)]
        places, columns, cosines = _search(queries, bases, rows, wholes)
        found.append((rows[places], wholes[columns], cosines))
    return join(found)


def _scale(details: Grey) -> Grey:
    lengths: Grey = np.linalg.norm(details, axis=1, keepdims=True)
    return details / np.maximum(lengths, 1e-6)


def _search(queries: list[Grey], bases: list[Grey], parts: NDArray[np.int64], wholes: NDArray[np.int64]) -> Pairs:
    """Return places of parts, and of their most similar wholes, by the best orientation and window.

    Queries have the shape (m, 64) in each orientation, bases (64, k) for each window.
    """
    best = no_pairs()
    for start in range(0, len(wholes), _WHOLES_AT_ONCE):
        block = slice(start, start + _WHOLES_AT_ONCE)
        highest = np.full((len(parts), len(wholes[block])), -1, np.float32)
        product = np.empty_like(highest)
        for query in queries:
            for base in bases:
                np.maximum(highest, np.matmul(query, base[:, block], out=product), out=highest)
        highest[parts[:, None] == wholes[block]] = -1
        found = np.flatnonzero(highest > _LIKE)
        places, columns = np.divmod(found, highest.shape[1])
        best = keep_best(best, (places, columns + start, highest.ravel()[found]), _NUM_LIKE)
    return best
