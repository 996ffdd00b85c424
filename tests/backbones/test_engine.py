from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tlkit.backbones.build import Backbone, build_backbone
from tlkit.backbones.engine import check_cut, compile_trunk
from tlkit.errors import NumericsError


@pytest.fixture(scope="module")
def tiny() -> Backbone:
    return build_backbone("tiny", image_size=32, pooling="avg", weights="random")


def draw_images(count: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, 32, 32, 3), dtype=np.uint8)


def test_a_compiled_trunk_gives_the_models_features(tiny: Backbone) -> None:
    trunk, images = tiny.trunk("block2"), draw_images(3)
    assert trunk is not None
    features = compile_trunk(trunk)(images)
    assert features.dtype == np.float32
    assert features.shape == (3, 8, 8, 64)
    expected = np.asarray(trunk(images.astype(np.float32), training=False))
    np.testing.assert_allclose(features, expected, rtol=1e-4, atol=1e-4)


def test_a_compiled_trunk_leaves_the_statistics_of_batch_norm_alone(tiny: Backbone) -> None:
    before = tiny.trunk_sha256("top")
    compile_trunk(tiny.model)(draw_images(4))
    assert tiny.trunk_sha256("top") == before


def test_a_compiled_trunk_sees_weights_that_change_later(tiny: Backbone) -> None:
    compute, images = compile_trunk(tiny.model), draw_images(1)
    before = compute(images)
    weight = tiny.named_weights()["stem_conv/kernel"]
    kept = np.asarray(weight)
    weight.assign(kept * 2)
    assert np.abs(compute(images) - before).max() > 1e-3
    weight.assign(kept)


@pytest.mark.parametrize("boundary", ["pixels", "stem", "block3", "top"])
def test_a_right_cut_adds_up(tiny: Backbone, boundary: str) -> None:
    assert check_cut(tiny, boundary, draw_images(2)) == 0.0


def test_a_cut_that_does_not_add_up_is_refused(tiny: Backbone, monkeypatch: pytest.MonkeyPatch) -> None:
    tail = tiny.tail("block3")
    assert tail is not None

    def shifted(features: Any, training: bool) -> Any:
        return tail(features, training=training) * 1.5

    monkeypatch.setattr(tiny, "tail", lambda boundary: shifted)
    with pytest.raises(NumericsError) as caught:
        check_cut(tiny, "block3", draw_images(2))
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
        check_cut(tiny, "block1", draw_images(1))
    weight.assign(kept)
