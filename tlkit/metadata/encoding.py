"""Encode metadata, from text to the numbers that a head takes as input.

A column is a number or a category. Its mean, scale and range, or its vocabulary, are fitted on the training images,
saved in the bundle, and applied by `MetadataEncoding.encode` in both training and prediction. A missing value has its
own input; a value that training never saw is "unknown", never an error, and `tlkit.metadata.oddities` counts it.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from tlkit.metadata.categories import BOOLEAN_DIGITS, FALSE, TRUE, fold_category, is_boolean
from tlkit.metadata.columns import CATEGORY, IMAGE_FACTS, NUMBER, ColumnRequest
from tlkit.metadata.numbers import are_plain, is_missing, parse_number

MAX_VALUES = 100
MAX_VALUE_LENGTH = 80
MIN_IMAGES_OF_A_VALUE = 2
FURTHEST = 5.0
NO_DATA_NUMBERS = frozenset(
    {sign * float("9" * digits) for sign in (-1, 1) for digits in range(2, 8)} | {-32768.0, 32767.0, -2147483648.0}
)
"""Common no-data values of measuring programs."""
_CODE_NAMES = re.compile(r"(^|_)(zip|zipcode|zip_code|postcode|postal_code|plz|id|code)$", re.IGNORECASE)
_OUTLIER_RANGES = 15.0


@dataclass(frozen=True)
class NumberColumn:
    """A standardised number: (value - mean) / scale, clipped to -5..5, plus an input that is 1 if the value is missing.

    Attributes:
        name: The column's name.
        mean: Mean of the training values, without outliers.
        scale: Their standard deviation; 1 if they are all equal.
        low: The smallest of them.
        high: The largest of them.
    """

    name: str
    mean: float
    scale: float
    low: float
    high: float

    @property
    def width(self) -> int:
        """Number of encoded inputs."""
        return 2

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return float32 (n, 2)."""
        scaled = np.clip(self.standardise(texts), -FURTHEST, FURTHEST)
        missing = np.isnan(scaled)
        return np.stack([np.where(missing, 0.0, scaled), missing], axis=1).astype(np.float32)

    def standardise(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """Return (value - mean) / scale without clipping, float64 (n,); NaN where a value is missing."""
        values = np.array([self.parse(text) for text in texts], dtype=np.float64)
        return (values - self.mean) / self.scale

    def parse(self, text: str) -> float:
        """Parse the value of a cell; NaN if it is missing.

        In a column of 0 and 1, true and false are 1 and 0. A number such as -9999 means no data if it is further from
        all training values than they are from each other, or is negative although they are not.
        """
        value = parse_number(text)
        if math.isnan(value) and 0 <= self.low <= self.high <= 1:
            return {TRUE: 1.0, FALSE: 0.0}.get(fold_category(text), math.nan)
        return math.nan if self.is_no_data(value) else value

    def is_no_data(self, value: float) -> bool:
        """Return whether a number means no data; see `parse`."""
        if value not in NO_DATA_NUMBERS:
            return False
        distance = max(self.low - value, value - self.high)
        return distance > self.high - self.low or value < 0 <= self.low

    def describe(self) -> str:
        """Describe the column in words."""
        return f"number, mean {self.mean:.4g}, standard deviation {self.scale:.3g}"


@dataclass(frozen=True)
class CategoryColumn:
    """A one-hot category; the last two inputs stand for an unknown and for a missing value.

    Attributes:
        name: The column's name.
        values: The vocabulary, each value in its most frequent spelling; see `tlkit.metadata.categories`.
    """

    name: str
    values: tuple[str, ...]

    @property
    def width(self) -> int:
        """Number of encoded inputs."""
        return len(self.values) + 2

    @cached_property
    def places(self) -> Mapping[str, int]:
        """The input that each value of the vocabulary sets to 1, by its normalized form."""
        places = {fold_category(value): place for place, value in enumerate(self.values)}
        if is_boolean(places):
            places |= {digit: places[word] for digit, word in BOOLEAN_DIGITS.items() if word in places}
        return places

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return float32 (n, width), one 1 in each row."""
        unknown, missing = len(self.values), len(self.values) + 1
        places = [missing if is_missing(text) else self.places.get(fold_category(text), unknown) for text in texts]
        encoded = np.zeros((len(texts), self.width), np.float32)
        encoded[np.arange(len(texts)), places] = 1.0
        return encoded

    def knows(self, text: str) -> bool:
        """Return whether a value, in any spelling, is in the vocabulary."""
        return fold_category(text) in self.places

    def describe(self) -> str:
        """Describe the column in words."""
        shown = ", ".join(self.values[:5])
        return f"category, {len(self.values)} values: {shown}{' …' if len(self.values) > 5 else ''}"


Column = NumberColumn | CategoryColumn


@dataclass(frozen=True)
class MetadataEncoding:
    """The encoding of all metadata columns.

    Attributes:
        columns: The columns, in the order of the texts.
    """

    columns: tuple[Column, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The columns' names."""
        return tuple(column.name for column in self.columns)

    @property
    def requests(self) -> tuple[ColumnRequest, ...]:
        """The columns' names and kinds."""
        return tuple(
            ColumnRequest(column.name, NUMBER if isinstance(column, NumberColumn) else CATEGORY)
            for column in self.columns
        )

    @property
    def width(self) -> int:
        """Number of encoded inputs per image."""
        return sum(column.width for column in self.columns)

    def encode(self, rows: Sequence[Sequence[str]]) -> NDArray[np.float32]:
        """Encode the texts of images, one per column, as float32 (n, width)."""
        columns = list(zip(*rows, strict=True)) if rows else [() for _ in self.columns]
        encoded = [column.encode(texts) for column, texts in zip(self.columns, columns, strict=True)]
        return np.concatenate(encoded, axis=1) if encoded else np.zeros((len(rows), 0), np.float32)


NO_METADATA = MetadataEncoding(())


def fit_encoding(requests: Sequence[ColumnRequest], rows: Sequence[Sequence[str]]) -> MetadataEncoding:
    """Fit means, scales, ranges and vocabularies.

    A column is numeric if nine in ten of its texts are numbers and its name does not suggest codes (a zip code, an id).
    Mean and scale ignore outliers, so that a typo does not flatten the rest. A category's value is in the vocabulary if
    two or more images have it and it is among the 100 most frequent.

    Args:
        requests: The columns.
        rows: The texts of the training images, one per column; at least one image.
    """
    texts = list(zip(*rows, strict=True))
    return MetadataEncoding(
        tuple(_fit_column(request, column) for request, column in zip(requests, texts, strict=True))
    )


def infer_kind(name: str, texts: Sequence[str]) -> str:
    """Infer whether a column is a NUMBER or a CATEGORY; see `fit_encoding`."""
    if name in IMAGE_FACTS:
        return IMAGE_FACTS[name]
    given = [text.strip() for text in texts if not is_missing(text)]
    if is_code_name(name) or any(re.match(r"0\d", text) for text in given):
        return CATEGORY
    return NUMBER if given and are_plain(given) else CATEGORY


def is_code_name(name: str) -> bool:
    """Return whether a column name suggests that its numbers are codes."""
    return _CODE_NAMES.search(name.strip()) is not None


def describe_columns(encoding: MetadataEncoding, rows: Sequence[Sequence[str]]) -> list[tuple[str, str, str]]:
    """Return (name, description, missing values) of each column, in words; `rows` are the training images' texts."""
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
    return fit_number(request.name, texts) if kind == NUMBER else _fit_category(request.name, texts)


def fit_number(name: str, texts: Sequence[str]) -> NumberColumn:
    """Fit a numeric column; see `fit_encoding`."""
    values = np.array([parse_number(text) for text in texts], dtype=np.float64)
    values = values[~np.isnan(values)]
    plausible = [value for value in values if value not in NO_DATA_NUMBERS]
    if not plausible:
        plausible = list(values) or [0.0]
    # These numbers mean no data only if the other values confirm it.
    column = _fit_moments(name, np.array(plausible))
    return _fit_moments(name, np.array([value for value in values if not column.is_no_data(value)] or plausible))


def _fit_moments(name: str, values: NDArray[np.float64]) -> NumberColumn:
    middle = np.median(values)
    low, high = np.quantile(values, [0.25, 0.75])
    reach = high - low
    if reach == 0 and np.ptp(values) > 0:
        # More than half of the values are equal, so use the others' median distance from them instead of quartiles.
        distances = np.abs(values - middle)
        reach = float(np.median(distances[distances > 0]))
    near = values[np.abs(values - middle) <= _OUTLIER_RANGES * reach]
    # Rounding can give equal numbers a deviation slightly above 0.
    spread = float(near.std()) if np.ptp(near) > 0 else 0.0
    return NumberColumn(name, float(near.mean()), spread or 1.0, float(near.min()), float(near.max()))


def _fit_category(name: str, texts: Sequence[str]) -> CategoryColumn:
    spellings = Counter(" ".join(text.split()) for text in texts if not is_missing(text))
    groups: dict[str, Counter[str]] = {}
    for spelling, number in spellings.items():
        groups.setdefault(fold_category(spelling), Counter())[spelling] = number
    if is_boolean(groups):
        for digit, word in BOOLEAN_DIGITS.items():
            if digit in groups:
                groups.setdefault(word, Counter()).update(groups.pop(digit))
    counts = {_choose_spelling(folded, group): group.total() for folded, group in groups.items()}
    frequent = sorted(counts, key=lambda value: (-counts[value], value))[:MAX_VALUES]
    usable = [value for value in frequent if value.isprintable() and len(value) <= MAX_VALUE_LENGTH]
    return CategoryColumn(name, tuple(value for value in usable if counts[value] >= MIN_IMAGES_OF_A_VALUE))


def _choose_spelling(folded: str, spellings: Counter[str]) -> str:
    """Return the most frequent spelling of a value; 1 and 0 do not count as spellings of true and false."""
    own = {spelling: number for spelling, number in spellings.items() if fold_category(spelling) == folded}
    return min(own, key=lambda spelling: (-own[spelling], spelling), default=folded)
