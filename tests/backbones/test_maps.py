from __future__ import annotations

import numpy as np
import pytest

from tests.backbones.test_families import skip_slow
from tlkit.backbones.build import build_backbone
from tlkit.backbones.catalogue import MAPS, PIXELS, TOP
from tlkit.backbones.maps import MapLayout, choose_levels
from tlkit.backbones.weights import read_arrays

LAYOUT = MapLayout(((4, 4, 2), (2, 2, 3)))


def draw_images(edge_px: int) -> np.ndarray:
    return np.random.default_rng(5).integers(0, 256, (2, edge_px, edge_px, 3)).astype(np.float32)


def test_maps_lie_one_after_the_other_the_finest_first() -> None:
    assert LAYOUT.width == 4 * 4 * 2 + 2 * 2 * 3
    assert LAYOUT.sizes == ((4, 4), (2, 2))
    fine, coarse = LAYOUT.unpack(np.arange(2 * LAYOUT.width, dtype=np.float32).reshape(2, -1))
    assert np.array_equal(np.asarray(fine)[0].ravel(), np.arange(32))
    assert np.array_equal(np.asarray(coarse)[1].ravel(), np.arange(44 + 32, 88))


@pytest.mark.parametrize(
    ("edges", "edge_px", "levels"),
    [
        ((112, 56, 28, 14, 7), 224, [2, 3, 4]),
        ((112, 112, 56, 28, 14, 14, 7, 7), 224, [3, 5, 7]),  # the highest of each resolution
        ((147, 73, 35, 17, 8), 299, [2, 3, 4]),  # maps that lose their borders
        ((24, 12), 28, [1]),  # none is coarse enough but the last
        ((10, 10), 64, [1]),
    ],
)
def test_the_highest_layer_group_of_each_coarse_resolution_gives_a_map(
    edges: tuple[int, ...], edge_px: int, levels: list[int]
) -> None:
    assert choose_levels([(edge, edge, 8) for edge in edges], edge_px) == levels


@pytest.mark.parametrize(
    ("name", "edge_px", "shapes"),
    [
        ("tiny", 64, ((8, 8, 128), (4, 4, 224))),
        ("mobilenet_v2", 64, ((8, 8, 32), (4, 4, 96), (2, 2, 1280))),
        pytest.param("densenet121", 64, ((8, 8, 128), (4, 4, 256), (2, 2, 1024)), marks=skip_slow),
        pytest.param("inception_v3", 96, ((9, 9, 288), (4, 4, 768), (1, 1, 2048)), marks=skip_slow),
    ],
)
def test_every_cut_keeps_the_maps_below_it_and_its_tail_gives_all_maps(
    name: str, edge_px: int, shapes: tuple[tuple[int, int, int], ...]
) -> None:
    backbone = build_backbone(name, image_size=(edge_px, edge_px), pooling=MAPS, weights="random", seed=3)
    single = build_backbone(name, image_size=(edge_px, edge_px), pooling="none", weights="random", seed=3)
    images = draw_images(edge_px)
    layout = backbone.map_layout(TOP)
    assert layout is not None
    assert layout.shapes == shapes
    assert backbone.weights.sha256 == single.weights.sha256
    assert list(backbone.named_weights()) == list(single.named_weights())

    whole = np.asarray(backbone.model(images, training=False))
    assert whole.shape == (2, *backbone.feature_shape(TOP))
    last = np.asarray(single.model(images, training=False))
    np.testing.assert_allclose(whole[:, layout.parts[-1]].reshape(last.shape), last, atol=1e-5)
    kept_below = 0
    for boundary in backbone.entry.boundaries[1:-1]:
        trunk, tail = backbone.trunk(boundary), backbone.tail(boundary)
        assert trunk is not None
        assert tail is not None
        features = np.asarray(trunk(images, training=False))
        assert features.shape == (2, *backbone.feature_shape(boundary))
        np.testing.assert_allclose(np.asarray(tail(features, training=False)), whole, atol=1e-5 * np.abs(whole).max())
        layout_below = backbone.map_layout(boundary)
        if layout_below is None:
            assert backbone.feature_shape(boundary) == single.feature_shape(boundary)
        else:
            kept_below += 1
            assert layout_below.shapes[0] == shapes[0]
            assert layout_below.shapes[-1] == single.feature_shape(boundary)
    assert kept_below > 0 or len(shapes) == 2


def test_a_tail_has_the_layers_of_the_network_themselves() -> None:
    backbone = build_backbone("mobilenet_v2", image_size=(32, 32), pooling=MAPS, weights="random")
    tail = backbone.tail("group4")
    assert tail is not None
    before = read_arrays(backbone.network)
    for weight in tail.trainable_variables:
        weight.assign(weight + 1)
    after = read_arrays(backbone.network)
    changed = {name for name, array in after.items() if not np.array_equal(array, before[name])}
    assert changed
    assert {backbone.group_of(backbone.named_weights()[name]) for name in changed} == {"group5"}


def test_the_pooled_trunk_is_the_mean_of_the_cut_and_not_of_all_maps() -> None:
    backbone = build_backbone("tiny", image_size=(64, 64), pooling=MAPS, weights="bundled")
    single = build_backbone("tiny", image_size=(64, 64), pooling="none", weights="bundled")
    images = draw_images(64)
    for boundary in (*backbone.entry.boundaries[1:-1], TOP):
        found, expected = (np.asarray(each.pooled_trunk(boundary)(images)) for each in (backbone, single))
        np.testing.assert_allclose(found, expected, atol=1e-5)


def test_only_this_pooling_has_several_maps() -> None:
    single = build_backbone("tiny", image_size=(64, 64), pooling="none", weights="bundled")
    several = build_backbone("tiny", image_size=(64, 64), pooling=MAPS, weights="bundled")
    assert single.map_layout(TOP) is None
    assert several.map_layout(PIXELS) is None
    assert several.feature_shape(PIXELS) == (64, 64, 3)
