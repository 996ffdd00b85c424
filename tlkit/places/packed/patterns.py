"""Names of packed files, with braces for many: photos-{000..009}.tar, {train,test}.parquet."""

from __future__ import annotations

import itertools
import os
import re
from pathlib import PurePath

from tlkit.errors import DataError

PACKED_SUFFIXES = (".tar", ".parquet")
MAX_FILES = 100_000
_BRACES = re.compile(r"\{(?:(\d+)\.\.(\d+)|([^{}]*,[^{}]*))\}")


def is_packed(value: str | PurePath) -> bool:
    """Return whether a path or a URL may name packed images: tars, or Parquet files."""
    return os.fspath(value).lower().endswith(PACKED_SUFFIXES)


def expand_braces(text: str) -> list[str]:
    """Return the names that a pattern stands for, in its order; a name without braces stands for itself.

    Raises:
        DataError: There are more than MAX_FILES.

    Examples:
        >>> expand_braces("a-{08..10}.tar")
        ['a-08.tar', 'a-09.tar', 'a-10.tar']
        >>> expand_braces("{x,y}.tar")
        ['x.tar', 'y.tar']
    """
    parts: list[list[str]] = []
    end = number = 0
    number = 1
    for found in _BRACES.finditer(text):
        parts.append([text[end : found.start()]])
        parts.append(_list_choices(found, text))
        number *= len(parts[-1])
        if number > MAX_FILES:
            raise _too_many(text)
        end = found.end()
    parts.append([text[end:]])
    return ["".join(each) for each in itertools.product(*parts)]


def _list_choices(found: re.Match[str], text: str) -> list[str]:
    if found[3] is not None:
        return found[3].split(",")
    first, last = int(found[1]), int(found[2])
    if last - first >= MAX_FILES:
        raise _too_many(text)
    width = len(found[1]) if found[1].startswith("0") else 0
    return [f"{number:0{width}d}" for number in range(first, last + 1)]


def _too_many(text: str) -> DataError:
    return DataError(
        f"{text} stands for more than {MAX_FILES:,} files.",
        expected=f"at most {MAX_FILES:,} packed files",
        fix="name fewer of them at once.",
    )
