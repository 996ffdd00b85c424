"""From which pixels a feature comes: a block of a picture has the features of the whole wherever they say so."""

from __future__ import annotations

from collections.abc import Callable

import keras
import numpy as np
import pytest
from keras import layers

from tlkit.backbones.build import build_backbone
from tlkit.backbones.reach import Reach, find_reach, free_size
from tlkit.errors import BackboneError

STEP, BLOCK = 8, 56


def build_same(x: keras.KerasTensor) -> keras.KerasTensor:
    x = layers.Conv2D(3, 5, strides=2, padding="same")(x)
    x = layers.DepthwiseConv2D(3, dilation_rate=2, padding="same")(x)
    shortcut = layers.Conv2D(4, 1, strides=2)(x)
    x = layers.Conv2D(4, 3, strides=2, padding="same")(x)
    return layers.MaxPooling2D(3, strides=2, padding="same")(layers.Add()([x, shortcut]))


def build_padded(x: keras.KerasTensor) -> keras.KerasTensor:
    x = layers.Conv2D(3, 7, strides=2)(layers.ZeroPadding2D(3)(x))
    x = layers.Conv2D(4, 3, strides=2)(layers.ZeroPadding2D(((0, 1), (0, 1)))(x))
    return layers.AveragePooling2D(2)(layers.SeparableConv2D(4, 3, padding="same")(x))


def build_valid(x: keras.KerasTensor) -> keras.KerasTensor:
    x = layers.MaxPooling2D(2)(layers.Conv2D(3, 3)(x))
    x = layers.Conv2D(4, 3, strides=2)(x)
    return layers.AveragePooling2D(2)(layers.Cropping2D(((2, 0), (2, 0)))(x))


def build_mixed(x: keras.KerasTensor) -> keras.KerasTensor:
    x = layers.Conv2D(3, 3)(layers.Conv2D(3, 3, strides=2)(x))
    x = layers.MaxPooling2D(3, strides=2, padding="same")(x)
    return layers.Conv2D(4, 3, strides=2, padding="same")(x)


BUILDERS = [build_same, build_padded, build_valid, build_mixed]


@pytest.mark.parametrize("build", BUILDERS)
def test_a_block_has_the_features_of_the_whole_picture(
    build: Callable[[keras.KerasTensor], keras.KerasTensor],
) -> None:
    keras.utils.set_random_seed(3)
    inputs = keras.Input((40, 40, 2))
    network = keras.Model(inputs, build(inputs))
    free = free_size(network)
    length = 160
    # What is nowhere zero shows where zeros of a padding took part.
    picture = np.random.default_rng(0).uniform(1, 2, (1, length, BLOCK, 2)).astype(np.float32)
    whole = np.asarray(free(picture))[0]
    reach = find_reach(network, (BLOCK, BLOCK), name="it")[0]
    assert find_reach(network, (length, length), name="it")[0].num_features == len(whole)
    for start_px in (0, 24, 104):
        block = np.asarray(free(picture[:, start_px : start_px + BLOCK]))[0]
        assert (reach.step, reach.num_features) == (STEP, len(block))
        clean = reach.find_clean(BLOCK, is_start=start_px == 0, is_end=start_px + BLOCK == length)
        assert len(clean) >= 2
        first = start_px // STEP
        same = np.abs(block - whole[first : first + len(block)]).max(axis=(1, 2)) < 1e-5
        assert np.flatnonzero(same).tolist() == list(clean)


def test_the_small_network_without_padding_reaches_as_far_as_its_windows() -> None:
    trunk, _ = build_backbone("mnist_cnn", image_size=(28, 28), pooling="none", weights="random").split_at_map("top")
    assert find_reach(trunk, (28, 28), name="mnist_cnn") == (Reach(5, 4, 0, 9),) * 2


def test_a_network_that_looks_at_the_whole_picture_is_refused() -> None:
    inputs = keras.Input((16, 16, 3))
    weights = layers.GlobalAveragePooling2D(keepdims=True, name="squeeze")(inputs)
    network = keras.Model(inputs, layers.Multiply()([inputs, weights]))
    with pytest.raises(BackboneError) as caught:
        find_reach(network, (16, 16), name="squeezenet")
    assert str(caught.value).splitlines() == [
        "a feature of squeezenet depends on the whole picture, since its layer squeeze takes the mean of all places.",
        "  Expected: a backbone whose features depend on their surroundings, such as MobileNetV2, ResNet, VGG or ConvNeXt",
        "  Fix: leave out --one-pass, so that windows are cut out.",
    ]
