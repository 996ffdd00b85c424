"""Open, parse and quote untrusted files safely.

Bundles come from other people. Their files may be links, pipes or far too large, JSON may be nested a million levels
deep, and texts may contain terminal control characters. All readers use these functions, which at worst raise a
`BundleError`.
"""

from __future__ import annotations

import json
import os
import stat
import unicodedata
from pathlib import Path
from typing import Any, BinaryIO

from tlkit.errors import BundleError

FOREIGN_FIX = "get the bundle from its source again, or train the model again with `tlkit finetune`."
MAX_QUOTED_LENGTH = 80
MAX_WHOLE_NUMBER_DIGITS = 15
FORBIDDEN_CATEGORIES = ("Cc", "Cs", "Zl", "Zp")
DIRECTION_CONTROLS = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def refusal(found: str, *, expected: str, fix: str = FOREIGN_FIX) -> BundleError:
    """Return the error for an invalid bundle."""
    return BundleError(found, expected=expected, fix=fix)


def shorten(text: str) -> str:
    """Truncate a text for an error message."""
    return text if len(text) <= MAX_QUOTED_LENGTH else text[: MAX_QUOTED_LENGTH - 3] + "..."


def quote(value: Any) -> str:
    """Return an untrusted value as short text without control characters (`repr` escapes them)."""
    return shorten(repr(value))


def is_clean_text(value: Any, *, max_length: int) -> bool:
    """Return whether a value is text that can be printed and written as UTF-8.

    Refuses control characters, which affect terminals, line separators, lone surrogates, and characters that change the
    writing direction. Joiners, which many scripts and emoji need, are allowed.
    """
    if not isinstance(value, str) or not 0 < len(value) <= max_length:
        return False
    if value.isprintable():  # then it has none of these; this is much faster
        return True
    return not any(
        unicodedata.category(character) in FORBIDDEN_CATEGORIES or character in DIRECTION_CONTROLS
        for character in value
    )


def open_regular_file(path: Path, *, max_bytes: int) -> BinaryIO:
    """Open a regular file of limited size for reading.

    Links are not followed, so no file outside the folder is read; a pipe or device does not block.

    Raises:
        BundleError: If the file is missing, is not a regular file, is too large, or cannot be opened.
    """
    expected = f"a regular file of at most {max_bytes:,} bytes"
    if path.is_symlink():
        raise refusal(f"{path} is a symbolic link.", expected=expected)
    try:
        descriptor = os.open(path, os.O_RDONLY | _flag("O_NOFOLLOW") | _flag("O_NONBLOCK") | _flag("O_BINARY"))
    except OSError as error:
        raise refusal(f"{path} cannot be opened ({error.strerror}).", expected=expected) from error
    facts = os.fstat(descriptor)
    problem = ""
    if not stat.S_ISREG(facts.st_mode):
        problem = f"{path} is not a regular file."
    elif facts.st_size > max_bytes:
        problem = f"{path} has {facts.st_size:,} bytes."
    if problem:
        os.close(descriptor)
        raise refusal(problem, expected=expected)
    return os.fdopen(descriptor, "rb")


def parse_json(content: bytes, *, place: str, levels: int) -> Any:
    """Parse JSON strictly: UTF-8, every key once, no NaN, no giant numbers, at most `levels` containers deep.

    Args:
        content: The JSON text.
        place: The file, for errors.
        levels: Containers within containers that the format has; 1 is a flat list or object.

    Raises:
        BundleError: If the content is anything else.
    """
    try:
        value = json.loads(
            content.decode("utf-8"),
            object_pairs_hook=_unique_keys,
            parse_constant=_refuse_constant,
            parse_int=_parse_whole_number,
        )
        if not _is_shallow(value, levels):
            raise ValueError(f"more than {levels} levels deep")
    except UnicodeDecodeError as error:
        raise _not_json(place, "not UTF-8 text") from error
    except RecursionError as error:
        raise _not_json(place, f"more than {levels} levels deep") from error
    except ValueError as error:
        raise _not_json(place, str(error)) from error
    return value


def check_keys(value: Any, names: tuple[str, ...], *, place: str) -> dict[str, Any]:
    """Return the value if it is an object with exactly these keys.

    Raises:
        BundleError: If it is not an object, has another key, or lacks one.
    """
    expected = f"an object with exactly these keys: {', '.join(names)}"
    if not isinstance(value, dict):
        raise refusal(f"{place} is {quote(value)}.", expected=expected)
    for name in value:
        if name not in names:
            raise refusal(f"{place} has an unknown key {quote(name)}.", expected=expected)
    for name in names:
        if name not in value:
            raise refusal(f"{place} has no key {name!r}.", expected=expected)
    return value


def _flag(name: str) -> int:
    """Return a flag of `os.open`, or 0 on a platform that lacks it."""
    return int(getattr(os, name, 0))


def _not_json(place: str, reason: str) -> BundleError:
    return refusal(f"{place} is not JSON that tlkit reads: {reason}.", expected="UTF-8 JSON as tlkit writes it")


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        raise ValueError("a key appears twice in one object")
    return members


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not a JSON number")


def _parse_whole_number(digits: str) -> int:
    if len(digits) > MAX_WHOLE_NUMBER_DIGITS:
        raise ValueError(f"a number of {len(digits)} digits")
    return int(digits)


def _is_shallow(value: Any, levels: int) -> bool:
    if isinstance(value, dict):
        value = list(value.values())
    if not isinstance(value, list):
        return True
    return levels > 0 and all(_is_shallow(item, levels - 1) for item in value)
