"""Parse numbers in text, and detect the notation of a column: `1,5`, `1.234,5`, `1,234.5`, `12 %`, `€ 3`.

The notation is detected for a whole column, from its unambiguous cells, or else from the rest of the table; see
`find_notation`.
"""

from __future__ import annotations

import functools
import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal

MISSING_SPELLINGS = frozenset(
    {
        "",
        "na",
        "n/a",
        "#n/a",
        "<na>",
        "nan",
        "nat",
        "null",
        "nil",
        "none",
        "?",
        "-",
        "--",
        "—",
        "#nv",
        "#div/0!",
        "#value!",
    }
)
LARGEST_NUMBER = 1e30
"""Numbers from here on mean "no data" (GDAL -1.8e308, ArcGIS -3.4e38, netCDF 9.97e36)."""
MIN_PART_OF_NUMBERS = 0.9

_PLAIN = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,9})?")
_INFINITE = re.compile(r"[+-]?inf(inity)?", re.IGNORECASE)
_MARKED = re.compile(
    r"(?P<before>[€$£¥])?\s*(?P<body>[+-]?[0-9.,'’ \u00a0\u202f]*[0-9.,](?:[eE][+-]?[0-9]{1,3})?)\s*(?P<after>[%€$£¥])?"
)
_MAX_LENGTH = 60
_GROUPING = "['’ \u00a0\u202f]"


class AmbiguousNumbers(ValueError):  # noqa: N818 - it tells what the numbers are
    """The numbers of a column are ambiguous; `text` is an example."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text


@dataclass(frozen=True)
class Notation:
    """The notation of a column's numbers.

    Attributes:
        decimal: `.` or `,`; the other one may separate thousands.
        mark: The percent or currency sign of every number, or empty.
    """

    decimal: str
    mark: str = ""

    def rewrite(self, text: str) -> str:
        """Rewrite a number for `parse_number`, percentages as fractions; other text is unchanged."""
        body, mark = _split_mark(text)
        if body is None or mark != self.mark or not _reads(body, self.decimal):
            return text
        plain = re.sub(_GROUPING, "", body).replace("," if self.decimal == "." else ".", "").replace(",", ".")
        return format(Decimal(plain).scaleb(-2), "f") if mark == "%" else plain


def is_missing(text: str) -> bool:
    """Return whether a cell means a missing value."""
    return text.strip().lower() in MISSING_SPELLINGS


def is_numeric(text: str) -> bool:
    """Return whether a cell is a plain number, including infinite and no-data values."""
    text = text.strip()[: _MAX_LENGTH + 1]
    return len(text) <= _MAX_LENGTH and (_PLAIN.fullmatch(text) or _INFINITE.fullmatch(text)) is not None


def parse_number(text: str) -> float:
    """Parse a plain number; NaN if the cell is not one, or means "no data" (1e30 and more)."""
    if not is_numeric(text):
        return math.nan
    value = float(text)
    return value if abs(value) < LARGEST_NUMBER else math.nan


def find_notation(
    texts: Iterable[str], *, separator: str = "", others: Callable[[], Iterable[Sequence[str]]] = tuple
) -> Notation | None:
    """Detect the notation of a column; None if its numbers are plain, or too few of its cells are numbers.

    `1,234` alone is ambiguous. Then the other columns of the table decide, or else its separator: commas are decimal in
    a file with semicolons, but not in one with commas. Dots are decimal unless other columns have decimal commas.

    Args:
        texts: The column's cells.
        separator: The table's separator, if known.
        others: Returns the table's columns; called only if needed.

    Raises:
        AmbiguousNumbers: The notation is ambiguous.
    """
    given = {text.strip() for text in texts if not is_missing(text)}
    if not given:
        return None
    split = {text: _split_mark(text) for text in given}
    mark = Counter(mark for body, mark in split.values() if body is not None).most_common(1)
    bodies = [body for body, own in split.values() if body is not None and mark and own == mark[0][0]]
    readable = [body for body in bodies if _reads(body, ".") or _reads(body, ",")]
    if len(readable) < MIN_PART_OF_NUMBERS * len(given) or are_plain(given):
        return _decide_plain(readable, others) if are_plain(given) else None
    decimal = _find_decimal(readable) or _decide_by_table(readable, separator, others)
    return Notation(decimal, mark[0][0])


def are_plain(texts: Iterable[str]) -> bool:
    """Return whether nearly all texts are plain numbers."""
    texts = list(texts)
    return sum(map(is_numeric, texts)) >= MIN_PART_OF_NUMBERS * len(texts)


def _decide_plain(bodies: Sequence[str], others: Callable[[], Iterable[Sequence[str]]]) -> Notation | None:
    """Return decimal commas if other columns show that dots separate thousands here; else None."""
    dotted = [body for body in bodies if "." in body]
    if dotted and all(_reads(body, ",") for body in bodies) and _find_decimal_of_table(others) == ",":
        return Notation(",")
    return None


def _split_mark(text: str) -> tuple[str | None, str]:
    """Split a text into its number and its percent or currency sign; None if it contains anything else."""
    text = text.strip().replace("\u2212", "-")
    match = _MARKED.fullmatch(text) if len(text) <= _MAX_LENGTH else None
    if match is None or (match["before"] and match["after"]):
        return None, ""
    return match["body"].strip(), match["before"] or match["after"] or ""


def _reads(body: str, decimal: str) -> bool:
    """Return whether a number is well-formed with this decimal sign and complete groups of thousands."""
    return _compile_number(decimal).fullmatch(body) is not None


@functools.cache
def _compile_number(decimal: str) -> re.Pattern[str]:
    point, comma = re.escape(decimal), re.escape("," if decimal == "." else ".")
    grouped = "|".join(f"[1-9][0-9]{{0,2}}(?:{sign}[0-9]{{3}})+" for sign in (comma, _GROUPING))
    return re.compile(f"[+-]?(?:(?:{grouped}|[0-9]+)(?:{point}[0-9]*)?|{point}[0-9]+)(?:[eE][+-]?[0-9]+)?")


def _find_decimal(bodies: Iterable[str]) -> str:
    """Return the decimal sign of most unambiguous numbers; empty if there are none."""
    with_dot = with_comma = 0
    for body in bodies:
        reads_dot, reads_comma = _reads(body, "."), _reads(body, ",")
        with_dot += reads_dot and not reads_comma
        with_comma += reads_comma and not reads_dot
    if with_dot == with_comma:
        return ""
    return "." if with_dot > with_comma else ","


def _decide_by_table(bodies: Sequence[str], separator: str, others: Callable[[], Iterable[Sequence[str]]]) -> str:
    commas = [body for body in bodies if "," in body]
    decimal = _find_decimal_of_table(others)
    if decimal or not commas:
        return decimal or "."
    if separator in (",", ";"):
        return "." if separator == "," else ","
    raise AmbiguousNumbers(commas[0])


def _find_decimal_of_table(others: Callable[[], Iterable[Sequence[str]]]) -> str:
    """Return the decimal sign of the table's unambiguous numeric columns."""
    signs = Counter(
        _find_decimal(bodies)
        for texts in others()
        if (given := {text for text in texts if not is_missing(text)})
        and (
            bodies := [body for body, _ in map(_split_mark, given) if body and (_reads(body, ".") or _reads(body, ","))]
        )
        and len(bodies) >= MIN_PART_OF_NUMBERS * len(given)
    )
    del signs[""]
    return signs.most_common(1)[0][0] if signs else ""
