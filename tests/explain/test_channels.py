from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from tlkit.data.manifest import ImageRecord, Manifest
from tlkit.explain.channels import crop_patch, draw_filters, find_patches
from tlkit.explain.explainer import Explainer


@dataclass
class _Cut:
    feature_shape: tuple[int, ...] = (4, 4, 3)


class _Reader:
    """Maps that need no network: picture n has its peak of channel 1 at place n."""

    def __init__(self, count: int) -> None:
        records = [ImageRecord(Path(f"{number}.png"), str(number), 8, 8, "train", "cat") for number in range(count)]
        self.manifest = Manifest(Path(), ("cat",), tuple(records))
        self.explainer = _Cut()
        self._count = count

    def __iter__(self) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float16]]]:
        for start in range(0, self._count, 3):
            places = np.arange(start, min(start + 3, self._count))
            maps = np.zeros((len(places), 4, 4, 3), np.float16)
            for one, place in zip(maps, places, strict=True):
                one[place // 4, place % 4, 1] = 1 + place
            yield places, maps


def test_the_strongest_places_of_a_channel_are_found_with_flat_memory() -> None:
    reader: Any = _Reader(8)
    patches = find_patches(reader, [1], 3)[1]
    assert [patch.record.path.name for patch in patches] == ["7.png", "6.png", "5.png"]
    assert [patch.activation for patch in patches] == [8, 7, 6]
    assert patches[0].centre == (0.375, 0.875)


def test_a_patch_lies_inside_the_picture() -> None:
    pixels = np.zeros((20, 20, 3), np.uint8)
    pixels[:6, 14:] = 255
    assert (crop_patch(pixels, (0.0, 1.0)) == 255).all()
    assert crop_patch(pixels, (0.5, 0.5)).shape == (6, 6, 3)


def test_filters_are_drawn_in_the_colours_of_the_picture(make_classifier: Callable[..., Any]) -> None:
    inputs = keras.Input((8, 8, 3))
    layer = keras.layers.Conv2D(2, 3)
    trunk = keras.Model(inputs, layer(inputs))
    kernel = np.zeros((3, 3, 3, 2), np.float32)
    kernel[:, :, 0, 0], kernel[:, :, 0, 1] = 1, -0.1
    layer.set_weights([kernel, np.zeros(2)])
    drawn = draw_filters(trunk, is_bgr=False)
    turned = draw_filters(trunk, is_bgr=True)
    assert drawn is not None
    assert turned is not None
    assert drawn[20, 20].tolist() == [255, 128, 128]
    assert turned[20, 20].tolist() == [128, 128, 255]
    assert drawn[20, 20 + 48].tolist() == [0, 128, 128]
    explainer = Explainer(make_classifier("linear", backbone="mnist_cnn"))
    assert draw_filters(explainer.trunk, is_bgr=False) is not None
    grey = keras.Input((8, 8, 1))
    assert draw_filters(keras.Model(grey, keras.layers.Conv2D(2, 3)(grey)), is_bgr=False) is None
