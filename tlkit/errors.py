"""Every error that a user can cause, each saying what was found, what was expected and how to fix it.

    TlkitError            base: `found`, `expected`, `fix`
    ├── SettingError      an option or a recipe key has a bad name or value
    ├── DataError         the images, folders or tables do not make a data set
    ├── BackboneError     an unknown backbone or boundary, or weights that cannot be had
    ├── CacheError        the feature cache cannot be read or written
    ├── BundleError       a saved model is damaged, foreign or hostile
    ├── RunError          an output folder is in the way, or cannot be resumed
    ├── HubError          a model hub refuses, or cannot be reached
    ├── PlaceError        object storage or a web server refuses, or cannot be reached
    ├── ClusterError      a cluster cannot be reached, or has no machine that does the work
    └── NumericsError     a self-check of the numbers failed (overflow, a cut that does not add up)

The command line turns any of these into three lines and exit code 1. Anything else is a bug.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import PurePath


class TlkitError(Exception):
    """A problem that the user can fix.

    Args:
        found: What was found, as a sentence without its final full stop or with it; names the file or option.
        expected: What would have been right.
        fix: What to do now, concretely.
    """

    def __init__(self, found: str, *, expected: str, fix: str) -> None:
        super().__init__(found)
        self.found = found
        self.expected = expected
        self.fix = fix

    def __str__(self) -> str:
        return f"{self.found}\n  Expected: {self.expected}\n  Fix: {self.fix}"


class SettingError(TlkitError):
    """An option or a recipe key has a bad name or value."""


class DataError(TlkitError):
    """The images, folders or tables do not make a data set."""


class BackboneError(TlkitError):
    """An unknown backbone or boundary, or weights that cannot be had."""


class CacheError(TlkitError):
    """The feature cache cannot be read or written."""


class BundleError(TlkitError):
    """A saved model is damaged, foreign or hostile."""


class RunError(TlkitError):
    """An output folder is in the way, or cannot be resumed."""


class HubError(TlkitError):
    """A model hub refuses, or cannot be reached."""


class PlaceError(TlkitError):
    """Object storage or a web server refuses, or cannot be reached."""


class ClusterError(TlkitError):
    """A cluster cannot be reached, or has no machine that does the work."""


class NumericsError(TlkitError):
    """A self-check of the numbers failed."""


def nearest_name(name: str, valid: Iterable[str]) -> str | None:
    """Return the valid name that is most likely meant by `name`, or None if none looks like it.

    Case and separators do not count: `MobileNetV2` is `mobilenet_v2`. The start of a name means the first that begins
    so, and of names that differ by their number the nearest is meant: `resnet18` is `resnet50`.
    """
    by_letters = {_letters(choice): choice for choice in reversed(list(valid))}
    given = _letters(name)
    if given in by_letters:
        return by_letters[given]
    begun = [choice for letters, choice in by_letters.items() if letters.startswith(given) and len(given) > 1]
    if begun:
        return begun[-1]
    stem, number = _split_number(given)
    numbered = [(abs(_split_number(letters)[1] - number), letters) for letters in by_letters if stem and number >= 0]
    numbered = [(distance, letters) for distance, letters in numbered if _split_number(letters)[0] == stem]
    if numbered:
        return by_letters[min(numbered, key=lambda each: (each[0], len(each[1])))[1]]
    matches = get_close_matches(given, by_letters, n=1, cutoff=0.5)
    return by_letters[matches[0]] if matches else None


def _letters(name: str) -> str:
    return re.sub(r"[\W_]+", "", name.casefold())


def _split_number(letters: str) -> tuple[str, int]:
    """Return the letters that a name begins with and the number after them, -1 if there is none."""
    found = re.match(r"([^\d]+)(\d{1,9})", letters)
    return (found[1], int(found[2])) if found else ("", -1)


def name_fix(name: str, valid: Iterable[str]) -> str:
    """Return the `fix` for an unknown name: the nearest valid one, or a hint to choose from the list."""
    nearest = nearest_name(name, valid)
    return f"did you mean {nearest!r}?" if nearest else "choose one of these."


def describe_damage(error: Exception) -> str:
    """Return in words what is wrong with a file of tlkit's own, from what reading it raised."""
    if isinstance(error, KeyError):
        return f"{error.args[0]} is missing"
    if isinstance(error, json.JSONDecodeError):
        return f"not JSON from line {error.lineno} on"
    if isinstance(error, UnicodeDecodeError):
        return "not UTF-8"
    if isinstance(error, OSError):
        return f"{PurePath(error.filename).name}: {error.strerror}" if error.filename else str(error)
    if isinstance(error, ValueError):
        return str(error)
    return "unexpected content"
