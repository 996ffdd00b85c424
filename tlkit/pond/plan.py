"""Plan the images: kind of fish, boat, hour and split.

Each of six boats has its own camera and fishes where some kinds are more common. So the image size reveals the boat,
and the boat hints at the kind: a leak that real photographs of catches have, too.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath

import numpy as np

from tlkit.pond.kinds import KINDS, Kind

POND_VERSION = 3
"""Raised with every change of the drawing, which changes the pictures."""

PHOTOS_PER_KIND = {"train": 60, "validation": 15, "test": 15}
NUM_NEW_PHOTOS = 8
NUM_SHOALS = 140


@dataclass(frozen=True)
class Boat:
    """A boat, its camera, and its probability of each kind of fish, in the order of KINDS."""

    name: str
    camera: tuple[int, int]
    chances: tuple[float, ...]


BOATS = (
    Boat("Heron", (208, 156), (0.06, 0.10, 0.52, 0.10)),
    Boat("Kingfisher", (216, 144), (0.08, 0.06, 0.20, 0.46)),
    Boat("Otter", (192, 192), (0.08, 0.50, 0.06, 0.06)),
    Boat("Grebe", (224, 168), (0.50, 0.10, 0.06, 0.08)),
    Boat("Bittern", (168, 208), (0.20, 0.18, 0.06, 0.10)),
    Boat("Newt", (224, 132), (0.08, 0.06, 0.10, 0.20)),
)


@dataclass(frozen=True)
class PlannedPhoto:
    """A planned image; `path` is relative to the demo's folder."""

    path: PurePosixPath
    kind: Kind
    split: str
    boat: Boat
    hour: int
    number: int

    def start_random(self, seed: int) -> np.random.Generator:
        """Return the image's own random generator."""
        return np.random.Generator(np.random.PCG64([POND_VERSION, seed, self.number]))


def plan_photos(photos_per_kind: dict[str, int], num_new: int, *, seed: int) -> tuple[PlannedPhoto, ...]:
    """Plan all images of a pond.

    Args:
        photos_per_kind: Number of images of every kind, for each split.
        num_new: Number of unlabelled images; their split is "new".
        seed: The same seed gives the same plan.

    Returns:
        The images in the order of their numbers, which are independent of kind, boat and split.
    """
    random = np.random.Generator(np.random.PCG64([POND_VERSION, seed]))
    chosen = [(split, kind) for split, count in photos_per_kind.items() for kind in KINDS for _ in range(count)]
    chosen = [chosen[index] for index in random.permutation(len(chosen))]
    chosen += [("new", KINDS[index % len(KINDS)]) for index in random.permutation(num_new)]
    photos = []
    for number, (split, kind) in enumerate(chosen, start=1):
        folder = PurePosixPath("new-photos") if split == "new" else PurePosixPath("photos", split, kind.name)
        chances = np.cumsum([boat.chances[KINDS.index(kind)] for boat in BOATS])
        boat = BOATS[int(np.searchsorted(chances, random.random() * chances[-1], side="right"))]
        hour = int(random.integers(5, 23))
        photos.append(PlannedPhoto(folder / f"catch-{number:04d}.jpg", kind, split, boat, hour, number))
    return tuple(photos)
