"""The parts of `bundle.json` that describe metadata and target values."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

from tlkit.metadata.categories import fold_category
from tlkit.metadata.columns import CATEGORY, MAX_NAME_LENGTH, NUMBER
from tlkit.metadata.encoding import (
    MAX_VALUE_LENGTH,
    MAX_VALUES,
    CategoryColumn,
    Column,
    MetadataEncoding,
    NumberColumn,
)
from tlkit.outputs import Target
from tlkit.untrusted import check_keys, is_clean_text, quote, refusal

MAX_COLUMNS = 100


def metadata_document(encoding: MetadataEncoding) -> list[dict[str, Any]]:
    """Return the encoding as a JSON list."""
    return [
        {"kind": NUMBER, **dataclasses.asdict(column)}
        if isinstance(column, NumberColumn)
        else {"name": column.name, "kind": CATEGORY, "values": list(column.values)}
        for column in encoding.columns
    ]


def parse_metadata_document(value: Any, *, place: str) -> MetadataEncoding:
    """Check every value of a description of metadata, and return it as an encoding.

    Raises:
        BundleError: If it is not as tlkit writes it.
    """
    if not isinstance(value, list) or len(value) > MAX_COLUMNS:
        raise refusal(f"{place} is {quote(value)}.", expected=f"a list of at most {MAX_COLUMNS} columns")
    columns = tuple(_parse_column(item, place=f"{place} {number}") for number, item in enumerate(value, start=1))
    names = [column.name for column in columns]
    if len(set(names)) < len(names):
        raise refusal(f"{place}: a name appears twice.", expected="columns with different names")
    return MetadataEncoding(columns)


def target_document(target: Target | None) -> dict[str, Any] | None:
    """Return the target as a JSON object."""
    return None if target is None else dataclasses.asdict(target)


def parse_target_document(value: Any, *, place: str, is_needed: bool) -> Target | None:
    """Check every value of a description of a target, which exists only if values are predicted.

    Raises:
        BundleError: If it is not as tlkit writes it.
    """
    if value is None and not is_needed:
        return None
    values = check_keys(value, ("name", "mean", "scale", "is_log"), place=place)
    if not is_needed:
        raise refusal(f"{place} is {quote(value)}.", expected="null, because the task is not regression")
    if type(values["is_log"]) is not bool:
        raise refusal(f"{place}: is_log is {quote(values['is_log'])}.", expected="true or false")
    mean, scale = (_check_number(values[key], place=f"{place}: {key}", is_scale=key == "scale") for key in _MOMENTS)
    return Target(_check_name(values["name"], place=place), mean, scale, values["is_log"])


_MOMENTS = ("mean", "scale")
_NUMBER_KEYS = (*_MOMENTS, "low", "high")


def _parse_column(value: Any, *, place: str) -> Column:
    if isinstance(value, dict) and value.get("kind") == NUMBER:
        values = check_keys(value, ("name", "kind", *_NUMBER_KEYS), place=place)
        mean, scale, low, high = (
            _check_number(values[key], place=f"{place}: {key}", is_scale=key == "scale") for key in _NUMBER_KEYS
        )
        if low > high:
            raise refusal(f"{place}: low is {low:g} and high {high:g}.", expected="low <= high")
        return NumberColumn(_check_name(values["name"], place=place), mean, scale, low, high)
    values = check_keys(value, ("name", "kind", "values"), place=place)
    if values["kind"] != CATEGORY:
        raise refusal(f"{place}: kind is {quote(values['kind'])}.", expected=f"{NUMBER} or {CATEGORY}")
    texts = values["values"]
    if not isinstance(texts, list) or len(texts) > MAX_VALUES:
        raise refusal(f"{place}: values is {quote(texts)}.", expected=f"a list of at most {MAX_VALUES} texts")
    for text in texts:
        if not is_clean_text(text, max_length=MAX_VALUE_LENGTH):
            raise refusal(
                f"{place}: the value {quote(text)} cannot be used.",
                expected=f"1 to {MAX_VALUE_LENGTH} characters without control characters",
            )
    if len(set(map(fold_category, texts))) < len(texts):
        raise refusal(f"{place}: a value appears twice.", expected="different values")
    return CategoryColumn(_check_name(values["name"], place=place), tuple(texts))


def _check_name(value: Any, *, place: str) -> str:
    if not is_clean_text(value, max_length=MAX_NAME_LENGTH):
        raise refusal(
            f"{place}: the name {quote(value)} cannot be used.",
            expected=f"1 to {MAX_NAME_LENGTH} characters without control characters",
        )
    text: str = value
    return text


def _check_number(value: Any, *, place: str, is_scale: bool) -> float:
    if type(value) not in (int, float) or not math.isfinite(value) or (is_scale and value <= 0):
        raise refusal(f"{place} is {quote(value)}.", expected="a finite number" + (", above 0" if is_scale else ""))
    return float(value)
