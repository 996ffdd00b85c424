"""Normalize categories, so that different spellings are one value in training and in prediction.

Programs rewrite values: pandas turns 1 into `1.0` if a value is missing, Excel turns True into `TRUE`. People type
`Red` and `red `. None of these is a new category.
"""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Collection, Sequence

TRUE, FALSE = "true", "false"
BOOLEAN_WORDS = {TRUE: TRUE, FALSE: FALSE, "yes": TRUE, "no": FALSE}
BOOLEAN_DIGITS = {"1": TRUE, "0": FALSE}
_DECIMALS = re.compile(r"[+-]?(0|[1-9][0-9]{0,14})\.[0-9]*")


@functools.lru_cache(maxsize=100_000)
def fold_category(text: str) -> str:
    """Return the normalized form of a value.

    Case, whitespace, Unicode form and trailing zeros after a decimal point are ignored; `yes` and `no` are true and
    false.
    """
    folded = unicodedata.normalize("NFKC", " ".join(text.split())).casefold()
    if _DECIMALS.fullmatch(folded):
        folded = folded.rstrip("0").rstrip(".")
    return BOOLEAN_WORDS.get(folded, folded)


def read_flags(cells: Sequence[str]) -> list[bool] | None:
    """Return which cells are true; None if there are no cells or any is not true, false, 1 or 0."""
    flags = {cell: BOOLEAN_DIGITS.get(word, word) for cell, word in ((cell, fold_category(cell)) for cell in {*cells})}
    return [flags[cell] == TRUE for cell in cells] if flags and {*flags.values()} <= {TRUE, FALSE} else None


def is_boolean(folded: Collection[str]) -> bool:
    """Return whether normalized values are all true, false, 1 or 0."""
    return bool({TRUE, FALSE} & {*folded}) and {*folded} <= {TRUE, FALSE, *BOOLEAN_DIGITS}
