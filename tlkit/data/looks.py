"""Decode each file once, to a small grey picture and measures of its light, sharpness and text.

Files are decoded in threads, reduced where their format allows it, within the memory that all decoders share. For other
uses, such as a thumbnail in colour, use `ImageFile`.
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tlkit.data.image_file import ImageFile
from tlkit.data.images import UnusableImage
from tlkit.data.manifest import ImageRecord, SkippedFile
from tlkit.data.records import Progress
from tlkit.data.strokes import measure_strokes
from tlkit.outputs import GreyRange
from tlkit.waiting import waiting_for

THUMBNAIL_EDGE = 64
SHARPNESS_EDGE = 256
"""Longer edge, in pixels, at which sharpness is measured: about what a network sees."""
_DECODED_FOR = (SHARPNESS_EDGE * 3 // 8, SHARPNESS_EDGE * 3 // 8)
"""A photo of 3 to 4 is then decoded at no less than that edge."""
_FILTER_EDGE = 11
_CHUNK = 500


@dataclass(frozen=True, eq=False)
class Looks:
    """The looks of pictures. Values of a file that cannot be decoded are zeros.

    Attributes:
        is_usable: Whether the file could be decoded, bool (n,).
        grey: The whole upright picture, stretched to a square: uint8 (n, 64, 64), 0..255.
        width: Upright width in pixels, int64 (n,).
        height: Upright height in pixels, int64 (n,).
        brightness: Mean of the grey picture, float32 (n,), 0..1.
        contrast: Standard deviation of the grey picture, float32 (n,), 0..0.5; 0 for one that is blank.
        sharpness: Float32 (n,), 0..1: the part of the differences between neighbouring pixels that blurring removes; see
            `measure_sharpness`.
        strokes: Float32 (n,), 0..1: the part that strokes cover in a picture that shows nothing else, such as a page of
            text; 0 for all others. See `measure_strokes`.
        pixel_hash: Equal for files of the same format and size with the same pixels, uint64 (n,).
        taken: When the photo was taken, by the camera's clock: datetime64[s] (n,), NaT where that is not known.
        cameras: Make and model of each camera; empty where they are not known.
        failures: The files that cannot be decoded, or have changed, each with its reason.
    """

    is_usable: NDArray[np.bool_]
    grey: NDArray[np.uint8]
    width: NDArray[np.int64]
    height: NDArray[np.int64]
    brightness: NDArray[np.float32]
    contrast: NDArray[np.float32]
    sharpness: NDArray[np.float32]
    strokes: NDArray[np.float32]
    pixel_hash: NDArray[np.uint64]
    taken: NDArray[np.datetime64]
    cameras: tuple[str, ...]
    failures: tuple[SkippedFile, ...]

    def __len__(self) -> int:
        return len(self.is_usable)

    def take(self, places: Sequence[int]) -> Looks:
        """Return the looks of the pictures at some positions."""
        arrays = {
            field.name: getattr(self, field.name)[list(places)]
            for field in dataclasses.fields(self)
            if field.name not in ("cameras", "failures")
        }
        return Looks(**arrays, cameras=tuple(self.cameras[place] for place in places), failures=())


@dataclass(frozen=True, eq=False)
class _Look:
    """The looks of one picture; attributes as in `Looks`."""

    grey: NDArray[np.uint8]
    width: int
    height: int
    brightness: float
    contrast: float
    sharpness: float
    strokes: float
    pixel_hash: int
    taken: datetime | None
    camera: str


def read_looks(records: Sequence[ImageRecord], *, grey: Sequence[GreyRange] = (), progress: Progress) -> Looks:
    """Decode every file once and return the looks of its picture, about 5 kB each.

    Args:
        records: The files; one whose bytes have changed since it was checked counts as a failure.
        grey: The data set's ranges for grey of more than 8 bits.
        progress: Shows the progress.
    """
    looks = _make_empty_looks(len(records))
    cameras, failures = [""] * len(records), []
    with ThreadPoolExecutor(os.cpu_count()) as pool, progress(len(records)) as advance:
        try:
            for start in range(0, len(records), _CHUNK):
                chunk = records[start : start + _CHUNK]
                futures = [pool.submit(_look_at, record, grey) for record in chunk]
                for row, (record, future) in enumerate(zip(chunk, futures, strict=True), start):
                    with waiting_for(f"{record.path} to be read and decoded"):
                        found = future.result()
                    if isinstance(found, SkippedFile):
                        failures.append(found)
                    else:
                        _store(looks, row, found)
                        cameras[row] = found.camera
                    advance(1)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return Looks(**looks, cameras=tuple(cameras), failures=tuple(failures))


def _make_empty_looks(num_rows: int) -> dict[str, NDArray[Any]]:
    types = {"width": np.int64, "height": np.int64, "pixel_hash": np.uint64, "is_usable": np.bool_}
    figures = dict.fromkeys(("brightness", "contrast", "sharpness", "strokes"), np.float32)
    return {
        "grey": np.zeros((num_rows, THUMBNAIL_EDGE, THUMBNAIL_EDGE), np.uint8),
        "taken": np.full(num_rows, "NaT", "datetime64[s]"),
        **{name: np.zeros(num_rows, dtype) for name, dtype in (types | figures).items()},
    }


def _store(looks: dict[str, NDArray[Any]], row: int, look: _Look) -> None:
    looks["is_usable"][row] = True
    for name in looks.keys() - {"is_usable", "taken"}:
        looks[name][row] = getattr(look, name)
    if look.taken is not None:
        looks["taken"][row] = np.datetime64(look.taken, "s")


def _look_at(record: ImageRecord, grey: Sequence[GreyRange]) -> _Look | SkippedFile:
    try:
        image = ImageFile.read(record.path, grey, expected_sha256=record.sha256)
        picture = image.decode(_DECODED_FOR)
    except UnusableImage as unusable:
        return SkippedFile(record.path, unusable.reason)
    facts = image.facts
    digest = hashlib.sha256(picture.tobytes())
    digest.update(f"{picture.size}".encode())
    grey_picture = picture.convert("L")
    # Interpolation would blur a tiny picture, and so tell it from the one that it was shrunk from.
    is_tiny = max(grey_picture.size) <= THUMBNAIL_EDGE // 2
    filtering = Image.Resampling.BOX if is_tiny else Image.Resampling.BILINEAR
    thumbnail = np.asarray(grey_picture.resize((THUMBNAIL_EDGE, THUMBNAIL_EDGE), filtering))
    grey_picture.thumbnail((SHARPNESS_EDGE, SHARPNESS_EDGE), Image.Resampling.BILINEAR)
    values = np.asarray(grey_picture, np.float32) / 255
    brightness, contrast = _measure_light(grey_picture)
    return _Look(
        thumbnail,
        facts.width,
        facts.height,
        brightness,
        contrast,
        measure_sharpness(values),
        measure_strokes(np.asarray(grey_picture)),
        int.from_bytes(digest.digest()[:8], "little"),
        facts.taken,
        facts.camera,
    )


def _measure_light(grey_picture: Image.Image) -> tuple[float, float]:
    """Return the mean and the standard deviation of a grey picture, of 0..1."""
    counts = np.array(grey_picture.histogram(), np.float64)
    levels = np.arange(256) / 255
    mean = counts @ levels / counts.sum()
    return float(mean), float(np.sqrt(counts @ (levels - mean) ** 2 / counts.sum()))


def measure_sharpness(grey: NDArray[np.floating[Any]]) -> float:
    """Return how sharp a picture is, 0..1, whatever it shows; 0 for one without any edge.

    A blurred picture changes little when it is blurred again. The measure is the part of the absolute differences between
    neighbouring pixels that a mean over 11 pixels removes, in the direction in which that is less (Crété-Roffet et al.
    2007, "The blur effect").

    Args:
        grey: Float (height, width).
    """
    return min(_measure_loss(grey, axis) for axis in (0, 1))


def _measure_loss(values: NDArray[np.floating[Any]], axis: int) -> float:
    """Return the part of the differences along an axis, 0..1, that a running mean removes."""
    length, reach = values.shape[axis] - 1, _FILTER_EDGE // 2

    def cut(array: NDArray[np.floating[Any]], start: int, stop: int) -> NDArray[np.floating[Any]]:
        return array[start:stop] if axis == 0 else array[:, start:stop]

    before = np.subtract(cut(values, 1, length + 1), cut(values, 0, length))
    np.abs(before, out=before)
    total = float(before.sum())
    if total == 0:
        return 0.0
    first, last = (np.repeat(cut(values, place, place + 1), reach, axis=axis) for place in (0, length))
    padded = np.concatenate([first, values, last], axis=axis)
    # Two neighbouring means differ by what leaves the one and enters the other.
    change = np.subtract(cut(padded, _FILTER_EDGE, _FILTER_EDGE + length), cut(padded, 0, length))
    np.abs(change, out=change)
    change /= np.float32(_FILTER_EDGE)
    before -= change
    return float(np.maximum(before, 0, out=before).sum()) / total
