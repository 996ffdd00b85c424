"""The objects in an image, each with a class and a box, and their text in a manifest.

An image without objects is background. An ignored object is neither learnt nor counted as missed, and what is found
there is no mistake: a crowd that nobody outlined one by one, an object marked as difficult, or one whose class is
unknown.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tlkit.outputs import Box, normalize_name
from tlkit.tasks.strata import choose_rarest

MAX_OBJECTS = 1_000
"""The most objects of an image; targets of all images have as many rows as the image with the most."""

NUM_OBJECT_VALUES = 6
"""Numbers in a row of targets: left, top, right, bottom, class + 1, ignored."""

BACKGROUND = "[]"
"""The text of an image without objects."""

_DECIMALS = 3
_CACHED_ANSWERS = 2**14


@dataclass(frozen=True, slots=True)
class SceneObject:
    """An object in an image.

    Args:
        name: Its class; empty only if it is ignored.
        left, top, right, bottom: In pixels of the upright image, continuous: an image of width w spans 0..w.
        is_ignored: Whether it is neither learnt nor counted.
    """

    name: str
    left: float
    top: float
    right: float
    bottom: float
    is_ignored: bool = False

    @property
    def corners(self) -> Box:
        """left, top, right, bottom."""
        return self.left, self.top, self.right, self.bottom


def write_objects(objects: Iterable[SceneObject]) -> str:
    """Return the text of an image's objects: compact JSON, one list per object, to a thousandth of a pixel.

    Examples:
        >>> write_objects([SceneObject("fish", 1, 2, 30.25, 40), SceneObject("", 5, 5, 9, 9, is_ignored=True)])
        '[["fish",1,2,30.25,40],["",5,5,9,9,1]]'
    """
    rows = [
        [each.name, *(_shorten(edge) for edge in each.corners), *([1] if each.is_ignored else [])] for each in objects
    ]
    return json.dumps(rows, ensure_ascii=False, separators=(",", ":"))


def _shorten(edge: float) -> int | float:
    rounded = round(float(edge), _DECIMALS)
    return int(rounded) if rounded.is_integer() else rounded


@lru_cache(_CACHED_ANSWERS)
def read_objects(text: str) -> tuple[SceneObject, ...]:
    """Return the objects of a text, in its order; empty for a background image.

    Raises:
        ValueError: With the reason why it is not a list of objects.
    """
    try:
        rows = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError("not a list of objects") from error
    if not isinstance(rows, list):
        raise ValueError("not a list of objects")
    if len(rows) > MAX_OBJECTS:
        raise ValueError(f"{len(rows):,} objects, more than {MAX_OBJECTS:,}")
    return tuple(map(_read_object, rows))


def _read_object(row: object) -> SceneObject:
    if not isinstance(row, list) or not NUM_OBJECT_VALUES - 1 <= len(row) <= NUM_OBJECT_VALUES:
        raise ValueError("an object that is not a class, four numbers and a mark")
    name, *edges, mark = row if len(row) == NUM_OBJECT_VALUES else (*row, 0)
    if not isinstance(name, str) or mark not in (0, 1) or not (name or mark):
        raise ValueError("an object without a class")
    if not all(isinstance(edge, (int, float)) and not isinstance(edge, bool) and abs(edge) < 1e9 for edge in edges):
        raise ValueError("an object whose box is not four numbers")
    left, top, right, bottom = map(float, edges)
    if not (math.isfinite(left + top + right + bottom) and left < right and top < bottom):
        raise ValueError("an object with an empty box")
    return SceneObject(normalize_name(name), left, top, right, bottom, bool(mark))


def name_objects(answer: str) -> tuple[str, ...]:
    """Return the distinct classes of a text's objects that are not ignored, sorted."""
    return tuple(sorted({each.name for each in read_objects(answer) if not each.is_ignored}))


def describe_objects(answer: str) -> str:
    """Return an image's objects in words.

    Examples:
        >>> describe_objects('[["fish",1,2,30,40],["fish",5,5,9,9],["crab",5,5,9,9,1]]')
        '2 × fish, 1 ignored'
    """
    objects = read_objects(answer)
    counts = Counter(each.name for each in objects if not each.is_ignored)
    num_ignored = len(objects) - counts.total()
    parts = [f"{number:,} × {name}" for name, number in sorted(counts.items())]
    return ", ".join([*parts, *([f"{num_ignored:,} ignored"] if num_ignored else [])]) or "no objects"


