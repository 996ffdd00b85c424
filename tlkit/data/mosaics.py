"""Mosaics: views of four training images in one, for detectors (Bochkovskiy et al. 2020, arXiv:2004.10934).

A mosaic belongs to one image, as any view does, and to its number; the other three images are drawn among its
companions, all training images. So the cached features of a mosaic also depend on these: see `hash_companions`.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tlkit.data.manifest import ImageRecord, Manifest
from tlkit.data.views import POLICIES, POLICY_VERSION, View, draw_within, seed_draws

TILE_FIT = "crop"
"""A tile is filled by its picture, whatever the fit of the whole input."""

NUM_TILES = 4
_CENTRE = (0.3, 0.7)
_TILE_AREA_FRACTION = (0.2, 1.0)

Size = tuple[int, int]


@dataclass(frozen=True)
class Tile:
    """A part of a mosaic.

    Attributes:
        companion: Place of its image among the companions; None for the image that the mosaic belongs to.
        view: The view of that image.
    """

    companion: int | None
    view: View


@dataclass(frozen=True)
class Mosaic:
    """Four tiles around a point.

    Attributes:
        tiles: Top left, top right, bottom left, bottom right.
        centre: x, y of the corner that they share, as fractions of the input, before it is rounded to a pixel.
    """

    tiles: tuple[Tile, Tile, Tile, Tile]
    centre: tuple[float, float]

    def render(
        self, image_size: Size, render_tile: Callable[[int | None, View, Size], NDArray[np.uint8]]
    ) -> NDArray[np.uint8]:
        """Return the pixels of the network's input, uint8 (height, width, 3), RGB, 0..255.

        Args:
            image_size: (height, width) of the input, in pixels.
            render_tile: Returns the pixels of an image in a view, given the companion's place, or None, and the size.
        """
        sheet = np.empty((*image_size, 3), np.uint8)
        for tile, (left, top, right, bottom) in zip(self.tiles, self._find_boxes(image_size), strict=True):
            sheet[top:bottom, left:right] = render_tile(tile.companion, tile.view, (bottom - top, right - left))
        return sheet

    def place(
        self, image_size: Size, place_tile: Callable[[int | None, View, Size], NDArray[np.float32]]
    ) -> NDArray[np.float32]:
        """Return where the objects of the tiles lie, float32 (k, 6), corners in fractions of the input.

        They are cut at the edges of their tile, since nothing of them is seen beyond.

        Args:
            image_size: As above.
            place_tile: Returns the objects of an image in a view, float32 (m, 6), corners in fractions of the tile; see
                `tlkit.data.box_views.place_objects`.
        """
        height, width = image_size
        placed = []
        for tile, (left, top, right, bottom) in zip(self.tiles, self._find_boxes(image_size), strict=True):
            rows = place_tile(tile.companion, tile.view, (bottom - top, right - left)).copy()
            scale = np.array([right - left, bottom - top] * 2) / np.array([width, height] * 2)
            rows[:, :4] = np.clip(rows[:, :4], 0, 1) * scale + np.array([left / width, top / height] * 2)
            placed.append(rows)
        return np.concatenate(placed)

    def _find_boxes(self, image_size: Size) -> list[tuple[int, int, int, int]]:
        """Return left, top, right, bottom of each tile, in pixels."""
        height, width = image_size
        x, y = round(self.centre[0] * width), round(self.centre[1] * height)
        return [(0, 0, x, y), (x, 0, width, y), (0, y, x, height), (x, y, width, height)]


def has_mosaics(policy: str) -> bool:
    """Return whether some views of a policy are mosaics."""
    return policy in POLICIES and POLICIES[policy].mosaic_chance > 0


def list_companions(manifest: Manifest, policy: str) -> tuple[ImageRecord, ...]:
    """Return the training images by their hash, each once; none if the policy has no mosaics."""
    if not has_mosaics(policy):
        return ()
    by_hash = {record.sha256: record for record in manifest.in_split("train")}
    return tuple(by_hash[sha256] for sha256 in sorted(by_hash))


def hash_companions(companions: Sequence[ImageRecord]) -> str:
    """Return 8 hexadecimal digits that stand for the companions in the keys of cached features; empty for none."""
    text = "".join(record.sha256 for record in companions)
    return hashlib.sha256(text.encode()).hexdigest()[:8] if text else ""


def draw_mosaic(policy: str, *, seed: int, sha256: str, index: int, num_companions: int) -> Mosaic | None:
    """Draw view number `index` of an image, if it is a mosaic.

    Args:
        policy: `none` or one of `POLICIES`.
        seed: The run's seed.
        sha256: Hash of the image file's bytes, in hexadecimal digits.
        index: Number of the view; 0 is the image itself.
        num_companions: Number of images to choose from; without any there are no mosaics.

    Returns:
        The mosaic; None if the view is one of the image alone.
    """
    if not (has_mosaics(policy) and index and num_companions):
        return None
    ranges = POLICIES[policy]
    draw = seed_draws(f"{policy}.{POLICY_VERSION}/mosaic/{seed}/{sha256}/{index}")
    if draw() >= ranges.mosaic_chance:
        return None
    low, high = _CENTRE
    centre = (low + (high - low) * draw(), low + (high - low) * draw())
    own = int(draw() * NUM_TILES)
    within = dataclasses.replace(ranges, crop_area_fraction=_TILE_AREA_FRACTION)
    first, second, third, fourth = (
        Tile(None if place == own else int(draw() * num_companions), draw_within(within, draw))
        for place in range(NUM_TILES)
    )
    return Mosaic((first, second, third, fourth), centre)
