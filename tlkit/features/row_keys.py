"""Row keys of the feature cache as arrays: store, compare and look up millions of them.

A row belongs to one view of one image: the SHA-256 of the file's bytes, and the view's name, both with a fixed width on
disk. Memory holds only a 64-bit fingerprint and the row's position. The key on disk confirms each match, so a collision
only costs another look-up.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

SHA256_DTYPE = np.dtype("S64")
VIEW_DTYPE = np.dtype("S40")
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)
_HALF = np.uint64(32)


class RowKey(NamedTuple):
    """The key of a row: the hex digest of the image file's bytes, and the view's name (at most 40 ASCII characters)."""

    sha256: str
    view: str


class KeyArrays(NamedTuple):
    """Row keys in their stored form: `sha256` is S64 (n,), `view` is S40 (n,)."""

    sha256: NDArray[np.bytes_]
    view: NDArray[np.bytes_]


def encode_rows(rows: Sequence[RowKey]) -> KeyArrays:
    """Return row keys in their stored form.

    Raises:
        ValueError: A digest is not 64 characters long, or a view's name has more than 40.
    """
    if not rows:
        return KeyArrays(np.empty(0, SHA256_DTYPE), np.empty(0, VIEW_DTYPE))
    sha256 = np.array([row.sha256 for row in rows], dtype="S")
    view = np.array([row.view for row in rows], dtype="S")
    if not (np.char.str_len(sha256) == SHA256_DTYPE.itemsize).all():
        raise ValueError("A row key's sha256 must have 64 hexadecimal digits.")
    if view.itemsize > VIEW_DTYPE.itemsize:
        raise ValueError(f"A view's name must have at most {VIEW_DTYPE.itemsize} ASCII characters.")
    return KeyArrays(sha256, view.astype(VIEW_DTYPE))


def compute_fingerprints(keys: KeyArrays) -> NDArray[np.uint64]:
    """Return a 64-bit hash of each key, (n,)."""
    fingerprints = np.zeros(len(keys.sha256), dtype=np.uint64)
    for field in keys:
        words = np.ascontiguousarray(field).view("<u8").reshape(len(field), field.dtype.itemsize // 8)
        for column in words.T:
            fingerprints ^= column
            fingerprints *= _MULTIPLIER
            fingerprints ^= fingerprints >> _HALF
    return fingerprints


class RowIndex:
    """Finds positions by sorted fingerprints.

    Args:
        fingerprints: uint64 (n,), in order of position: entry i is the key of position i.
    """

    def __init__(self, fingerprints: NDArray[np.uint64]) -> None:
        self._order = np.argsort(fingerprints, kind="stable")
        self._fingerprints = fingerprints[self._order]

    def find(
        self, keys: KeyArrays, match: Callable[[NDArray[np.int64], KeyArrays], NDArray[np.bool_]]
    ) -> NDArray[np.int64]:
        """Return the position of each key, int64 (n,); -1 if there is none.

        Args:
            keys: The keys to look for.
            match: Returns which positions hold the rows of the given keys, to confirm matches of fingerprints.
        """
        fingerprints = compute_fingerprints(keys)
        slots = np.searchsorted(self._fingerprints, fingerprints)
        positions = np.full(len(fingerprints), -1, dtype=np.int64)
        pending = np.arange(len(fingerprints))
        while pending.size:
            pending = pending[slots[pending] < len(self._fingerprints)]
            pending = pending[self._fingerprints[slots[pending]] == fingerprints[pending]]
            proposed = self._order[slots[pending]]
            same = match(proposed, KeyArrays(keys.sha256[pending], keys.view[pending]))
            positions[pending[same]] = proposed[same]
            pending = pending[~same]
            slots[pending] += 1
        return positions
