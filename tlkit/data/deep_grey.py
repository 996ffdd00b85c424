"""Grey pictures of more than 8 bits: which of their values is black, and which is white.

Microscopes, thermal cameras and exports from DICOM write 10, 12 or 14 bits into 16, and floats of any range. What is
white there does not stand in the file; it follows from the values of the whole data set, so that all its pictures are
scaled alike. It is saved with the model, and new pictures are scaled by it.
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
"""White of 8, 10, 12, 14 and 16 bits."""
OUTLIER_FRACTION = 0.001
"""Part of a picture's pixels, at either end, that decides nothing: hot pixels and burnt-in lettering."""
_MEASURED_PIXELS = 2**22
_BITS_PER_SAMPLE = 258  # TIFF tag


class BrighterThanWhiteError(Exception):
    """A picture is of another depth than those that the model was trained on; says so."""


def find_grey_kind(picture: Image.Image) -> str | None:
    """Return the kind of a decoded picture's deep grey, one of GREY_KINDS; None if it has none."""
    tags: Any = getattr(picture, "tag_v2", {})
    if tags.get(_BITS_PER_SAMPLE) == (12,):
        return DEEP_12
    if picture.mode.startswith("I;16") or (picture.format == "PPM" and picture.mode == "I"):
        return DEEP_16
    return {"I": DEEP_32, "F": DEEP_FLOAT}.get(picture.mode)


def measure_grey(picture: Image.Image) -> GreyRange | None:
    """Return the least and the greatest value of a decoded picture's deep grey, but for outliers; None if it has none."""
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

    Whole numbers that are never negative and fit into 16 bits are black at 0 and white at the least of WHITE_LEVELS that
    none of them exceeds. Others are stretched from the least to the greatest that there is.
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
    """Return how to scale a picture.

    Args:
        measured: Its own least and greatest value.
        ranges: Those of the data set. A kind that is not among them is scaled by the picture's own values.

    Raises:
        BrighterThanWhiteError: Its 16-bit values lie beyond the white of the data set.
    """
    known = next((item for item in ranges if item.kind == measured.kind), None)
    if known is None:
        return choose_grey_ranges([measured])[0]
    if known.kind == DEEP_16 and measured.white > known.white:
        raise BrighterThanWhiteError(
            f"its grey goes up to {measured.white:,.0f}, where {known.white:,.0f} is the model's white: "
            "another bit depth than in training"
        )
    return known


def scale_grey(picture: Image.Image, grey: GreyRange) -> Image.Image:
    """Return a deep grey picture, or a part of one, as 8-bit grey."""
    values = np.asarray(picture)
    if grey.kind != DEEP_FLOAT and grey.black == 0 and grey.white > 0:
        white = int(grey.white)
        scaled = (values.astype(np.int64).clip(0, white) * 510 + white) // (2 * white)
        return Image.fromarray(scaled.astype(np.uint8))
    with np.errstate(invalid="ignore"):  # damaged bytes make signalling NaNs
        floats = values.astype(np.float64)
    # Halved: the distance of the two largest floats of opposite sign is infinite.
    span = grey.white / 2 - grey.black / 2
    if span == 0:
        return Image.new("L", picture.size)
    finite = np.where(np.isfinite(floats), floats, grey.black)
    fractions: NDArray[Any] = np.clip((finite / 2 - grey.black / 2) / span, 0, 1)
    return Image.fromarray(np.rint(fractions * 255).astype(np.uint8))


def describe_grey(ranges: Sequence[GreyRange], measured: Sequence[GreyRange]) -> tuple[str, ...]:
    """Return what the user ought to know of a data set's deep greys, one sentence each."""
    sentences = []
    for item in ranges:
        number = sum(other.kind == item.kind for other in measured)
        files = "1 picture has" if number == 1 else f"{number:,} pictures have"
        sentences.append(
            f"{files} {item.kind} grey: {item.black:,.6g} is taken for black and {item.white:,.6g} for white, "
            "in training and in prediction."
        )
    return tuple(sentences)


def hash_grey(ranges: Sequence[GreyRange]) -> str:
    """Return 5 characters that tell ranges apart; nothing for none."""
    text = ";".join(f"{item.kind},{item.black!r},{item.white!r}" for item in ranges)
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest())[:5].decode() if text else ""
