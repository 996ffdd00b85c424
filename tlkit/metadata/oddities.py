"""Count unusual metadata values: unseen in training, far outside the range, no data, or not a number."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from tlkit.metadata.encoding import FURTHEST, CategoryColumn, MetadataEncoding, NumberColumn
from tlkit.metadata.numbers import is_missing, parse_number

UNSEEN, NO_NUMBER, NO_DATA, FAR = "unseen", "no number", "no data", "far"
_DATE = re.compile(r"\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}[-/.]\d{1,2}[-/.]\d{4}")


@dataclass
class OddValues:
    """Counts unusual values of images, row by row.

    Attributes:
        encoding: How the model reads its metadata.
    """

    encoding: MetadataEncoding
    _counts: Counter[tuple[int, str]] = field(default_factory=Counter)
    _examples: dict[tuple[int, str], str] = field(default_factory=dict)
    _num_rows: int = 0

    def add(self, row: Sequence[str]) -> None:
        """Count the unusual values of an image, given as one text per column."""
        self._num_rows += 1
        for place, (column, text) in enumerate(zip(self.encoding.columns, row, strict=True)):
            kind = "" if is_missing(text) else _find_oddity(column, text)
            if kind:
                self._counts[place, kind] += 1
                self._examples.setdefault((place, kind), text[:40])

    def describe(self, *, kinds: Sequence[str] = (UNSEEN, NO_NUMBER, NO_DATA, FAR)) -> list[str]:
        """Return one sentence for each column and kind."""
        return [
            _describe(self.encoding.columns[place], kind, number, self._num_rows, self._examples[place, kind])
            for (place, kind), number in sorted(self._counts.items())
            if kind in kinds
        ]


def describe_odd_training_values(encoding: MetadataEncoding, rows: Sequence[Sequence[str]]) -> list[str]:
    """Return sentences about unusual numbers in the training data; rare categories are not reported there."""
    odd = OddValues(encoding)
    for row in rows:
        odd.add(row)
    return odd.describe(kinds=(NO_NUMBER, NO_DATA, FAR))


def describe_useless_column(column: NumberColumn | CategoryColumn, texts: Sequence[str]) -> str:
    """Return why a column is useless for new images, given its training texts; empty if it may be useful."""
    given = [text.strip() for text in texts if not is_missing(text)]
    nothing = f"{column.name} has no value in any training image, so it carries no information."
    if isinstance(column, NumberColumn):
        if all(math.isnan(column.parse(text)) for text in given):
            return nothing
        alike = f"{column.low:g}" if column.low == column.high else ""
    elif not given:
        return nothing
    elif all(map(_DATE.match, given)):
        return (
            f"{column.name} contains dates. Each date is a category, and new dates are unknown; put the year, the "
            "month or the hour into separate columns."
        )
    elif not column.values:
        return (
            f"Hardly any two training images have the same {column.name}, so it carries no information; if the values "
            "are numbers, write them as 1234.5."
        )
    else:
        alike = repr(column.values[0]) if len(column.values) == 1 and all(map(column.knows, given)) else ""
    what = "it carries no information" if len(given) == len(texts) else "only its absence carries information"
    return f"{column.name} is {alike} in all training images that have it, so {what}." if alike else ""


def _find_oddity(column: NumberColumn | CategoryColumn, text: str) -> str:
    if isinstance(column, CategoryColumn):
        return "" if column.knows(text) else UNSEEN
    value = column.standardise([text])[0]
    if math.isnan(value):
        stands_for_none = not math.isnan(parse_number(text)) or _is_huge(text)
        return NO_DATA if stands_for_none else NO_NUMBER
    return FAR if abs(value) > FURTHEST and not column.low <= column.parse(text) <= column.high else ""


def _is_huge(text: str) -> bool:
    try:
        return not math.isnan(float(text))
    except ValueError:
        return False


def _describe(column: NumberColumn | CategoryColumn, kind: str, number: int, num_rows: int, example: str) -> str:
    share = f"{number:,} of {num_rows:,} values"
    if isinstance(column, CategoryColumn):
        return f"{column.name}: {share} were never seen in training and count as unknown (such as {example!r})."
    if kind == NO_NUMBER:
        return f"{column.name}: {share} are not numbers and count as missing (such as {example!r})."
    if kind == NO_DATA:
        return f"{column.name}: {share} mean no data and count as missing (such as {example})."
    return (
        f"{column.name}: {share} are far outside the usual range, {column.low:.4g} to {column.high:.4g}, and are "
        f"clipped (such as {example})."
    )
