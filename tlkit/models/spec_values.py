"""Checks of the values in an untrusted description of a model; each raises a `BundleError` that names the place."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tlkit.backbones.catalogue import MAPS
from tlkit.outputs import GREY_KINDS, GreyRange
from tlkit.untrusted import check_keys, quote, refusal

MAX_FLOAT32 = 3.5e38
MAX_IMAGE_SIZE = 2048
MAX_MAPS = 8


def check_image_size(value: Any, least: int, *, place: str) -> tuple[int, int]:
    """Return the height and width of the input; a square with an edge of at least `least` pixels."""
    height, width = value if isinstance(value, list) and len(value) == 2 else (None, None)
    if type(height) is not int or type(width) is not int or height != width or not least <= height <= MAX_IMAGE_SIZE:
        raise refusal(
            f"{place}: image_size is {quote(value)}.",
            expected=f"height and width of a square, each a whole number, {least} to {MAX_IMAGE_SIZE}",
        )
    return height, width


def check_number(values: Mapping[str, Any], key: str, low: int, high: int, *, place: str) -> int:
    """Return a whole number within a range."""
    value = values[key]
    if type(value) is not int or not low <= value <= high:
        raise refusal(f"{place}: {key} is {quote(value)}.", expected=f"a whole number, {low} to {high}")
    return value


def check_fraction(values: Mapping[str, Any], key: str, low: float, high: float, *, place: str) -> float:
    """Return a number within a range."""
    value = values[key]
    if type(value) not in (int, float) or not low <= value <= high:
        raise refusal(f"{place}: {key} is {quote(value)}.", expected=f"a number, {low:g} to {high:g}")
    return float(value)


def check_choice(values: Mapping[str, Any], key: str, choices: tuple[Any, ...], *, place: str) -> Any:
    """Return one of some values, of the same type."""
    value = values[key]
    if not any(type(value) is type(choice) and value == choice for choice in choices):
        raise refusal(f"{place}: {key} is {quote(value)}.", expected=f"one of {', '.join(map(str, choices))}")
    return value


def check_grey(value: Any, *, place: str) -> tuple[GreyRange, ...]:
    """Return the levels of deep grey, at most one range of each kind."""
    if not isinstance(value, list) or len(value) > len(GREY_KINDS):
        raise refusal(f"{place} is {quote(value)}.", expected=f"a list of at most {len(GREY_KINDS)} ranges")
    ranges: list[GreyRange] = []
    for item in value:
        values = check_keys(item, ("kind", "black", "white"), place=place)
        kind = check_choice(values, "kind", GREY_KINDS, place=place)
        black, white = (
            check_fraction(values, key, -MAX_FLOAT32, MAX_FLOAT32, place=place) for key in ("black", "white")
        )
        if black > white or any(kind == known.kind for known in ranges):
            raise refusal(f"{place}: {quote(item)} is not a range.", expected="one range of each kind, black <= white")
        ranges.append(GreyRange(kind, black, white))
    return tuple(ranges)


def check_map_sizes(values: Mapping[str, Any], *, place: str) -> tuple[tuple[int, int], ...]:
    """Return the sizes of the maps, from large to small; none but with pooling "maps". The image size is checked."""
    sizes, edge = values["map_sizes"], values["image_size"][0]
    most = MAX_MAPS if values["pooling"] == MAPS else 0
    if (
        not isinstance(sizes, list)
        or len(sizes) > most
        or not all(_is_map_size(size, edge) for size in sizes)
        or sizes != sorted(sizes, reverse=True)
    ):
        kind = f"at most {most} pairs of height and width, 1 to {edge}, from large to small"
        raise refusal(f"{place}: map_sizes is {quote(sizes)}.", expected=kind if most else "an empty list")
    return tuple((height, width) for height, width in sizes)


def _is_map_size(value: Any, edge: int) -> bool:
    return (
        isinstance(value, list) and len(value) == 2 and all(type(side) is int and 1 <= side <= edge for side in value)
    )
