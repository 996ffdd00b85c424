"""Metadata: what is known of an image beside its pixels, as text, and the numbers that a head takes of it.

A column is a number or a category. What a model needs to read it - mean and scale, or a vocabulary - is learnt from the
training images, travels in the bundle, and is applied by the one function `MetadataEncoding.encode`, in training and
prediction alike. A missing value is a signal of its own; a value that training never saw is "unknown", never an error.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

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
MAX_VALUES = 100
FEWEST_IMAGES_OF_A_VALUE = 2
FURTHEST = 5.0
_CODE_NAMES = re.compile(r"(^|_)(zip|zipcode|zip_code|postcode|postal_code|plz|id|code)$", re.IGNORECASE)
_LEAST_PART_OF_NUMBERS = 0.9


@dataclass(frozen=True)
class ColumnRequest:
    """A column that the user named; `kind` is one of COLUMN_KINDS, or empty where it is to be inferred."""

    name: str
    kind: str = ""


@dataclass(frozen=True)
class NumberColumn:
    """A number, standardised: (value - mean) / scale, at most 5 either way, and 1 beside it where it is missing."""

    name: str
    mean: float
    scale: float

    @property
    def width(self) -> int:
        """Numbers that it becomes."""
        return 2

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return float32 (n, 2)."""
        values = np.array([parse_number(text) for text in texts], dtype=np.float64)
        missing = np.isnan(values)
        scaled = np.clip((values - self.mean) / self.scale, -FURTHEST, FURTHEST)
        return np.stack([np.where(missing, 0.0, scaled), missing], axis=1).astype(np.float32)

    def describe(self) -> str:
        """Return what it is, in words."""
        return f"number, {self.mean:.4g} on average, give or take {self.scale:.3g}"


@dataclass(frozen=True)
class CategoryColumn:
    """One of some values: a 1 in the value's place, or in the last but one if it is unknown, or the last if missing."""

    name: str
    values: tuple[str, ...]

    @property
    def width(self) -> int:
        """Numbers that it becomes."""
        return len(self.values) + 2

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return float32 (n, width), one 1 in each row."""
        place_of = {value: place for place, value in enumerate(self.values)}
        unknown, missing = len(self.values), len(self.values) + 1
        places = [missing if is_missing(text) else place_of.get(text.strip(), unknown) for text in texts]
        encoded = np.zeros((len(texts), self.width), np.float32)
        encoded[np.arange(len(texts)), places] = 1.0
        return encoded

    def describe(self) -> str:
        """Return what it is, in words."""
        shown = ", ".join(self.values[:5])
        return f"category, {len(self.values)} values: {shown}{' …' if len(self.values) > 5 else ''}"


Column = NumberColumn | CategoryColumn


@dataclass(frozen=True)
class MetadataEncoding:
    """How the columns of metadata become numbers.

    Attributes:
        columns: In the order in which their texts are given.
    """

    columns: tuple[Column, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The columns' names."""
        return tuple(column.name for column in self.columns)

    @property
    def width(self) -> int:
        """Numbers of an image."""
        return sum(column.width for column in self.columns)

    def encode(self, rows: Sequence[Sequence[str]]) -> NDArray[np.float32]:
        """Return the numbers of images, float32 (n, width), from their texts, one a column."""
        columns = list(zip(*rows, strict=True)) if rows else [() for _ in self.columns]
        encoded = [column.encode(texts) for column, texts in zip(self.columns, columns, strict=True)]
        return np.concatenate(encoded, axis=1) if encoded else np.zeros((len(rows), 0), np.float32)


def fit_encoding(requests: Sequence[ColumnRequest], rows: Sequence[Sequence[str]]) -> MetadataEncoding:
    """Learn means, scales and vocabularies.

    A column counts as numbers if nine of ten of its texts are, and its name does not say that they are codes (a zip
    code, an id). A value of a category belongs to the vocabulary if two or more images have it, and it is among the 100
    most frequent.

    Args:
        requests: The columns.
        rows: The texts of the training images, one a column; at least one image.
    """
    texts = list(zip(*rows, strict=True))
    return MetadataEncoding(
        tuple(_fit_column(request, column) for request, column in zip(requests, texts, strict=True))
    )


def infer_kind(name: str, texts: Sequence[str]) -> str:
    """Return whether a column holds a NUMBER or a CATEGORY; see `fit_encoding`."""
    if name in IMAGE_FACTS:
        return IMAGE_FACTS[name]
    given = [text.strip() for text in texts if not is_missing(text)]
    if _CODE_NAMES.search(name.strip()) or any(re.match(r"0\d", text) for text in given):
        return CATEGORY
    numbers = sum(not math.isnan(parse_number(text)) for text in given)
    return NUMBER if given and numbers >= _LEAST_PART_OF_NUMBERS * len(given) else CATEGORY


def parse_metadata(text: str) -> tuple[ColumnRequest, ...]:
    """Read the setting `metadata`: names with commas between them, each with `:number` or `:category` behind it if need be.

    `image-size` stands for all facts of the image file.

    Raises:
        SettingError: A name is empty or stands twice, or a kind is unknown.
    """
    requests: list[ColumnRequest] = []
    for part in text.split(",") if text.strip() else ():
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
        requests += [ColumnRequest(each, kind if each not in IMAGE_FACTS else IMAGE_FACTS[each]) for each in names]
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


def describe_columns(encoding: MetadataEncoding, rows: Sequence[Sequence[str]]) -> list[tuple[str, str, str]]:
    """Return (name, what it is, missing values) of each column, in words; `rows` are the training images' texts."""
    missing = _count_missing(encoding, rows)
    return [
        (column.name, column.describe(), f"{number:,} of {len(rows):,}" if number else "none")
        for column, number in zip(encoding.columns, missing, strict=True)
    ]


def _count_missing(encoding: MetadataEncoding, rows: Sequence[Sequence[str]]) -> list[int]:
    encoded = encoding.encode(rows)
    ends = np.cumsum([column.width for column in encoding.columns])
    return [int(encoded[:, end - 1].sum()) for end in ends]


def _fit_column(request: ColumnRequest, texts: Sequence[str]) -> Column:
    kind = request.kind or infer_kind(request.name, texts)
    return _fit_number(request.name, texts) if kind == NUMBER else _fit_category(request.name, texts)


def _fit_number(name: str, texts: Sequence[str]) -> NumberColumn:
    values = np.array([parse_number(text) for text in texts], dtype=np.float64)
    known = values[~np.isnan(values)]
    if not len(known):
        return NumberColumn(name, 0.0, 1.0)
    spread = float(known.std())
    return NumberColumn(name, float(known.mean()), spread if spread > 0 else 1.0)


def _fit_category(name: str, texts: Sequence[str]) -> CategoryColumn:
    counts = Counter(text.strip() for text in texts if not is_missing(text))
    frequent = sorted(counts, key=lambda value: (-counts[value], value))[:MAX_VALUES]
    return CategoryColumn(name, tuple(value for value in frequent if counts[value] >= FEWEST_IMAGES_OF_A_VALUE))


def texts_of(values: Mapping[str, str], names: Sequence[str]) -> tuple[str, ...]:
    """Return the texts of the named columns; a column that is not there is missing."""
    return tuple(values.get(name, "") for name in names)
