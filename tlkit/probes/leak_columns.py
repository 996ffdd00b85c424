"""The columns of a leak test: each fact once, without constant columns.

Two columns are one fact if they distinguish images in the same way: `camera_width` and `image-width`, a diagnosis and
its code, centimetres and inches. Such columns share one verdict.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tlkit.metadata.columns import IMAGE_FACTS
from tlkit.metadata.encoding import Column, MetadataEncoding, NumberColumn
from tlkit.metadata.numbers import is_missing
from tlkit.probes.probe import probe_features


@dataclass(frozen=True, eq=False)
class LeakColumn:
    """A column to judge.

    Attributes:
        name: Its name.
        matrix: Its encoded values, finite float (n, w); see `probe_features`.
        is_image_fact: Whether it is a fact about the image file, under this name or another.
        is_in_table: Whether it is in a table, under this name or another.
        same_as: Other names of the same fact.
        is_filled: Which images have a value, bool (n,); None: all of them.
    """

    name: str
    matrix: NDArray[np.floating[Any]]
    is_image_fact: bool = False
    is_in_table: bool = True
    same_as: tuple[str, ...] = ()
    is_filled: NDArray[np.bool_] | None = None


@dataclass(frozen=True, eq=False)
class LeakColumns:
    """The columns to judge, and those left out.

    Attributes:
        judged: One column per fact.
        constant: Names of columns with a single value.
        unique: Names of categories with a different value for every image, which cannot be learned from.
    """

    judged: tuple[LeakColumn, ...]
    constant: tuple[str, ...] = ()
    unique: tuple[str, ...] = ()


def make_leak_columns(encoding: MetadataEncoding, rows: Sequence[Sequence[str]]) -> LeakColumns:
    """Return the facts of an encoding; `rows` are the texts of the images, one per column, n >= 1."""
    facts: dict[Hashable, list[LeakColumn]] = {}
    constant: list[str] = []
    unique: list[str] = []
    for column, texts in zip(encoding.columns, zip(*rows, strict=True), strict=True):
        matrix = probe_features(MetadataEncoding((column,)), [(text,) for text in texts])
        if (matrix == matrix[0]).all():
            (constant if len(set(map(str.strip, texts))) == 1 else unique).append(column.name)
            continue
        is_fact = column.name in IMAGE_FACTS
        filled = np.array([not is_missing(text) for text in texts])
        facts.setdefault(_describe_order(column, texts), []).append(
            LeakColumn(column.name, matrix, is_fact, not is_fact, is_filled=filled)
        )
    return LeakColumns(tuple(map(_join, facts.values())), tuple(constant), tuple(unique))


def _join(columns: Sequence[LeakColumn]) -> LeakColumn:
    first, *others = columns
    return LeakColumn(
        first.name,
        first.matrix,
        is_image_fact=any(column.is_image_fact for column in columns),
        is_in_table=any(column.is_in_table for column in columns),
        same_as=tuple(column.name for column in others),
        is_filled=first.is_filled,
    )


def _describe_order(column: Column, texts: Sequence[str]) -> Hashable:
    """Return a key that is equal for columns that are the same fact.

    It depends on which images share a value or, if hardly any do, as with sizes in bytes, on the order of the images by
    value, in either direction.
    """
    if isinstance(column, NumberColumn):
        values = np.array([column.parse(text) for text in texts])
    else:
        cells = ["" if is_missing(text) else text.strip() for text in texts]
        values = np.unique(cells, return_inverse=True)[1].astype(np.float64)
    _, firsts, ranks = np.unique(values, return_index=True, return_inverse=True, equal_nan=True)
    if 2 * len(firsts) <= len(texts):
        return "shared", firsts.argsort().argsort()[ranks].tobytes()
    if not isinstance(column, NumberColumn):
        return "unlike any other", column.name
    known = ~np.isnan(values)
    turned = np.where(known, ranks[known].max(initial=0) - ranks, ranks)
    return "ordered", min(ranks.tobytes(), turned.tobytes())
