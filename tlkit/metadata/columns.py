"""The columns of metadata that a user names, and what their cells say; no array is needed for it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tlkit.errors import SettingError

NUMBER, CATEGORY = "number", "category"
COLUMN_KINDS = (NUMBER, CATEGORY)

IMAGE_FACTS = {
    "image-width": NUMBER,
    "image-height": NUMBER,
    "image-aspect": NUMBER,
    "image-bytes": NUMBER,
    "image-shape": CATEGORY,
    "image-format": CATEGORY,
    "image-mode": CATEGORY,
    "image-camera": CATEGORY,
}
"""Facts of an image file that can serve as metadata: edges of the upright picture in pixels, width by height, bytes,
"640x480", Pillow's names of format and mode, make and model of the camera by EXIF."""
ALL_IMAGE_FACTS = "image-size"

MISSING_SPELLINGS = frozenset({"", "na", "n/a", "nan", "null", "none", "?", "-"})


@dataclass(frozen=True)
class ColumnRequest:
    """A column that the user named; `kind` is one of COLUMN_KINDS, or empty where it is to be inferred."""

    name: str
    kind: str = ""


def parse_metadata(text: str | None) -> tuple[ColumnRequest, ...]:
    """Read the setting `metadata`: names with commas between them, each with `:number` or `:category` behind it if need be.

    `image-size` stands for all facts of the image file.

    Raises:
        SettingError: A name is empty or stands twice, or a kind is unknown.
    """
    requests: list[ColumnRequest] = []
    for part in text.split(",") if text else ():
        name, colon, kind = part.strip().rpartition(":")
        if not colon:
            name, kind = kind, ""
        if colon and kind not in COLUMN_KINDS:
            raise SettingError(
                f"metadata: {part.strip()!r} ends in {kind!r}.",
                expected=f"NAME, NAME:{NUMBER} or NAME:{CATEGORY}",
                fix="correct the kind, or leave it out to have it inferred.",
            )
        if not name:
            raise SettingError(
                f"metadata is {text!r}: a name is empty.",
                expected="names of columns with commas between them",
                fix="remove the comma too many.",
            )
        names = tuple(IMAGE_FACTS) if name == ALL_IMAGE_FACTS else (name,)
        requests += [ColumnRequest(each, IMAGE_FACTS.get(each, kind)) for each in names]
    twice = [name for name, number in Counter(request.name for request in requests).items() if number > 1]
    if twice:
        raise SettingError(
            f"metadata is {text!r}: {twice[0]} stands twice.",
            expected="each column once",
            fix="leave one of them out.",
        )
    return tuple(requests)


def is_missing(text: str) -> bool:
    """Tell whether a cell says that the value is not known."""
    return text.strip().lower() in MISSING_SPELLINGS


def parse_number(text: str) -> float:
    """Return the number in a cell; NaN where there is none or it is not finite."""
    try:
        value = math.nan if is_missing(text) else float(text)
    except ValueError:
        return math.nan
    return value if math.isfinite(value) else math.nan


def texts_of(values: Mapping[str, str], names: Sequence[str]) -> tuple[str, ...]:
    """Return the texts of the named columns; a column that is not there is missing."""
    return tuple(values.get(name, "") for name in names)
