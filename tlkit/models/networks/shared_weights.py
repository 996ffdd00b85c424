"""Store a network's constants by reference to the bundle's own weights, so that no weight is stored twice.

A library keeps the constants of a network in one block of bytes. Most are weights of the bundle, often with their axes
in another order, and often multiplied by a factor per channel where a normalization was folded into them. Only their
places, the factors and all other bytes are stored. The block is rebuilt to the last bit; a constant for which that
fails is stored as it is.
"""

from __future__ import annotations

import itertools
import json
import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tlkit.models.tensors import TensorEntry, open_tensors, write_tensors
from tlkit.untrusted import parse_json, quote, refusal

PLACES, FACTORS, REST = "places", "factors", "rest"
MIN_BYTES = 1024
"""Smaller constants are stored as they are."""
MAX_ULPS = 3
"""A factor is at most this many units in the last place away from the quotient of a product and a weight."""
FLOAT_BYTES = 4
COLUMNS_AT_ONCE = 128
"""A large matrix is turned three times as fast in parts whose rows fit into the processor's cache."""
SAMPLE, RELATIVE_ERROR = 16, 1e-5
"""A weight whose first numbers are not in proportion to a constant's is not looked at further."""

Weights = Mapping[str, NDArray[np.float32]]


@dataclass(frozen=True)
class Place:
    """Where a constant lies that is made from a weight, and how.

    Attributes:
        begin: Its first byte in the block.
        weight: Name of the weight.
        axes: The weight's axes in their order in the block.
        factor_axis: The axis, in that order, with a factor for each entry; None without factors.
    """

    begin: int
    weight: str
    axes: tuple[int, ...]
    factor_axis: int | None = None


@dataclass(frozen=True, eq=False)
class SharedConstants:
    """The constants of a network, without the weights that they are made from.

    Attributes:
        places: Of the constants that are made from weights, in the order of the block, without overlap.
        factors: The factors of each, float32 (n,); n is 0 without factors.
        rest: All other bytes of the block, in order, uint8 (n,).
    """

    places: tuple[Place, ...]
    factors: tuple[NDArray[np.float32], ...]
    rest: NDArray[np.uint8]

    def write(self, path: Path) -> str:
        """Write a new safetensors file, flushed to disk, and return its sha256 in hex."""
        text = json.dumps([astuple(place) for place in self.places]).encode()
        factors = np.concatenate([np.zeros(0, np.float32), *self.factors])
        arrays = {PLACES: np.frombuffer(text, np.uint8), FACTORS: factors, REST: self.rest}
        return write_tensors(path, {name: array for name, array in arrays.items() if array.size})

    def rebuild(self, block: NDArray[np.uint8], weights: Iterable[tuple[str, NDArray[np.float32]]]) -> None:
        """Fill a block with the constants.

        Args:
            block: uint8 (num_bytes,), contiguous, as long as `read_constants` says.
            weights: The bundle's weights by name, each once, in any order.
        """
        users = defaultdict(list)
        for place, factors in zip(self.places, self.factors, strict=True):
            users[place.weight].append((place, factors))
        made = []
        for name, weight in weights:
            for place, factors in users[name]:
                end = place.begin + weight.nbytes
                made.append((place.begin, end))
                ordered = weight.transpose(place.axes)
                target = block[place.begin : end].view(np.float32).reshape(ordered.shape)
                if place.factor_axis is None:
                    for start in range(0, ordered.shape[-1], COLUMNS_AT_ONCE):
                        part = ..., slice(start, start + COLUMNS_AT_ONCE)
                        target[part] = ordered[part]
                else:
                    np.multiply(ordered, _align(factors, place.factor_axis, ordered.ndim), out=target)
        position = num_copied = 0
        for begin, end in [*sorted(made), (len(block), len(block))]:
            block[position:begin] = self.rest[num_copied : num_copied + begin - position]
            num_copied += begin - position
            position = end