def make_object_rows(answer: str, names: Sequence[str]) -> NDArray[np.float32]:
    """Return the objects of one image as rows of targets, without padding.

    An ignored object whose class is not in `names` stands once for each of them, so that no class is punished there.

    Args:
        answer: As written by `write_objects`.
        names: The classes in label order.

    Returns:
        Read-only float32 (m, 6): left, top, right, bottom in pixels of the upright image; class index + 1; and 1 if
        ignored, else 0.

    Raises:
        KeyError: An object that is not ignored has an unknown class.
    """
    return _make_rows(answer, tuple(names))


@lru_cache(_CACHED_ANSWERS)
def _make_rows(answer: str, names: tuple[str, ...]) -> NDArray[np.float32]:
    number_of = {name: number for number, name in enumerate(names, start=1)}
    rows: list[tuple[float, ...]] = []
    for each in read_objects(answer):
        is_known = not each.is_ignored or each.name in number_of
        numbers = [number_of[each.name]] if is_known else number_of.values()
        rows += ((*each.corners, number, each.is_ignored) for number in numbers)
    array = np.array(rows, np.float32).reshape(-1, NUM_OBJECT_VALUES)
    array.flags.writeable = False
    return array


def make_object_targets(answers: Sequence[str], names: Sequence[str]) -> NDArray[np.float32]:
    """Return the objects of several images as one array, padded with rows of zeros.

    Args:
        answers: One text per image, as written by `write_objects`.
        names: The classes in label order.

    Returns:
        float32 (n, m, 6), see `make_object_rows`; m is the most rows of any image, at least 1.

    Raises:
        KeyError: An object that is not ignored has an unknown class.
    """
    return pad_object_rows([make_object_rows(answer, names) for answer in answers])


def pad_object_rows(rows: Sequence[NDArray[Any]]) -> NDArray[np.float32]:
    """Return rows of several images, each float (m_i, 6), as one array, float32 (n, m, 6), padded with zeros."""
    most = max([1, *map(len, rows)])
    padded = np.zeros((len(rows), most, NUM_OBJECT_VALUES), np.float32)
    for target, of_image in zip(padded, rows, strict=True):
        target[: len(of_image)] = of_image
    return padded


def tabulate_objects(
    answers: Mapping[str, Sequence[str]], names: Sequence[str]
) -> tuple[tuple[str, ...], tuple[tuple[str, ...], ...]]:
    """Return (columns, rows) of text: the number of objects of each class, and of images with one, by split.

    The last rows count ignored objects and background, if there are any, and all images.

    Args:
        answers: The texts of the images of each split.
        names: The classes in label order.
    """
    columns = [*answers.values(), [answer for of_split in answers.values() for answer in of_split]]
    counts = [_count_objects(column) for column in columns]
    kinds = [*names, *(name for name in (_IGNORED, _NOTHING) if name in counts[-1])]
    rows = [(kind.strip(), *(_format_cell(kind, *found.get(kind, (0, 0))) for found in counts)) for kind in kinds]
    rows.append(("images", *(f"{len(column):,}" for column in columns)))
    return ("objects on images", *answers, "total"), tuple(rows)


_IGNORED, _NOTHING = " ignored", " background"  # no class begins with a space


def _count_objects(answers: Sequence[str]) -> dict[str, tuple[int, int]]:
    """Return the number of objects and of images of each kind: a class, ignored, or nothing to learn."""
    objects: Counter[str] = Counter()
    images: Counter[str] = Counter()
    for answer in answers:
        kinds = Counter(_IGNORED if each.is_ignored else each.name for each in read_objects(answer))
        objects += kinds
        images.update([*kinds, *([] if name_objects(answer) else [_NOTHING])])
    return {kind: (objects[kind], number) for kind, number in images.items()}


def _format_cell(kind: str, num_objects: int, num_images: int) -> str:
    return f"{num_images:,}" if kind == _NOTHING else f"{num_objects:,} on {num_images:,}"


def find_rarest_names(answers: Sequence[str]) -> list[str]:
    """Return the class of each image that the fewest images have; empty for images without objects."""
    return choose_rarest([name_objects(answer) for answer in answers], "")
