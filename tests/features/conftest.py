"""A small cache, and rows whose right values anybody can compute."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from tlkit.features.row_keys import RowKey
from tlkit.features.spec import CacheSpec

SHAPE = (2, 3)


@pytest.fixture
def spec() -> CacheSpec:
    return CacheSpec(
        backbone="tiny",
        weights_sha256="0" * 64,
        boundary="block2",
        pooling="none",
        image_size=(8, 8),
        fit="squash",
        loader_version=1,
        engine="keras",
        precision="float32",
        dtype="float32",
        feature_shape=SHAPE,
    )


class Rows:
    """Makes row keys, and the features that belong to them."""

    def keys(self, count: int, *, view: str = "0", start: int = 0) -> list[RowKey]:
        return [RowKey(hashlib.sha256(b"%d" % number).hexdigest(), view) for number in range(start, start + count)]

    def features(self, keys: Sequence[RowKey]) -> NDArray[np.float32]:
        seeds = [int(hashlib.sha256("/".join(key).encode()).hexdigest()[:8], 16) for key in keys]
        drawn = [np.random.Generator(np.random.PCG64(seed)).random(SHAPE, dtype=np.float32) for seed in seeds]
        return np.array(drawn, dtype=np.float32).reshape(len(keys), *SHAPE)


@pytest.fixture
def rows() -> Rows:
    return Rows()
