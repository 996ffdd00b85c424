"""The mask of an image as one text: its answer in a manifest.

The text holds the classes at `PLACES` x `PLACES` places spread evenly over the upright picture, which is finer than
what a network tells apart. So a run keeps its masks like its other answers: splits, copies, a repeated or resumed run
and an evaluation need no file of masks, and a file that is changed in the meantime changes nothing.
"""

from __future__ import annotations

import base64
import binascii
import json
import zlib
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from tlkit.outputs import MAX_CLASS_NAME_LENGTH, normalize_name
from tlkit.segmentation.confusion import IGNORED, MAX_CLASSES
from tlkit.untrusted import is_clean_text

PLACES = 256
"""Places of a mask along each axis of the picture."""

_CACHED_ANSWERS = 2**9


def write_mask(mask: NDArray[np.uint8], names: Sequence[str]) -> str:
    """Return the text of a mask: compact JSON with the names of its classes, and the places, compressed.

    Args:
        mask: uint8 (height, width), of any size: 0 for background, 1.. for the classes, 255 for places to ignore.
        names: The classes in the order of their numbers. Only those that the mask has are written.
    """
    rows = (np.arange(PLACES) * 2 + 1) * mask.shape[0] // (2 * PLACES)
    columns = (np.arange(PLACES) * 2 + 1) * mask.shape[1] // (2 * PLACES)
    places = mask[rows[:, None], columns]
    has = [number for number in range(1, len(names) + 1) if (places == number).any()]
    order = sorted(has, key=lambda number: names[number - 1])
    renumbered = np.zeros(256, np.uint8)
    renumbered[IGNORED] = IGNORED
    for place, number in enumerate(order, 1):
        renumbered[number] = place
    packed = base64.b64encode(zlib.compress(renumbered[places].tobytes(), 9)).decode("ascii")
    return json.dumps([[names[number - 1] for number in order], packed], ensure_ascii=False, separators=(",", ":"))


def read_mask(text: str, names: Sequence[str]) -> NDArray[np.uint8]:
    """Return the mask that `write_mask` wrote, by the numbers of other names.

    Args:
        text: The text.
        names: Classes in the order of their numbers; places of any other class are ignored.

    Returns:
        uint8 (PLACES, PLACES): 0 for background, 1.. for classes, 255 for places to ignore.

    Raises:
        ValueError: The text is something else; the message says what, as the end of a sentence.
    """
    own, places = _read(text)
    numbers = {name: number for number, name in enumerate(names, 1)}
    renumbered = np.full(256, IGNORED, np.uint8)
    renumbered[: len(own) + 1] = [0, *(numbers.get(name, IGNORED) for name in own)]
    return renumbered[places]


def name_mask(text: str) -> tuple[str, ...]:
    """Return the classes in the text of a mask, sorted.

    Raises:
        ValueError: As for `read_mask`.
    """
    return _read(text)[0]


def check_mask(text: str) -> str:
    """Return the text of a mask unchanged.

    Raises:
        ValueError: As for `read_mask`.
    """
    _read(text)
    return text


@lru_cache(_CACHED_ANSWERS)
def _read(text: str) -> tuple[tuple[str, ...], NDArray[np.uint8]]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        raise ValueError("is no mask: it is not JSON") from None
    if (
        not isinstance(found, list)
        or len(found) != 2
        or not isinstance(found[0], list)
        or not isinstance(found[1], str)
    ):
        raise ValueError("is no mask: it is not a list of names and a text")
    names = found[0]
    if len(names) > MAX_CLASSES or not all(is_clean_text(name, max_length=MAX_CLASS_NAME_LENGTH) for name in names):
        raise ValueError("is no mask: it has a class whose name is no clean text")
    if names != sorted(set(map(normalize_name, names))) or "" in names:
        raise ValueError("is no mask: its classes are not sorted")
    places = _unpack(found[1])
    if ((places > len(names)) & (places != IGNORED)).any():
        raise ValueError("is no mask: it has a place of no class")
    return tuple(names), places


def _unpack(packed: str) -> NDArray[np.uint8]:
    decompressor = zlib.decompressobj()
    try:
        content = decompressor.decompress(base64.b64decode(packed, validate=True), PLACES**2 + 1)
    except (binascii.Error, ValueError, zlib.error):
        raise ValueError("is no mask: its places are damaged") from None
    if len(content) != PLACES**2 or not decompressor.eof:
        raise ValueError(f"is no mask: it does not have {PLACES} x {PLACES} places")
    return np.frombuffer(content, np.uint8).reshape(PLACES, PLACES)
