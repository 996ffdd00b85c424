from __future__ import annotations

from typing import Any

import numpy as np
from keras import ops
from numpy.typing import NDArray

from tlkit.dreaming.objectives import (
    compare_features,
    compare_grams,
    compute_gram,
    oppose_all,
    oppose_channel,
    oppose_output,
)

MAPS = np.random.default_rng(0).normal(size=(2, 3, 4, 5)).astype(np.float32)


def read(tensor: object) -> NDArray[Any]:
    return np.asarray(ops.convert_to_numpy(tensor))


def test_an_output_rises_above_the_mean_of_all() -> None:
    answers = np.array([[1.0, 2.0, 6.0]], np.float32)
    assert np.allclose(read(oppose_output(ops.convert_to_tensor(answers), 2)), [3 - 6])
    assert np.allclose(read(oppose_output(ops.convert_to_tensor(answers[:, :1]), 0)), [-1])


def test_channels_and_whole_maps_rise() -> None:
    assert np.allclose(read(oppose_channel(ops.convert_to_tensor(MAPS), 3)), -MAPS[..., 3].mean(axis=(1, 2)))
    assert np.allclose(read(oppose_all(ops.convert_to_tensor(MAPS))), -0.5 * (MAPS**2).mean(axis=(1, 2, 3)))


def test_features_are_compared_as_a_share_of_their_power() -> None:
    target = MAPS[:1]
    expected = ((MAPS - target) ** 2).mean(axis=(1, 2, 3)) / (target**2).mean()
    assert np.allclose(read(compare_features(ops.convert_to_tensor(MAPS), target)), expected, rtol=1e-5)


def test_a_gram_matrix_does_not_know_where_anything_is() -> None:
    gram = read(compute_gram(ops.convert_to_tensor(MAPS)))
    assert np.allclose(gram, np.einsum("nhwc,nhwd->ncd", MAPS, MAPS) / 12, rtol=1e-4, atol=1e-6)
    moved = np.roll(MAPS, (1, 2), (1, 2))
    assert np.allclose(read(compute_gram(ops.convert_to_tensor(moved))), gram, rtol=1e-4, atol=1e-6)


def test_styles_are_equal_only_with_equal_gram_matrices() -> None:
    maps = [ops.convert_to_tensor(MAPS), ops.convert_to_tensor(MAPS[:, :2])]
    grams = [read(compute_gram(each))[:1] for each in maps]
    first, second = read(compare_grams(maps, grams))
    assert abs(first) < 1e-6
    assert second > 0.01
