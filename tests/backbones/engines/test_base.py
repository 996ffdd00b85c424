from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest

from tlkit.backbones.build import Backbone, build_backbone
from tlkit.backbones.engines.base import (
    Agreement,
    Engine,
    check_agreement,
    check_cut,
    compute_agreement,
    make_keras_engine,
)
from tlkit.errors import NumericsError


@pytest.fixture(scope="module")
def tiny() -> Backbone:
    return build_backbone("tiny", image_size=(32, 32), pooling="avg", weights="random")


def draw_images(count: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, 32, 32, 3), dtype=np.uint8)


@pytest.mark.parametrize(("precision", "tolerance"), [("float32", 1e-5), ("bfloat16", 0.05)])
def test_a_keras_engine_gives_the_trunks_features(tiny: Backbone, precision: str, tolerance: float) -> None:
    trunk, images = tiny.trunk("block2"), draw_images(3)
    assert trunk is not None
    engine = make_keras_engine(trunk, precision=precision, batch_size=3)
    features = engine.compute(images)
    assert features.dtype == np.float32
    assert features.shape == (3, 8, 8, 64)
    expected = np.asarray(trunk(images.astype(np.float32), training=False))
    difference = np.abs(features - expected).max() / np.abs(expected).max()
    assert difference < tolerance
    assert (difference > 1e-4) == (precision == "bfloat16")


def test_a_gpu_is_given_two_batches_at_a_time(tiny: Backbone, monkeypatch: pytest.MonkeyPatch) -> None:
    assert make_keras_engine(tiny.model, precision="float32", batch_size=4).num_parallel == 1
    monkeypatch.setattr("tlkit.devices.list_gpus", lambda: ["GPU:0"])
    assert make_keras_engine(tiny.model, precision="float32", batch_size=4).num_parallel == 2


def test_a_keras_engine_leaves_the_statistics_of_batch_norm_alone(tiny: Backbone) -> None:
    before = tiny.trunk_sha256("top")
    make_keras_engine(tiny.model, precision="float32", batch_size=4).compute(draw_images(4))
    assert tiny.trunk_sha256("top") == before


def make_engine(change: Callable[[np.ndarray], np.ndarray], trunk: keras.Model) -> Engine:
    """Return an engine of four images whose features are the trunk's, changed."""

    def compute(images: np.ndarray) -> np.ndarray:
        assert images.shape == (4, 32, 32, 3)
        return change(np.array(trunk(images.astype(np.float32), training=False)))

    return Engine("openvino", "bfloat16", 4, 1, compute)


def turn(features: np.ndarray, cosine: float) -> np.ndarray:
    """Return features (n, channels) turned by an angle."""
    other = np.roll(features, 1, axis=1)
    other -= features * (other * features).sum(1, keepdims=True) / (features**2).sum(1, keepdims=True)
    other *= np.linalg.norm(features, axis=1, keepdims=True) / np.linalg.norm(other, axis=1, keepdims=True)
    turned: np.ndarray = features * cosine + other * np.sqrt(1 - cosine**2)
    return turned


def turn_the_first(features: np.ndarray, cosine: float) -> np.ndarray:
    features[0] = turn(features, cosine)[0]
    return features


@pytest.mark.parametrize(
    ("change", "median", "lowest", "is_close"),
    [
        (lambda features: features * 3, 1, 1, True),
        (lambda features: turn(features, 0.9985), 0.9985, 0.9985, True),
        (lambda features: turn(features, 0.9975), 0.9975, 0.9975, False),
        (lambda features: turn_the_first(features, 0.992), 1, 0.992, True),
        (lambda features: turn_the_first(features, 0.988), 1, 0.988, False),
        (lambda features: features * 0, 0, 0, False),
        (lambda features: features * np.nan, -1, -1, False),
    ],
    ids=["longer", "near", "far", "one near", "one far", "nothing", "not numbers"],
)
def test_only_features_that_point_where_those_of_float32_keras_do_are_close(
    tiny: Backbone, change: Callable[[np.ndarray], np.ndarray], median: float, lowest: float, is_close: bool
) -> None:
    agreement = compute_agreement(make_engine(change, tiny.model), tiny.model, draw_images(3))
    assert agreement.median == pytest.approx(median, abs=1e-4)
    assert agreement.lowest == pytest.approx(lowest, abs=1e-4)
    assert agreement.is_close == is_close


