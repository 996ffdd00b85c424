from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np

from tlkit.audit.rows import AuditRows
from tlkit.backbones.maps import MapLayout
from tlkit.data.views import ViewPlan

LAYOUT = MapLayout(((4, 4, 2), (2, 2, 3)))


def make_rows(values: np.ndarray[Any, Any], layout: MapLayout | None) -> AuditRows:
    spec = SimpleNamespace(dtype="float16", feature_shape=values.shape[1:], row_bytes=2 * values[0].size)
    cache = SimpleNamespace(spec=spec, read=lambda positions: values[positions])
    positions = np.array([[2, 0], [1, 3]])
    views = ViewPlan("scales", 2, 0)
    return AuditRows([cast("Any", None)] * 2, cast("Any", cache), positions, views, layout)


def test_the_feature_of_several_maps_is_the_mean_of_the_coarsest_of_the_image_itself(tmp_path: Path) -> None:
    values = np.random.default_rng(0).normal(size=(4, LAYOUT.width)).astype(np.float16)
    pooled = make_rows(values, LAYOUT).pool(tmp_path)
    assert pooled.shape == (2, 3)
    assert pooled.dtype == np.float16
    expected = values[[2, 1], 32:].astype(np.float32).reshape(2, 4, 3).mean(axis=1)
    np.testing.assert_allclose(pooled, expected, atol=1e-3)


def test_a_pooled_feature_is_kept(tmp_path: Path) -> None:
    values = np.random.default_rng(0).normal(size=(4, 5)).astype(np.float16)
    rows = make_rows(values, None)
    np.testing.assert_array_equal(rows.pool(tmp_path), values[[2, 1]])
    np.testing.assert_array_equal(rows.read(np.array([0, 1]), np.array([1, 1])), values[[0, 3]])
