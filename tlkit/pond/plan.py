"""Decide what is drawn: which kind of fish, taken from which boat, at what hour, for which split.

Six boats go out, each with a camera of its own, and each in the waters where some kinds are more common. So the size of
a picture tells the boat, and the boat hints at the kind: a leak that real fishery photographs have too, and that a
model must not be praised for using.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath

import numpy as np

from tlkit.pond.kinds import KINDS, Kind

POND_VERSION = 3
"""Rises with every change of the drawing, since the pictures then change too."""

PHOTOS_PER_KIND = {"train": 60, "validation": 15, "test": 15}
NUM_NEW_PHOTOS = 8


@dataclass(frozen=True)
class Boat:
    """A boat, its camera, and the chance of each kind of fish (in the order of KINDS) to be seen from it."""

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
    """One picture that will be drawn; `path` is relative to the demo's folder."""

    path: PurePosixPath
    kind: Kind
    split: str
    boat: Boat
    hour: int
    number: int

    def start_random(self, seed: int) -> np.random.Generator:
        """Return the generator from which this picture alone is drawn."""
        return np.random.Generator(np.random.PCG64([POND_VERSION, seed, self.number]))


def plan_photos(photos_per_kind: dict[str, int], num_new: int, *, seed: int) -> tuple[PlannedPhoto, ...]:
    """Plan all pictures of a pond.

    Args:
        photos_per_kind: For each split, how many pictures of every kind.
        num_new: How many unlabelled pictures besides; their split is "new".
        seed: The same seed plans the same pictures.

    Returns:
        The pictures in the order of their numbers, which say nothing about kind, boat or split.
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