def test_of_maps_the_mean_decides_the_median_and_every_place_the_lowest(tiny: Backbone) -> None:
    trunk = tiny.trunk("block2")
    assert trunk is not None
    moved = compute_agreement(make_engine(lambda features: features[:, ::-1], trunk), trunk, draw_images(3))
    assert moved.median == pytest.approx(1)
    assert moved.lowest < 0.99


def test_of_several_maps_the_worst_counts_however_small_its_numbers() -> None:
    backbone = build_backbone("tiny", image_size=(64, 64), pooling="maps", weights="bundled")
    layout = backbone.map_layout("top")
    assert layout is not None
    images = np.random.default_rng(0).integers(0, 256, (3, 64, 64, 3), dtype=np.uint8)
    coarse = layout.parts[-1]

    def spoil_the_coarse_map(spoil: Callable[[np.ndarray], np.ndarray]) -> Engine:
        def compute(pictures: np.ndarray) -> np.ndarray:
            features = np.array(backbone.model(pictures.astype(np.float32), training=False))
            features[:, coarse] = spoil(features[:, coarse])
            return features

        return Engine("openvino", "bfloat16", 3, 1, compute)

    exact = compute_agreement(spoil_the_coarse_map(lambda features: features), backbone.model, images, layout)
    assert exact.lowest == pytest.approx(1)
    spoilt = spoil_the_coarse_map(lambda features: features[::-1] * 1e-3)
    found = compute_agreement(spoilt, backbone.model, images, layout)
    assert found.lowest < 0.99
    assert not found.is_close


def test_features_that_are_nothing_in_both_are_close() -> None:
    images = keras.Input((32, 32, 3))
    nothing = keras.Model(images, keras.layers.Flatten()(images * 0))
    agreement = compute_agreement(make_engine(lambda features: features, nothing), nothing, draw_images(2))
    assert agreement == Agreement(1, 1)


def test_an_engine_that_does_not_agree_is_refused(tiny: Backbone) -> None:
    engine = make_engine(lambda features: features, tiny.model)
    check_agreement(engine, Agreement(0.998, 0.99))
    with pytest.raises(NumericsError) as caught:
        check_agreement(engine, Agreement(0.9979, 0.995))
    assert str(caught.value) == (
        "The engine openvino in bfloat16 gives other features than Keras in float32: cosine similarity 0.9979 in the "
        "median, 0.9950 at the lowest.\n"
        "  Expected: at least 0.998 and 0.99\n"
        "  Fix: give --engine keras --precision float32."
    )
    with pytest.raises(NumericsError) as caught:
        check_agreement(make_keras_engine(tiny.model, precision="float32", batch_size=1), Agreement(0.5, 0.5))
    assert caught.value.fix == "use another backbone or other weights, and please report this as a bug in tlkit."


@pytest.mark.parametrize("boundary", ["pixels", "stem", "block3"])
def test_a_right_cut_adds_up(tiny: Backbone, boundary: str) -> None:
    assert check_cut(tiny, boundary, tiny.tail(boundary), draw_images(2)) == 0.0


def test_a_cut_that_does_not_add_up_is_refused(tiny: Backbone) -> None:
    tail = tiny.tail("block3")
    assert tail is not None

    def shifted(features: Any, training: bool) -> Any:
        return tail(features, training=training) * 1.5

    with pytest.raises(NumericsError) as caught:
        check_cut(tiny, "block3", shifted, draw_images(2))
    assert caught.value.found == (
        "tiny cut at 'block3' gives other features than the whole network: relative difference 5.0e-01."
    )
    assert caught.value.expected == "at most 1e-04"
    assert caught.value.fix == "use another boundary or backbone, and please report this as a bug in tlkit."


def test_features_that_are_not_numbers_do_not_pass_the_check(tiny: Backbone) -> None:
    weight = tiny.named_weights()["stem_conv/kernel"]
    kept = np.asarray(weight)
    weight.assign(kept * np.nan)
    with pytest.raises(NumericsError, match="relative difference nan"):
        check_cut(tiny, "block1", tiny.tail("block1"), draw_images(1))
    weight.assign(kept)
