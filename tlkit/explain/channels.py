"""Pictures of what a network looks for: the filters of its first layer, and the patches that excite a channel most."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tlkit.data.manifest import ImageRecord
from tlkit.errors import SettingError

if TYPE_CHECKING:
    import keras

    from tlkit.explain.explainer import Explainer
    from tlkit.explain.map_reader import MapReader

FILTER_PX = 44
GAP_PX = 4
PATCH_SHARE = 0.3
"""Edge of the patch that is shown around a place, as a share of the picture's edge."""


@dataclass(frozen=True)
class Patch:
    """A place that excites a channel.

    Attributes:
        record: The picture.
        centre: (down, across) in fractions of the network's input, 0..1.
        activation: Of the channel at this place.
    """

    record: ImageRecord
    centre: tuple[float, float]
    activation: float


def read_channels(text: str | Sequence[int]) -> tuple[int, ...]:
    """Return the numbers of channels in a text such as "3,17", or those given.

    Raises:
        SettingError: They are no whole numbers from 0 on.
    """
    parts = (
        [part.strip() for part in text.split(",") if part.strip()] if isinstance(text, str) else list(map(str, text))
    )
    if not all(part.isdecimal() for part in parts):
        raise SettingError(
            f"--channels {text}: not a list of channels.",
            expected="whole numbers from 0 on, with commas between them",
            fix="--channels 3,17",
        )
    return tuple(map(int, parts))


def check_channels(channels: Sequence[int], explainer: Explainer) -> None:
    """Check that a map has these channels.

    Raises:
        SettingError: It has fewer.
    """
    num_channels = explainer.map_shapes[-1][2]
    if channels and max(channels) >= num_channels:
        raise SettingError(
            f"--channels {max(channels)}: the map at {explainer.boundary} has {num_channels:,} channels.",
            expected=f"numbers from 0 to {num_channels - 1}",
            fix="choose others, or another --boundary.",
        )


def draw_filters(trunk: keras.Model, *, is_bgr: bool) -> NDArray[np.uint8] | None:
    """Return the filters of the first convolution side by side, each on its own scale around grey: uint8 RGB.

    None where the first layer with weights is no convolution of the three colours.

    Args:
        trunk: From RGB pixels upwards.
        is_bgr: Whether the network turns the colours round first, as those of Caffe do.
    """
    kernel = _find_first_kernel(trunk)
    if kernel is None:
        return None
    kernel = kernel[:, :, ::-1] if is_bgr else kernel
    largest = np.abs(kernel).max(axis=(0, 1, 2), keepdims=True)
    pictures = np.rint(127.5 + 127.5 * kernel / np.maximum(largest, 1e-12)).astype(np.uint8)
    count = pictures.shape[-1]
    columns = int(np.ceil(np.sqrt(count * 1.6)))
    rows = -(-count // columns)
    step = FILTER_PX + GAP_PX
    sheet = np.full((rows * step + GAP_PX, columns * step + GAP_PX, 3), 255, np.uint8)
    places = np.arange(FILTER_PX) * pictures.shape[0] // FILTER_PX
    across = np.arange(FILTER_PX) * pictures.shape[1] // FILTER_PX
    for number in range(count):
        top, left = GAP_PX + number // columns * step, GAP_PX + number % columns * step
        sheet[top : top + FILTER_PX, left : left + FILTER_PX] = pictures[..., number][places][:, across]
    return sheet


def find_patches(reader: MapReader, channels: list[int], count: int) -> dict[int, list[Patch]]:
    """Return the places that excite each channel most, one a picture, strongest first.

    Zeiler and Fergus, 2013, https://arxiv.org/abs/1311.2901. Memory stays flat; maps come from the cache where it has them.

    Args:
        reader: The maps at some boundary.
        channels: Numbers of channels of that map.
        count: Places of each.
    """
    best: dict[int, list[tuple[float, int, tuple[float, float]]]] = {channel: [] for channel in channels}
    for places, features in reader:
        height, width = features.shape[1:3]
        flat = features[..., channels].astype(np.float32).reshape(len(places), -1, len(channels))
        where = flat.argmax(axis=1)
        for row, place in enumerate(places.tolist()):
            for column, channel in enumerate(channels):
                spot = int(where[row, column])
                down, across = (spot // width + 0.5) / height, (spot % width + 0.5) / width
                entry = (float(flat[row, spot, column]), place, (down, across))
                keep = heapq.heappushpop if len(best[channel]) == count else heapq.heappush
                keep(best[channel], entry)
    records = reader.manifest.records
    return {
        channel: [Patch(records[place], centre, value) for value, place, centre in sorted(entries, reverse=True)]
        for channel, entries in best.items()
    }


def crop_patch(pixels: NDArray[np.uint8], centre: tuple[float, float]) -> NDArray[np.uint8]:
    """Return the part of the network's input around a place, uint8 (edge, edge, 3), moved inside where it would stick out."""
    height, width = pixels.shape[:2]
    edge = max(1, round(PATCH_SHARE * min(height, width)))
    top, left = (
        int(np.clip(round(share * size - edge / 2), 0, size - edge))
        for share, size in zip(centre, (height, width), strict=True)
    )
    return pixels[top : top + edge, left : left + edge]


def _find_first_kernel(trunk: keras.Model) -> NDArray[np.float32] | None:
    import keras

    for layer in trunk.layers:
        if isinstance(layer, keras.Model):
            kernel = _find_first_kernel(layer)
            if kernel is not None:
                return kernel
        elif isinstance(layer, keras.layers.Conv2D):
            weights = np.asarray(layer.kernel, np.float32)
            return weights if weights.shape[2] == 3 else None
    return None