def share_constants(
    block: NDArray[np.uint8], constants: Sequence[tuple[int, tuple[int, ...]]], weights: Weights
) -> SharedConstants:
    """Find the weights in a network's constants.

    Args:
        block: All constants, uint8 (num_bytes,), contiguous.
        constants: The first byte and the shape of each float32 constant.
        weights: The bundle's weights.
    """
    by_size = defaultdict(list)
    for name, weight in weights.items():
        by_size[weight.size].append(name)
    found: dict[int, tuple[Place, NDArray[np.float32]]] = {}
    is_rest = np.ones(len(block), bool)
    for begin, shape in sorted(set(constants)):
        end = begin + FLOAT_BYTES * math.prod(shape)
        if end - begin < MIN_BYTES or not is_rest[begin:end].all():
            continue
        values = block[begin:end].view(np.float32).reshape(shape)
        match = _find_weight(values, {name: weights[name] for name in by_size[values.size]})
        if match is not None:
            name, axes, factor_axis, factors = match
            found[begin] = Place(begin, name, axes, factor_axis), factors
            is_rest[begin:end] = False
    return SharedConstants(
        tuple(place for place, _ in found.values()), tuple(factors for _, factors in found.values()), block[is_rest]
    )


def read_constants(
    path: Path, sha256: str, entries: Mapping[str, TensorEntry], *, max_bytes: int
) -> tuple[SharedConstants, int]:
    """Read a file of `SharedConstants.write`, and the size of its block in bytes.

    Args:
        path: The file.
        sha256: Its hash, in hex.
        entries: The bundle's weights, by name.
        max_bytes: Size limit of the block.

    Raises:
        BundleError: The file is damaged or invalid, or the block would be larger.
    """
    with open_tensors(path) as file:
        kinds = {entry.name: entry.kind for entry in file.entries}
        sizes = {PLACES: "U8", FACTORS: "F32", REST: "U8"}
        file.check_kinds({name: (sizes[name], (math.prod(kind[1]),)) for name, kind in kinds.items() if name in sizes})
        num_bytes = sum(entry.end - entry.begin for entry in file.entries)
        if num_bytes > max_bytes:
            raise refusal(f"{path} has {num_bytes:,} bytes of constants.", expected=f"at most {max_bytes:,}")
        arrays = dict(file.read(sha256))
    items = parse_json(arrays[PLACES].tobytes(), place=str(path), levels=3) if PLACES in arrays else None
    if not isinstance(items, list):
        raise refusal(f"{path}: its places are {quote(items)}.", expected="a list")
    factors = arrays.get(FACTORS, np.zeros(0, np.float32))
    rest = arrays.get(REST, np.zeros(0, np.uint8))
    places, lengths, end = [], [], 0
    for item in items:
        place = _parse_place(item, entries, path)
        shape = [entries[place.weight].kind[1][axis] for axis in place.axes]
        lengths.append(0 if place.factor_axis is None else shape[place.factor_axis])
        if place.begin < end:
            raise refusal(f"{path}: a constant begins at byte {place.begin:,}.", expected=f"{end:,} or more")
        end = place.begin + FLOAT_BYTES * math.prod(shape)
        places.append(place)
    size = len(rest) + sum(FLOAT_BYTES * entries[place.weight].num_values for place in places)
    if end > size or size > max_bytes or sum(lengths) != len(factors):
        raise refusal(
            f"{path} describes {size:,} bytes, of which a constant ends at {end:,}, and {len(factors):,} factors.",
            expected=f"at most {max_bytes:,} bytes, and {sum(lengths):,} factors",
        )
    split = np.split(factors, np.cumsum(lengths)[:-1]) if places else []
    return SharedConstants(tuple(places), tuple(split), rest), size


