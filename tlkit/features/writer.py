"""Add rows to a feature cache."""

from __future__ import annotations

import time
from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import NDArray

from tlkit.errors import NumericsError
from tlkit.features.folder import unwritable_cache
from tlkit.features.row_keys import RowKey, encode_rows
from tlkit.features.shards import remove_stale_partials, write_shard
from tlkit.waiting import waiting_for

if TYPE_CHECKING:
    from tlkit.features.cache import FeatureCache

SHARD_BYTES = 64 * 2**20
SHARD_COPIES = 2
"""Maximum memory, in shards: the collected rows, and the file made from them."""
SHARD_SECONDS = 15.0
_FIRST_SHARD_SECONDS = 1.0


class CacheWriter:
    """Collects rows and writes them as shards; see `FeatureCache.writer`.

    A shard is written as soon as the collected rows reach `shard_bytes`, or the oldest has waited for `shard_seconds`,
    or for longer than all the work before it took. So a killed process loses at most `shard_seconds`, and at most half
    of its work. Collected rows are also written on an exception.
    """

    def __init__(self, cache: FeatureCache, *, shard_bytes: int, shard_seconds: float) -> None:
        self._cache = cache
        self._shard_bytes = shard_bytes
        self._shard_seconds = shard_seconds
        self._rows: list[RowKey] = []
        self._features: list[NDArray[np.floating]] = []
        self._start = time.monotonic()
        self._oldest = self._start

    def __enter__(self) -> Self:
        remove_stale_partials(self._cache.folder)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._flush()
        self._cache.refresh()
        if self._cache.shared:
            self._cache.shared.finish()

    def append(self, rows: Sequence[RowKey], features: NDArray[np.floating]) -> None:
        """Add rows.

        Args:
            rows: n keys.
            features: float32, or converted already, (n, *feature_shape), finite.

        Raises:
            NumericsError: A feature is not finite, or too large for float16; or all of them are too small for it.
            CacheError: The shard cannot be written.
        """
        expected = (len(rows), *self._cache.spec.feature_shape)
        if features.shape != expected:
            raise ValueError(f"Expected features of shape {expected}. Received: {features.shape}")
        if not rows:
            return
        if not self._rows:
            self._oldest = time.monotonic()
        self._features.append(convert_features(features, self._cache.spec.dtype))
        self._rows.extend(rows)
        if self._is_due():
            self._flush()

    def _is_due(self) -> bool:
        longest = min(self._shard_seconds, max(_FIRST_SHARD_SECONDS, self._oldest - self._start))
        num_bytes = sum(block.nbytes for block in self._features)
        return num_bytes >= self._shard_bytes or time.monotonic() - self._oldest >= longest

    def _flush(self) -> None:
        rows, features = self._rows, self._features
        self._rows, self._features = [], []
        if not rows:
            return
        try:
            with waiting_for(f"the disk to take {len(rows):,} rows of features"):
                shard = write_shard(self._cache.folder, encode_rows(rows), features, spec=self._cache.spec)
        except OSError as error:
            raise unwritable_cache(self._cache.folder, error) from error
        if self._cache.shared:
            self._cache.shared.put(shard)


def convert_features(features: NDArray[np.floating], dtype: str) -> NDArray[np.floating]:
    """Return a copy of features (n, ...) in the number format of a cache, float16 or float32.

    Raises:
        NumericsError: A feature is not finite, or too large for float16; or all of them are too small for it.
    """
    if not np.isfinite(features).all():
        raise NumericsError(
            "The backbone gave features that are not finite numbers.",
            expected="a finite number for every feature of every image",
            fix="check the weights file: it may be damaged, or made for another network.",
        )
    largest = float(np.abs(features).max())
    limits = np.finfo(dtype)
    most, least = float(limits.max), float(limits.smallest_normal)
    if largest > most:
        raise _does_not_fit(largest, dtype, f"features of at most {most:.6g} in size")
    # Below its smallest normal number a format loses precision, then everything; untrained networks may end there.
    if 0 < largest < least:
        raise _does_not_fit(largest, dtype, f"some feature of at least {least:.2g} in size")
    return features.astype(dtype)


def _does_not_fit(largest: float, dtype: str, expected: str) -> NumericsError:
    return NumericsError(
        f"Features of at most {largest:.4g} do not fit into {dtype}.",
        expected=expected,
        fix="use --feature-dtype float32.",
    )
