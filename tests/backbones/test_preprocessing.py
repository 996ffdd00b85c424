from __future__ import annotations

import keras
import numpy as np
import pytest
from keras.applications import imagenet_utils

from tlkit.backbones.preprocessing import add_preprocessing


@pytest.mark.parametrize("mode", ["caffe", "tf", "torch"])
def test_the_layers_do_what_keras_own_preprocessing_does(mode: str) -> None:
    images = np.random.default_rng(0).integers(0, 256, (2, 5, 7, 3)).astype(np.float32)
    pixels = keras.Input((5, 7, 3))
    model = keras.Model(pixels, add_preprocessing(pixels, mode))
    expected = imagenet_utils.preprocess_input(images.copy(), mode=mode)
    np.testing.assert_allclose(np.asarray(model(images)), expected, atol=2e-5 if mode == "caffe" else 1e-6)


def test_networks_that_scale_pixels_themselves_get_them_as_they_are() -> None:
    pixels = keras.Input((5, 7, 3))
    assert add_preprocessing(pixels, "inside") is pixels


def test_an_unknown_mode_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"^unknown preprocessing mode 'raw'$"):
        add_preprocessing(keras.Input((5, 7, 3)), "raw")
