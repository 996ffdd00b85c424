"""Pictures to work on: drawn ones, or links to the user's own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp")
NUM_CLASSES = 2


def draw_photos(folder: Path, count: int, *, seed: int = 0) -> None:
    """Draw `count` JPEG files of 500 x 375 with smooth colours, edges and grain, in two class folders.

    They are about as many bytes as photos of that size, so they take as long to decode.
    """
    rng = np.random.default_rng([seed, count])
    for index in range(count):
        coarse = Image.fromarray(rng.integers(0, 256, (6, 8, 3), dtype=np.uint8)).resize(
            (500, 375), Image.Resampling.BICUBIC
        )
        pixels = np.asarray(coarse, np.int16) + rng.integers(-12, 13, (375, 500, 3))
        left, top = rng.integers(0, 300, 2)
        pixels[top : top + 75, left : left + 200] = rng.integers(0, 256, 3)
        path = _place(folder, index, ".jpg", NUM_CLASSES)
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(path, quality=90)


def draw_small_pictures(folder: Path, count: int, *, edge_px: int, num_classes: int = NUM_CLASSES) -> None:
    """Draw `count` small JPEG files, no two alike, some thousand a second."""
    rng = np.random.default_rng([edge_px, count])
    for index in range(count):
        coarse = rng.integers(0, 256, (4, 4, 3), dtype=np.uint8)
        # The number itself is drawn, too, so that no two files have the same content.
        coarse[0, 0] = index % 256, index // 256 % 256, index // 65_536
        picture = Image.fromarray(coarse).resize((edge_px, edge_px), Image.Resampling.BILINEAR)
        picture.save(_place(folder, index, ".jpg", num_classes), quality=90)


def link_photos(photos: Path, folder: Path, count: int, *, skip: int = 0) -> int:
    """Link at most `count` photos found below `photos` into two class folders and return how many there are.

    Args:
        photos: Where to look, also in folders below.
        folder: Where the links go.
        count: The most to take.
        skip: Photos to pass over before the first.

    Raises:
        FileNotFoundError: There are none.
    """
    paths = sorted(path for path in photos.rglob("*") if path.suffix.lower() in SUFFIXES)[skip : skip + count]
    if len(paths) < NUM_CLASSES:
        raise FileNotFoundError(f"{photos} has fewer than {skip + NUM_CLASSES} photos.")
    for index, path in enumerate(paths):
        _place(folder, index, path.suffix, NUM_CLASSES).symlink_to(path.resolve())
    return len(paths)


def _place(folder: Path, index: int, suffix: str, num_classes: int) -> Path:
    path = folder / f"class_{index % num_classes}" / f"{index:06d}{suffix}"
    path.parent.mkdir(parents=True, exist_ok=True)
    return path
