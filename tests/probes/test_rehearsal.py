from __future__ import annotations

import numpy as np
import pytest

from tlkit.probes.rehearsal import CHANGES, change_pixels


@pytest.fixture
def pixels() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (24, 32, 3), np.uint8)


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_keeps_the_size_and_is_always_the_same(name: str, pixels: np.ndarray) -> None:
    original = pixels.copy()
    changed = change_pixels(pixels, name)
    assert changed.shape == pixels.shape
    assert changed.dtype == np.uint8
    assert np.abs(changed.astype(int) - pixels).mean() > 5
    np.testing.assert_array_equal(changed, change_pixels(pixels, name))
    np.testing.assert_array_equal(pixels, original)


def test_changes_do_what_their_names_say(pixels: np.ndarray) -> None:
    assert change_pixels(pixels, "darkened").mean() == pytest.approx(0.3 * pixels.mean(), abs=1)
    assert change_pixels(pixels, "blurred").std() < 0.9 * pixels.std()
    assert (change_pixels(pixels, "partly hidden") == 128).all(axis=2).mean() == pytest.approx(0.36, abs=0.04)
