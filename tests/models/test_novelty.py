"""What the training images do not span is unlike them."""

from __future__ import annotations

import numpy as np
import pytest

from tlkit.models.novelty import NEVER, Novelty, choose_unknown_above, fit_novelty, pool_features

RNG = np.random.default_rng(0)
SPAN = RNG.normal(size=(10, 200))


def draw(count: int, *, noise: float = 0.05) -> np.ndarray:
    """Features within the span of ten directions, around a mean, and a little noise in all of them."""
    return 3 + RNG.normal(size=(count, 10)) @ SPAN + noise * RNG.normal(size=(count, 200))


def fit(features: np.ndarray) -> Novelty:
    """Return the span of features that do differ."""
    novelty = fit_novelty(features)
    assert novelty is not None
    return novelty


def test_a_feature_in_the_span_is_near_and_one_at_right_angles_to_it_is_far() -> None:
    novelty = fit(draw(500))
    assert novelty.measure(draw(100)).max() < 0.2
    assert novelty.measure(3 + 10 * RNG.normal(size=(100, 200))).min() > 0.5


def test_other_things_are_caught_and_few_of_the_same_kind() -> None:
    novelty = fit(draw(500))
    threshold = choose_unknown_above(novelty.measure(draw(400)), 0.05)
    assert np.mean(novelty.measure(draw(2000)) > threshold) == pytest.approx(0.05, abs=0.03)
    others = 3 + RNG.normal(size=(300, 10)) @ RNG.normal(size=(10, 200))
    assert np.mean(novelty.measure(others) > threshold) > 0.99


def test_distances_do_not_depend_on_the_features_scale() -> None:
    features, others = draw(50), RNG.normal(size=(20, 200))
    near = fit(features).measure(others)
    far = fit(100 * features).measure(100 * others)
    np.testing.assert_allclose(near, far, rtol=1e-4)


@pytest.mark.parametrize("num_images", [2, 10])
def test_few_images_are_no_trouble(num_images: int) -> None:
    features = draw(num_images)
    distances = fit(features).measure(np.concatenate([features, features + 1]))
    assert np.isfinite(distances).all()
    assert distances.min() >= 0
    assert distances.max() <= 1


def test_images_that_are_all_alike_span_nothing() -> None:
    assert fit_novelty(draw(1)) is None
    assert fit_novelty(np.zeros((10, 8))) is None
    alike = np.tile(RNG.normal(size=64), (30, 1)).astype(np.float32)
    assert fit_novelty(alike) is None
    assert fit_novelty(alike * (1 + np.float32(1e-7) * RNG.normal(size=alike.shape).astype(np.float32))) is None
    alike[0, 0] += 0.1
    assert len(fit(alike).directions) == 1


def test_features_beyond_float16_are_spanned_like_others() -> None:
    features = draw(50)
    np.testing.assert_allclose(fit(1e18 * features).directions, fit(features).directions, atol=1e-5)


def test_with_too_few_images_nothing_is_unknown() -> None:
    distances = np.linspace(0, 0.5, 18)
    assert choose_unknown_above(distances, 0.05) == NEVER
    assert choose_unknown_above(np.linspace(0, 0.5, 19), 0.05) == 0.5
    assert choose_unknown_above(distances, 0.0) == NEVER


def test_maps_are_pooled_and_vectors_left_alone() -> None:
    maps = RNG.normal(size=(3, 2, 2, 5)).astype(np.float32)
    np.testing.assert_allclose(pool_features(maps), maps.mean(axis=(1, 2)), rtol=1e-6)
    assert pool_features(maps[:, 0, 0]) is not None
    assert pool_features(maps[:, 0, 0]).shape == (3, 5)
