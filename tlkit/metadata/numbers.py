"""Numbers in text: what one is, and how a column writes them: `1,5`, `1.234,5`, `1,234.5`, `12 %`, `€ 3`.

A column decides as a whole, by the cells that can be read in one way only. Where none can, the rest of the table may:
see `find_notation`.
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
"""No measure is as large; programs write such numbers for "no data" (GDAL -1.8e308, ArcGIS -3.4e38, netCDF 9.97e36)."""
MIN_PART_OF_NUMBERS = 0.9

_PLAIN = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,9})?")
_INFINITE = re.compile(r"[+-]?inf(inity)?", re.IGNORECASE)
_MARKED = re.compile(
    r"(?P<before>[€$£¥])?\s*(?P<body>[+-]?[0-9.,'’ \u00a0\u202f]*[0-9.,](?:[eE][+-]?[0-9]{1,3})?)\s*(?P<after>[%€$£¥])?"
)
_MAX_LENGTH = 60
_GROUPING = "['’ \u00a0\u202f]"


class AmbiguousNumbers(ValueError):  # noqa: N818 - it tells what the numbers are
    """The numbers of a column can be read in two ways; `text` is one of them."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text


@dataclass(frozen=True)
class Notation:
    """How the numbers of a column are written.

    Attributes:
        decimal: `.` or `,`; the other one may stand between thousands.
        mark: The percent or currency sign of every number, or empty.
    """

    decimal: str
    mark: str = ""

    def rewrite(self, text: str) -> str:
        """Return a number as `parse_number` reads it, percent as parts of 1; any other text as it is."""
        body, mark = _split_mark(text)
        if body is None or mark != self.mark or not _reads(body, self.decimal):
            return text
        plain = re.sub(_GROUPING, "", body).replace("," if self.decimal == "." else ".", "").replace(",", ".")
        return format(Decimal(plain).scaleb(-2), "f") if mark == "%" else plain


def is_missing(text: str) -> bool:
    """Tell whether a cell says that the value is not known."""
    return text.strip().lower() in MISSING_SPELLINGS


def is_numeric(text: str) -> bool:
    """Tell whether a cell is written as a plain number, be it infinite or too large for one."""
    text = text.strip()[: _MAX_LENGTH + 1]
    return len(text) <= _MAX_LENGTH and (_PLAIN.fullmatch(text) or _INFINITE.fullmatch(text)) is not None


def parse_number(text: str) -> float:
    """Return the plain number in a cell; NaN where there is none, or one that stands for "no data" (1e30 and more)."""
    if not is_numeric(text):
        return math.nan
    value = float(text)
    return value if abs(value) < LARGEST_NUMBER else math.nan


def find_notation(
    texts: Iterable[str], *, separator: str = "", others: Callable[[], Iterable[Sequence[str]]] = tuple
) -> Notation | None:
    """Return how the numbers of a column are written; None if they are plain, or nine of ten cells are not numbers.

    `1,234` alone is one thousand or one and a bit. Then the other columns of the table decide, or else the separator
    of its cells: in a file with semicolons commas are decimal, and in one with commas they are not. Dots are decimal
    unless other columns have decimal commas.

    Args:
        texts: The column's cells.
        separator: What stands between the table's cells, if it is known.
        others: Returns the table's columns, if they are needed.

    Raises:
        AmbiguousNumbers: Nothing decides.
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
    """Tell whether nearly all texts are numbers as Python writes them."""
    texts = list(texts)
    return sum(map(is_numeric, texts)) >= MIN_PART_OF_NUMBERS * len(texts)


def _decide_plain(bodies: Sequence[str], others: Callable[[], Iterable[Sequence[str]]]) -> Notation | None:
    """Return decimal commas if the numbers are plain, but dots between thousands by what other columns say."""
    dotted = [body for body in bodies if "." in body]
    if dotted and all(_reads(body, ",") for body in bodies) and _find_decimal_of_table(others) == ",":
        return Notation(",")
    return None


def _split_mark(text: str) -> tuple[str | None, str]:
    """Return the number and the percent or currency sign in a text; None if it holds anything else."""
    text = text.strip().replace("\u2212", "-")
    match = _MARKED.fullmatch(text) if len(text) <= _MAX_LENGTH else None
    if match is None or (match["before"] and match["after"]):
        return None, ""
    return match["body"].strip(), match["before"] or match["after"] or ""


def _reads(body: str, decimal: str) -> bool:
    """Tell whether a number is well written with this decimal sign, groups of thousands being whole."""
    return _compile_number(decimal).fullmatch(body) is not None


@functools.cache
def _compile_number(decimal: str) -> re.Pattern[str]:
    point, comma = re.escape(decimal), re.escape("," if decimal == "." else ".")
    grouped = "|".join(f"[1-9][0-9]{{0,2}}(?:{sign}[0-9]{{3}})+" for sign in (comma, _GROUPING))
    return re.compile(f"[+-]?(?:(?:{grouped}|[0-9]+)(?:{point}[0-9]*)?|{point}[0-9]+)(?:[eE][+-]?[0-9]+)?")


def _find_decimal(bodies: Iterable[str]) -> str:
    """Return the decimal sign that most of the unambiguous numbers have; empty if there are none."""
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
    """Return the decimal sign of columns that are numbers with a comma or a dot and can be read in one way."""
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
