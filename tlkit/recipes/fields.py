"""What a setting is made of: its default, its help, the rule that its value obeys, and its place on the command line."""

from __future__ import annotations

import enum
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tlkit.devices import ALL


class RateSearch(enum.Enum):
    """A request to search for the learning rate before the stage; "find" in files and options."""

    FIND = "find"


class AllImages(enum.Enum):
    """A request for batches of all images; "all" in files and options."""

    ALL = "all"


FIND = RateSearch.FIND
ALL_IMAGES = AllImages.ALL


@dataclass(frozen=True)
class Rule:
    """What a setting may be: `expected` in words, and the predicate that decides."""

    expected: str
    allows: Callable[[Any], bool]


def one_of(choices: tuple[str, ...]) -> Rule:
    """Return the rule that a setting is one of `choices`."""
    return Rule(f"one of {', '.join(choices)}", lambda value: value in choices)


HIGHEST = 1_000_000
"""Of a count: more is a slip of the keyboard, and would fill the memory somewhere."""
FRACTION_BELOW_ONE = Rule("a fraction, 0 <= x < 1", lambda value: 0 <= value < 1)
FRACTION_ABOVE_ZERO = Rule("a fraction, 0 < x <= 1", lambda value: 0 < value <= 1)
POSITIVE = Rule("a number above 0", lambda value: value > 0)
NOT_NEGATIVE = Rule("a number, 0 or more", lambda value: value >= 0)
SEED = Rule("a whole number, 0 <= x < 2**32", lambda value: 0 <= value < 2**32)
ZERO_OR_MORE = Rule(f"a whole number, 0 to {HIGHEST:,}", lambda value: 0 <= value <= HIGHEST)
AT_LEAST_ONE = Rule(f"a whole number, 1 to {HIGHEST:,}", lambda value: 1 <= value <= HIGHEST)
AT_LEAST_ONE_OR_ALL = Rule(f"{AT_LEAST_ONE.expected}, or all", lambda value: value is ALL or AT_LEAST_ONE.allows(value))
IMAGES_PER_STEP = Rule(AT_LEAST_ONE_OR_ALL.expected, lambda value: value is ALL_IMAGES or AT_LEAST_ONE.allows(value))
NOT_EMPTY = Rule("non-empty text", lambda value: bool(value.strip()))
NOT_NOTHING = Rule("text, at least a space", bool)
SHA256 = Rule("a sha256 in hex", lambda value: re.fullmatch("[0-9a-f]{64}", value) is not None)
ANYTHING = Rule("any value", lambda value: True)


def as_word(value: Any) -> Any:
    """Return a setting's value as files and options write it."""
    return value.value if isinstance(value, enum.Enum) else value


def setting(
    default: Any,
    help: str,
    *,
    rule: Rule = ANYTHING,
    choices: tuple[str, ...] = (),
    flag: str | None = None,
    word: enum.Enum | None = None,
    words: tuple[str, ...] | None = None,
) -> Any:
    """Return a dataclass field that carries its help, its rule and its command-line flag.

    Args:
        default: The value where neither the recipe nor the command line says anything; None: that is decided
            later.
        help: One line for `--help` and the reference.
        rule: What the value may be.
        choices: For a word out of a fixed list; replaces `rule`.
        flag: The option's name where it is not the field's own with dashes.
        word: What may stand in the place of a number; files and options write its value.
        words: The setting is a path; what may stand in its place.
    """
    rule = one_of(choices) if choices else rule
    return field(default=default, metadata=describe_setting(help, rule, choices, flag, word, words))


def describe_setting(
    help: str,
    rule: Rule = ANYTHING,
    choices: tuple[str, ...] = (),
    flag: str | None = None,
    word: enum.Enum | None = None,
    words: tuple[str, ...] | None = None,
) -> dict[str, Any]:
    """Return the metadata of a setting's field; arguments as of `setting`."""
    return {"help": help, "rule": rule, "choices": choices, "flag": flag, "word": word, "words": words}
