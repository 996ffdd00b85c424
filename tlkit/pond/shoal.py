"""Pictures of none to six fish, near and far, which hide parts of each other: a data set for detection and segmentation.

Boxes and masks come from the drawing itself, so they are exact: a fish owns the pixels that no fish in front of it
covers. Weeds, which are thin, hide nothing.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tlkit.pond.body import Pose
from tlkit.pond.fish import draw_fish
from tlkit.pond.kinds import KINDS, Kind
from tlkit.pond.picture import Box, finish_picture, is_of_fish, paint_behind, paint_in_front

SHOAL_VERSION = 1
"""Raised with every change of the drawing, which changes the pictures."""
SIZE = (320, 240)
MAX_FISH = 6
CHANCES = (0.12, 0.22, 0.22, 0.16, 0.12, 0.09, 0.07)
"""Probability of each number of fish, from none to `MAX_FISH`."""
LENGTHS = (0.10, 0.55)
"""Length of a body, without its tail, as a fraction of the height of the picture; near fish are rarer than far ones."""
HIDDEN = 0.8
"""A fish of which a larger part is hidden is not told apart by anybody: it is marked as a crowd."""


@dataclass(frozen=True)
class SeenFish:
    """A fish in a picture.

    Attributes:
        kind: Its kind.
        box: The box around what is seen of it.
        num_pixels: Pixels that show it.
        is_crowd: Whether nearly all of it is hidden.
    """

    kind: Kind
    box: Box
    num_pixels: int
    is_crowd: bool


@dataclass(frozen=True, eq=False)
class Shoal:
    """A picture of some fish.

    Attributes:
        picture: RGB.
        fish: The fish, from back to front.
        mask: 0 for water, else the place in `KINDS` plus 1, uint8 (height, width).
    """

    picture: Image.Image
    fish: tuple[SeenFish, ...]
    mask: NDArray[np.uint8]


def draw_shoal(
    kinds: Sequence[Kind],
    *,
    size: tuple[int, int],
    hour: int,
    random: np.random.Generator,
    lengths: tuple[float, float] = LENGTHS,
) -> Shoal:
    """Draw some fish in the pond, the first one farthest away.

    Args:
        kinds: The kind of each fish; may be empty.
        size: Width and height of the picture in pixels.
        hour: Hour of the day, 5 to 22.
        random: Generator of everything else; the same state gives the same picture.
        lengths: Shortest and longest body, as a fraction of the height of the picture.
    """
    canvas = paint_behind(size, hour, random)
    scale = canvas.size[0] // size[0]
    middles = slice(scale // 2, None, scale)  # the points of the drawing in the middle of a pixel of the picture
    owners = np.zeros((size[1], size[0]), np.uint8)
    shapes = []
    drawn = sorted(_draw_length(lengths, random) for _ in kinds)
    for number, (kind, length) in enumerate(zip(kinds, drawn, strict=True), start=1):
        fish = draw_fish(kind, _choose_pose(length, canvas.size, random), canvas.scene, random, canvas.size)
        canvas.image.paste(fish, (0, 0), fish)
        shapes.append(is_of_fish(fish)[middles, middles])
        owners[shapes[-1]] = number
    paint_in_front(canvas)
    picture = finish_picture(canvas.image.reduce(scale), random)
    seen = [_find_fish(kind, number, owners, shapes) for number, kind in enumerate(kinds, start=1)]
    places = np.array([0, *(KINDS.index(kind) + 1 for kind in kinds)], np.uint8)
    mask = places[owners]
    return Shoal(picture, tuple(fish for fish in seen if fish), mask)


def _draw_length(lengths: tuple[float, float], random: np.random.Generator) -> float:
    shortest, longest = np.log(lengths)
    return float(np.exp(random.uniform(shortest, longest)))


def _choose_pose(length: float, large: tuple[int, int], random: np.random.Generator) -> Pose:
    width, height = large
    return Pose(
        center=(width * random.uniform(0.06, 0.94), height * random.uniform(0.10, 0.90)),
        length_px=length * height,
        angle_degrees=random.uniform(-32, 32),
        facing=1 if random.random() < 0.5 else -1,
        squeeze=random.uniform(0.7, 1.0),
        bend=(random.uniform(-0.28, 0.28), random.uniform(-0.45, 0.45)),
    )


def _find_fish(
    kind: Kind, number: int, owners: NDArray[np.uint8], shapes: Sequence[NDArray[np.bool_]]
) -> SeenFish | None:
    """Return what is seen of a fish; None if it is hidden altogether."""
    shown = owners == number
    if not shown.any():
        return None
    rows, columns = (np.flatnonzero(shown.any(axis=axis)).tolist() for axis in (1, 0))
    box = Box(columns[0], rows[0], columns[-1] + 1, rows[-1] + 1)
    num_pixels = int(shown.sum())
    return SeenFish(kind, box, num_pixels, num_pixels < (1 - HIDDEN) * shapes[number - 1].sum())


def draw_shoals(
    number: int, *, seed: int, lengths: tuple[float, float] = LENGTHS
) -> Iterator[tuple[PurePosixPath, Shoal]]:
    """Draw some pictures.

    Args:
        number: How many.
        seed: The same seed gives the same pictures; the first ones do not depend on `number`.
        lengths: As for `draw_shoal`.

    Yields:
        The name of the picture's file, `fish-0001.jpg` and so on, and the picture.
    """
    for place in range(1, number + 1):
        random = np.random.Generator(np.random.PCG64([SHOAL_VERSION, seed, place]))
        num_fish = random.choice(MAX_FISH + 1, p=CHANCES)
        kinds = [KINDS[kind] for kind in random.integers(len(KINDS), size=num_fish)]
        hour = int(random.integers(6, 22))
        yield (
            PurePosixPath(f"fish-{place:04}.jpg"),
            draw_shoal(kinds, size=SIZE, hour=hour, random=random, lengths=lengths),
        )


def encode_picture(picture: Image.Image) -> bytes:
    """Return a picture as a JPEG file."""
    content = io.BytesIO()
    picture.save(content, format="JPEG", quality=92, subsampling=0)
    return content.getvalue()


def encode_mask(mask: NDArray[np.uint8]) -> bytes:
    """Return a mask as a PNG file with a colour for each kind."""
    image = Image.fromarray(mask, mode="P")
    image.putpalette([0, 0, 0, *(level for place in range(len(KINDS)) for level in _COLOURS[place])])
    content = io.BytesIO()
    image.save(content, format="PNG")
    return content.getvalue()


_COLOURS = ((230, 159, 0), (86, 180, 233), (0, 158, 115), (213, 94, 0))


def write_coco(
    shoals: Sequence[tuple[PurePosixPath, tuple[int, int], tuple[SeenFish, ...]]], *, class_name: str = ""
) -> str:
    """Return the boxes of pictures as COCO's JSON.

    Args:
        shoals: Path of each picture, its width and height, and its fish.
        class_name: The class of all fish; empty for their kinds.
    """
    class_names = [class_name] if class_name else [kind.name for kind in KINDS]
    images: list[dict[str, object]] = []
    annotations: list[dict[str, object]] = []
    for image_id, (path, (width, height), fish) in enumerate(shoals, start=1):
        images.append({"id": image_id, "file_name": str(path), "width": width, "height": height})
        for each in fish:
            left, top, right, bottom = each.box
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image_id,
                    "category_id": 1 if class_name else KINDS.index(each.kind) + 1,
                    "bbox": [left, top, right - left, bottom - top],
                    "area": each.num_pixels,
                    "iscrowd": int(each.is_crowd),
                }
            )
    categories = [{"id": place, "name": name} for place, name in enumerate(class_names, start=1)]
    return json.dumps({"images": images, "annotations": annotations, "categories": categories}, indent=1)
