"""Feature maps as inputs of linear models: standardised, reduced, and read image by image."""

from __future__ import annotations

import numpy as np
import pytest

from tlkit.backbones.maps import MapLayout
from tlkit.probes import place_maps
from tlkit.probes.folds import Fold
from tlkit.probes.place_maps import PlaceMaps, list_fitted, nearest_cells

LAYOUT = MapLayout(((4, 4, 3), (2, 2, 5)))
RNG = np.random.default_rng(0)
VECTORS = RNG.normal(5.0, 2.0, (40, LAYOUT.width)).astype(np.float16)


def fit() -> PlaceMaps:
    return PlaceMaps.fit(lambda images: VECTORS[images], LAYOUT, num_images=len(VECTORS), seed=0)


def test_maps_are_standardised_and_come_in_the_order_of_the_images() -> None:
    order = np.array([30, 2, *range(3, 25)])
    read = [(some, maps) for some, maps in fit().iterate(order)]
    assert np.concatenate([some for some, _ in read]).tolist() == order.tolist()
    for number, (shape, part) in enumerate(zip(LAYOUT.shapes, LAYOUT.parts, strict=True)):
        maps = np.concatenate([each[number] for _, each in read])
        assert maps.shape == (len(order), *shape)
        raw = VECTORS[order][:, part].reshape(maps.shape).astype(np.float32)
        assert np.corrcoef(maps[..., 1].ravel(), raw[..., 1].ravel())[0, 1] == pytest.approx(1.0)
        assert maps.var(axis=(0, 1, 2)).sum() == pytest.approx(1.0, abs=0.1)


def test_many_channels_become_the_components_that_vary_most(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(place_maps, "MAX_COMPONENTS", 2)
    hidden = RNG.normal(size=(3000, 2))
    rows = hidden @ RNG.normal(size=(2, 30)) + RNG.normal(0, 0.01, (3000, 30))
    layout = MapLayout(((10, 10, 30),))
    vectors = rows.reshape(30, -1).astype(np.float32)
    maps = PlaceMaps.fit(lambda images: vectors[images], layout, num_images=30, seed=0)
    assert maps.widths == (2,)
    found = np.concatenate([of_images[0] for _, of_images in maps.iterate(np.arange(30))]).reshape(-1, 2)
    rebuilt = found @ np.linalg.lstsq(found, hidden - hidden.mean(axis=0), rcond=None)[0]
    np.testing.assert_allclose(rebuilt, hidden - hidden.mean(axis=0), atol=0.1)
    assert found.var(axis=0).sum() == pytest.approx(1.0, abs=0.02)


def test_a_constant_channel_says_nothing() -> None:
    vectors = np.repeat(RNG.normal(size=(20, 1)), LAYOUT.width, axis=1).astype(np.float32)
    vectors[:, :48:3] = 7.0  # the first channel of the finer map
    maps = PlaceMaps.fit(lambda images: vectors[images], LAYOUT, num_images=20, seed=0)
    ((_, of_images), *_) = maps.iterate(np.arange(8))
    assert not of_images[0][..., 0].any()
    assert of_images[0][..., 1].any()


def test_cells_of_another_map_are_those_that_lie_there() -> None:
    assert nearest_cells(4, 2).tolist() == [0, 0, 1, 1]
    assert nearest_cells(5, 3).tolist() == [0, 0, 1, 2, 2]


def test_only_images_that_a_fold_trains_on_are_fitted_to() -> None:
    """The third image equals the second, so no fold trains on it."""
    folds = [Fold(np.array([0]), np.array([1, 2])), Fold(np.array([1]), np.array([0]))]
    assert [each.tolist() for each in list_fitted(folds)] == [[1], [0]]
