"""Categories in text: which spellings are one value, in training and prediction alike.

Programs rewrite what they save: pandas makes `1.0` of 1 beside a missing value, Excel `TRUE` of True. People type `Red`
and `red `. None of these is another category.
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
    """Return what all spellings of a value have in common.

    They differ by case, white space, Unicode form, or zeros behind a decimal point; `yes` and `no` are true and false.
    """
    folded = unicodedata.normalize("NFKC", " ".join(text.split())).casefold()
    if _DECIMALS.fullmatch(folded):
        folded = folded.rstrip("0").rstrip(".")
    return BOOLEAN_WORDS.get(folded, folded)


def read_flags(cells: Sequence[str]) -> list[bool] | None:
    """Return which cells are true; None unless all of them, of which there are some, are true or false, 1 or 0."""
    flags = {cell: BOOLEAN_DIGITS.get(word, word) for cell, word in ((cell, fold_category(cell)) for cell in {*cells})}
    return [flags[cell] == TRUE for cell in cells] if flags and {*flags.values()} <= {TRUE, FALSE} else None


def is_boolean(folded: Collection[str]) -> bool:
    """Tell whether folded values are true and false, be it that some are written as 1 and 0."""
    return bool({TRUE, FALSE} & {*folded}) and {*folded} <= {TRUE, FALSE, *BOOLEAN_DIGITS}
