"""Grey images of more than 8 bits: which of their values are black and white.

Microscopes, thermal cameras and DICOM exports store 10, 12 or 14 bits in 16, or floats of any range. The file does not
say which value is white, so the range is taken from the whole data set and all its images are scaled alike. The range
is saved with the model, and new images are scaled by it.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tlkit.outputs import DEEP_12, DEEP_16, DEEP_32, DEEP_FLOAT, GREY_KINDS, GreyRange

WHITE_LEVELS = (255, 1023, 4095, 16383, 65535)
"""The white level of 8, 10, 12, 14 and 16 bits."""
OUTLIER_FRACTION = 0.001
"""Fraction of an image's pixels ignored at each end as outliers: hot pixels and burnt-in text."""
_MEASURED_PIXELS = 2**22
_BITS_PER_SAMPLE = 258  # TIFF tag


class BrighterThanWhiteError(Exception):
    """An image has another bit depth than the model's training images."""


def find_grey_kind(picture: Image.Image) -> str | None:
    """Return the kind of a decoded image's deep grey, one of GREY_KINDS; None if it has none."""
    tags: Any = getattr(picture, "tag_v2", {})
    if tags.get(_BITS_PER_SAMPLE) == (12,):
        return DEEP_12
    if picture.mode.startswith("I;16") or (picture.format == "PPM" and picture.mode == "I"):
        return DEEP_16
    return {"I": DEEP_32, "F": DEEP_FLOAT}.get(picture.mode)


def measure_grey(picture: Image.Image) -> GreyRange | None:
    """Return the minimum and maximum of a decoded image's deep grey without outliers; None if it has none."""
    kind = find_grey_kind(picture)
    if kind is None:
        return None
    values = np.asarray(picture)
    step = 1 + int((values.size / _MEASURED_PIXELS) ** 0.5)
    values = np.sort(values[::step, ::step], axis=None)
    finite = values[np.isfinite(values)]
    if not finite.size:
        return GreyRange(kind, 0.0, 0.0)
    num_outliers = int(finite.size * OUTLIER_FRACTION)
    return GreyRange(kind, float(finite[num_outliers]), float(finite[-1 - num_outliers]))


def choose_grey_ranges(measured: Iterable[GreyRange]) -> tuple[GreyRange, ...]:
    """Return one range for each kind of deep grey in a data set.

    For non-negative integers that fit into 16 bits, black is 0 and white is the lowest of WHITE_LEVELS that no value
    exceeds. Other values are stretched from minimum to maximum.
    """
    by_kind: dict[str, list[GreyRange]] = {}
    for item in measured:
        by_kind.setdefault(item.kind, []).append(item)
    return tuple(_choose_range(kind, by_kind[kind]) for kind in GREY_KINDS if kind in by_kind)


def _choose_range(kind: str, measured: Sequence[GreyRange]) -> GreyRange:
    low, high = min(item.black for item in measured), max(item.white for item in measured)
    if kind == DEEP_FLOAT or low < 0 or high > WHITE_LEVELS[-1]:
        return GreyRange(kind, low, high)
    return GreyRange(kind, 0.0, float(next(level for level in WHITE_LEVELS if high <= level)))


def choose_scale(measured: GreyRange, ranges: Sequence[GreyRange]) -> GreyRange:
    """Return the range by which to scale an image.

    Args:
        measured: The image's own minimum and maximum.
        ranges: The ranges of the data set. A kind that has none is scaled by the image's own range.

    Raises:
        BrighterThanWhiteError: Its 16-bit values exceed the white level of the data set.
    """
    known = next((item for item in ranges if item.kind == measured.kind), None)
    if known is None:
        return choose_grey_ranges([measured])[0]
    if known.kind == DEEP_16 and measured.white > known.white:
        raise BrighterThanWhiteError(
            f"its grey goes up to {measured.white:,.0f}, but the model's white is {known.white:,.0f}: "
            "the bit depth differs from training"
        )
    return known


def scale_grey(picture: Image.Image, grey: GreyRange) -> Image.Image:
    """Convert a deep grey image, or a part of one, to 8-bit grey."""
    values = np.asarray(picture)
    if grey.kind != DEEP_FLOAT and grey.black == 0 and grey.white > 0:
        white = int(grey.white)
        scaled = (values.astype(np.int64).clip(0, white) * 510 + white) // (2 * white)
        return Image.fromarray(scaled.astype(np.uint8))
    with np.errstate(invalid="ignore"):  # damaged bytes can give signalling NaNs
        floats = values.astype(np.float64)
    # Halved, because the difference of the two largest floats of opposite sign is infinite.
    span = grey.white / 2 - grey.black / 2
    if span == 0:
        return Image.new("L", picture.size)
    finite = np.where(np.isfinite(floats), floats, grey.black)
    fractions: NDArray[Any] = np.clip((finite / 2 - grey.black / 2) / span, 0, 1)
    return Image.fromarray(np.rint(fractions * 255).astype(np.uint8))


def describe_grey(ranges: Sequence[GreyRange], measured: Sequence[GreyRange]) -> tuple[str, ...]:
    """Return notices about a data set's deep grey, one sentence each."""
    sentences = []
    for item in ranges:
        number = sum(other.kind == item.kind for other in measured)
        files = "1 image has" if number == 1 else f"{number:,} images have"
        sentences.append(
            f"{files} {item.kind} grey: {item.black:,.6g} is black and {item.white:,.6g} is white, "
            "in training and in prediction."
        )
    return tuple(sentences)


def hash_grey(ranges: Sequence[GreyRange]) -> str:
    """Return a 5-character hash of the ranges; empty if there are none."""
    text = ";".join(f"{item.kind},{item.black!r},{item.white!r}" for item in ranges)
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest())[:5].decode() if text else ""
