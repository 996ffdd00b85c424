from __future__ import annotations

import numpy as np
import pytest

from tlkit.reference.patches import Window, add_patches, cut_patches

WINDOWS = [
    Window((3, 3)),
    Window((3, 3), padding="same"),
    Window((2, 4), strides=(2, 1), padding="same"),
    Window((3, 2), strides=(3, 2)),
    Window((3, 3), padding="same", dilation=(2, 3)),
    Window((1, 1), strides=(2, 2)),
]


def test_the_notes_formula_gives_the_number_of_positions() -> None:
    # (input - kernel + 2 padding) / stride + 1
    assert Window((3, 3)).positions((4, 4)) == (2, 2)
    assert Window((3, 3), padding="same").positions((4, 4)) == (4, 4)
    assert Window((3, 3), strides=(2, 2)).positions((5, 7)) == (2, 3)
    assert Window((7, 7), strides=(2, 2), padding="same").positions((224, 224)) == (112, 112)
    assert Window((3, 3), dilation=(2, 2)).positions((7, 7)) == (3, 3)


def test_the_larger_part_of_an_odd_border_is_below_and_to_the_right() -> None:
    assert Window((3, 3), strides=(2, 2), padding="same").borders((8, 7)) == ((0, 1), (1, 1))
    assert Window((2, 2), padding="same").borders((5, 5)) == ((0, 1), (0, 1))


def test_a_patch_holds_what_the_window_covers() -> None:
    maps = np.arange(16.0).reshape(1, 4, 4, 1)
    patches = cut_patches(maps, Window((2, 2), strides=(2, 2)))
    assert patches.shape == (1, 2, 2, 2, 2, 1)
    np.testing.assert_array_equal(patches[0, 1, 0, :, :, 0], [[8, 9], [12, 13]])
    far = cut_patches(maps, Window((2, 2), dilation=(2, 3)))
    np.testing.assert_array_equal(far[0, :, :, :, :, 0], [[[[0, 3], [8, 11]]], [[[4, 7], [12, 15]]]])
    edged = cut_patches(maps, Window((2, 2), padding="same"), border=-1.0)
    np.testing.assert_array_equal(edged[0, 3, 3, :, :, 0], [[15, -1], [-1, -1]])


@pytest.mark.parametrize("window", WINDOWS)
def test_adding_patches_is_the_transpose_of_cutting_them(window: Window) -> None:
    rng = np.random.default_rng(0)
    maps = rng.normal(size=(2, 7, 6, 3))
    patches = cut_patches(maps, window)
    others = rng.normal(size=patches.shape)
    np.testing.assert_allclose((patches * others).sum(), (maps * add_patches(others, window, (7, 6))).sum())


def test_an_unknown_padding_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^padding is valid or same. Received: 'full'$"):
        Window((3, 3), padding="full").positions((4, 4))
