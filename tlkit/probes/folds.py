"""Divide images into folds, so that each image is predicted once by a model trained on others.

Duplicates, which are images with equal keys, are never on both sides of a fold, and only the first of them is trained
on. The same arguments give the same folds.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MAX_FOLDS = 5
MIN_FOLDS = 3


@dataclass(frozen=True, eq=False)
class Fold:
    """Positions of training images and of predicted images, ascending int64."""

    train: NDArray[np.int64]
    test: NDArray[np.int64]


def make_stratified_folds(
    strata: Sequence[Hashable],
    *,
    duplicates: Sequence[Hashable] | None = None,
    seed: int = 0,
    most: int | None = None,
) -> tuple[Fold, ...]:
    """Make folds with an even share of each stratum.

    There are 5 folds, or fewer if a stratum has fewer distinct images, but at least 3; a stratum of one or two images
    is missing in some folds.

    Args:
        strata: Stratum of each image, such as its class; at least two distinct images.
        duplicates: Key of each image, such as its hash; equal keys stay together, with the first one's stratum.
        seed: Seed of the folds.
        most: Number of folds, at least 3; None for 5.

    Raises:
        ValueError: There are fewer than two distinct images.
    """
    keys = _number_keys(duplicates, len(strata))
    firsts = _find_firsts(keys)
    if len(firsts) < 2:
        raise ValueError(f"expected at least two distinct images. Received: {len(firsts)}")
    counts = Counter(strata[first] for first in firsts)
    num_folds = min(most or MAX_FOLDS, len(firsts), max(MIN_FOLDS, min(counts.values())))
    num_twins = np.bincount(keys)

    sizes = [0] * num_folds
    of_stratum: Counter[tuple[Hashable, int]] = Counter()
    fold_of_key = np.zeros(len(num_twins), np.int64)
    for first in np.random.default_rng(seed).permutation(firsts):
        stratum = strata[first]
        fold = min(range(num_folds), key=lambda each: (of_stratum[stratum, each], sizes[each], each))
        fold_of_key[keys[first]] = fold
        of_stratum[stratum, fold] += num_twins[keys[first]]
        sizes[fold] += num_twins[keys[first]]
    return _make_folds(fold_of_key[keys], keys)


def make_group_folds(
    groups: Sequence[Hashable], *, duplicates: Sequence[Hashable] | None = None, seed: int = 0
) -> tuple[Fold, ...]:
    """Make folds of whole groups: 5 of about the same size, or one per group if there are fewer.

    An image is not trained on if a duplicate of it, in another group, is held out.

    Args:
        groups: Group of each image, such as the camera.
        duplicates: Key of each image, such as its hash.
        seed: Seed for the order of groups of equal size.

    Raises:
        ValueError: There are fewer than two groups, or a fold has no training images left without its duplicates.
    """
    sizes = Counter(groups)
    if len(sizes) < 2:
        raise ValueError(f"expected at least two groups. Received: {len(sizes)}")
    names = list(sizes)
    shuffled = [names[place] for place in np.random.default_rng(seed).permutation(len(names))]
    filled = [0] * min(MAX_FOLDS, len(sizes))
    fold_of_group: dict[Hashable, int] = {}
    for group in sorted(shuffled, key=lambda each: -sizes[each]):
        fold_of_group[group] = filled.index(min(filled))
        filled[fold_of_group[group]] += sizes[group]
    fold_of = np.array([fold_of_group[group] for group in groups], np.int64)
    return _make_folds(fold_of, _number_keys(duplicates, len(groups)))


def _number_keys(duplicates: Sequence[Hashable] | None, num_images: int) -> NDArray[np.int64]:
    """Number the keys 0, 1 … by first appearance."""
    if duplicates is None:
        return np.arange(num_images)
    if len(duplicates) != num_images:
        raise ValueError(f"expected a key for each of {num_images} images. Received: {len(duplicates)} keys")
    numbers: dict[Hashable, int] = {}
    return np.array([numbers.setdefault(key, len(numbers)) for key in duplicates], np.int64)


def _find_firsts(keys: NDArray[np.int64]) -> NDArray[np.int64]:
    firsts: NDArray[np.int64] = np.sort(np.unique(keys, return_index=True)[1]).astype(np.int64)
    return firsts


def _make_folds(fold_of: NDArray[np.int64], keys: NDArray[np.int64]) -> tuple[Fold, ...]:
    folds: list[Fold] = []
    for number in range(int(fold_of.max()) + 1):
        test = np.flatnonzero(fold_of == number)
        others = np.flatnonzero(~np.isin(keys, keys[test]))
        if not len(others):
            raise ValueError("expected training images. Received: a fold with duplicates of all other images")
        folds.append(Fold(train=others[_find_firsts(keys[others])], test=test))
    return tuple(folds)
