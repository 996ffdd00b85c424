"""Metadata: what is known of an image beside its pixels, as text, and the numbers that a head takes of it.

A column is a number or a category. What a model needs to read it - mean and scale, or a vocabulary - is learnt from the
training images, travels in the bundle, and is applied by the one function `MetadataEncoding.encode`, in training and
prediction alike. A missing value is a signal of its own; a value that training never saw is "unknown", never an error.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tlkit.metadata.columns import (
    CATEGORY,
    IMAGE_FACTS,
    NUMBER,
    ColumnRequest,
    is_missing,
    parse_number,
)

MAX_VALUES = 100
MAX_VALUE_LENGTH = 80
FEWEST_IMAGES_OF_A_VALUE = 2
FURTHEST = 5.0
_CODE_NAMES = re.compile(r"(^|_)(zip|zipcode|zip_code|postcode|postal_code|plz|id|code)$", re.IGNORECASE)
_LEAST_PART_OF_NUMBERS = 0.9


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


NO_METADATA = MetadataEncoding(())


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
    # By rounding, equal numbers may have a deviation that is not quite 0.
    spread = float(known.std()) if np.ptp(known) > 0 else 0.0
    return NumberColumn(name, float(known.mean()), spread or 1.0)


def _fit_category(name: str, texts: Sequence[str]) -> CategoryColumn:
    counts = Counter(text.strip() for text in texts if not is_missing(text))
    frequent = sorted(counts, key=lambda value: (-counts[value], value))[:MAX_VALUES]
    usable = [value for value in frequent if value.isprintable() and len(value) <= MAX_VALUE_LENGTH]
    return CategoryColumn(name, tuple(value for value in usable if counts[value] >= FEWEST_IMAGES_OF_A_VALUE))