def _parse_place(item: Any, entries: Mapping[str, TensorEntry], path: Path) -> Place:
    """Check one place, with a weight of this bundle."""
    problem = "four values"
    if isinstance(item, list) and len(item) == 4:
        begin, weight, axes, factor_axis = item
        dimensions = len(entries[weight].kind[1]) if isinstance(weight, str) and weight in entries else 0
        is_axis = factor_axis is None or (type(factor_axis) is int and 0 <= factor_axis < dimensions)
        is_order = isinstance(axes, list) and sorted(map(str, axes)) == [*map(str, range(dimensions))]
        if dimensions and is_axis and is_order and type(begin) is int and begin >= 0:
            return Place(begin, weight, tuple(axes), factor_axis)
        problem = "a first byte, a weight of this bundle, an order of its axes, and an axis or none"
    raise refusal(f"{path}: a constant is {quote(item)}.", expected=problem)


def _find_weight(
    values: NDArray[np.float32], weights: Weights
) -> tuple[str, tuple[int, ...], int | None, NDArray[np.float32]] | None:
    """Return name, order of axes, axis of factors and factors of the weight that a constant is made from."""
    ordered = [(name, axes, view) for name, weight in weights.items() for axes, view in _order(weight, values.shape)]
    for name, axes, view in ordered:
        if _is_same(values.reshape(view.shape), view):
            return name, axes, None, np.zeros(0, np.float32)
    for name, axes, view in ordered:
        for axis in range(view.ndim):
            factors = _find_factors(np.moveaxis(values.reshape(view.shape), axis, 0), np.moveaxis(view, axis, 0))
            if factors is not None:
                return name, axes, axis, factors
    return None


def _order(
    weight: NDArray[np.float32], shape: tuple[int, ...]
) -> Iterator[tuple[tuple[int, ...], NDArray[np.float32]]]:
    """Yield the orders of a weight's axes in which it has this shape, but for axes of length 1."""
    for axes in itertools.permutations(range(weight.ndim)):
        view = weight.transpose(axes)
        if _drop_ones(view.shape) == _drop_ones(shape):
            yield axes, view


def _find_factors(products: NDArray[np.float32], weights: NDArray[np.float32]) -> NDArray[np.float32] | None:
    """Return the factor of each entry of the first axis, if they give all products exactly; float32 (n,)."""
    if len(weights) == weights.size:
        return None  # any two vectors are multiples of each other, entry by entry
    some, same = (array[:1].flat[:SAMPLE][np.newaxis] for array in (weights, products))
    if np.abs(some * _divide(same, some) - same).max() > RELATIVE_ERROR * np.abs(same).max():
        return None
    weights, products = (np.ascontiguousarray(array).reshape(len(array), -1) for array in (weights, products))
    higher = lower = factors = _divide(products, weights)
    is_exact = np.zeros(len(weights), bool)
    for _ in range(MAX_ULPS + 1):
        for candidates in (higher, lower):
            is_new = ~is_exact & (_bits(weights * candidates[:, np.newaxis]) == _bits(products)).all(axis=1)
            factors = np.where(is_new, candidates, factors)
            is_exact |= is_new
        if is_exact.all():
            return factors
        higher, lower = np.nextafter(higher, np.float32(np.inf)), np.nextafter(lower, np.float32(-np.inf))
    return None


def _divide(products: NDArray[np.float32], weights: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the quotients at the largest weight of each row, float32 (n,); 0 for rows of zeros."""
    rows, largest = np.arange(len(weights)), np.abs(weights).argmax(axis=1)
    divisors = weights[rows, largest]
    quotients: NDArray[np.float32] = np.divide(
        products[rows, largest], divisors, out=np.zeros_like(divisors), where=divisors != 0
    )
    return quotients


def _bits(values: NDArray[np.float32]) -> NDArray[np.uint32]:
    return values.view(np.uint32)


def _is_same(first: NDArray[np.float32], second: NDArray[np.float32]) -> bool:
    """Return whether two arrays are equal to the last bit."""
    index = (0,) * first.ndim
    return first[index] == second[index] and first.tobytes() == second.tobytes()


def _drop_ones(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(length for length in shape if length > 1)


def _align(factors: NDArray[np.float32], axis: int, ndim: int) -> NDArray[np.float32]:
    """Return factors in a shape that multiplies an axis."""
    return factors.reshape([-1 if number == axis else 1 for number in range(ndim)])
