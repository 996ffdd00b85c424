"""Groups of rows that pairs join, directly or through others: the connected components of a graph."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def join_pairs(num_rows: int, first: NDArray[np.int64], second: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the group of each row: int64 (num_rows,); -1 for a row in no pair.

    Groups are numbered from 0 in the order of their first rows.

    Args:
        num_rows: Number of rows.
        first: One row of each pair, int64 (m,), 0 <= row < num_rows.
        second: The other, int64 (m,).
    """
    labels = np.arange(num_rows, dtype=np.int64)
    different = first != second
    first, second = first[different], second[different]
    while True:
        # Every row takes the lowest label of its pairs, then follows labels to their roots.
        lowest = np.minimum(labels[first], labels[second])
        before = labels.copy()
        np.minimum.at(labels, labels[first], lowest)
        np.minimum.at(labels, labels[second], lowest)
        while not np.array_equal(roots := labels[labels], labels):
            labels = roots
        if np.array_equal(labels, before):
            break
    paired = np.zeros(num_rows, np.bool_)
    paired[first] = paired[second] = True
    groups = np.full(num_rows, -1, np.int64)
    groups[paired] = np.unique(labels[paired], return_inverse=True)[1]
    return groups
