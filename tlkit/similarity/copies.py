"""Pairs of pictures that show the same pixels: candidates from small pictures and from features, then compared closely.

A copy of the whole picture, re-encoded, resized, brightened, mirrored or turned, has the same detail at 16 x 16 pixels in
one of eight orientations; all pairs are searched for it. A part of a picture has the detail of a window of it, and a small
part or a slightly rotated picture has similar features; what comes nearest is laid over the picture. Features alone decide
nothing: photos of one scene, or of one kind of part before the same ground, have similar features, too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tlkit.similarity.alignment import UPRIGHT, align_pairs
from tlkit.similarity.groups import join_pairs
from tlkit.similarity.parts import MAX_PICTURES, propose_parts
from tlkit.similarity.pictures import DESCRIBED_EDGE, INVERSE, Grey, Pictures, describe, measure_detail, orient, turn
from tlkit.similarity.search import Pairs, find_similar_pairs, no_pairs

MIN_AGREEMENT = 0.92
"""Correlation of the detail of two pictures from which on they are copies. Different photos rarely exceed 0.9."""
MIN_PART_AGREEMENT = 0.95
"""The same where one was laid over the other to fit. Photos of dark skirts on bright grounds reach 0.94."""
MIN_UNEVEN_AGREEMENT, _EVEN = 0.97, 0.02
"""The same where one had to be squeezed to fit, by more than this: a part of the same shape need not be."""
_LIKE_DETAIL, _LIKE_FEATURES = 0.87, 0.7  # cosines from which on a pair is compared closely
_NUM_LIKE_DETAIL, _NUM_LIKE_FEATURES = 5, 3
_PAIRS_PER_PICTURE = 2.0  # to be laid over each other, of a data set in which all pictures are alike
_COMPARED_EDGE = 32
_MIN_PICTURES_FOR_MEAN, _NUM_AVERAGED = 50, 250
_AT_ONCE = 4096
_WHOLE = 0.97  # scale from which on nothing is cut off

Neighbours = tuple[NDArray[np.int64], NDArray[np.float32]]
ReadPictures = Callable[[NDArray[np.int64]], NDArray[np.uint8]]


@dataclass(frozen=True, eq=False)
class CopyPairs:
    """Pairs of copies.

    Attributes:
        first: Rows, int64 (n,).
        second: Rows, int64 (n,).
        agreement: Correlation of the detail, float32 (n,), 0.92..1.
        orientation: How the second must be turned to look like the first, by `ORIENTATIONS`: int64 (n,).
        scale: The smaller picture's edges as a fraction of the larger one's: float32 (n,), the lower of both; 1 where
            nothing is cut off.
        part_is_first: Whether the first is a part of the second, and not the other way round: bool (n,).
        angle: Degrees by which one is rotated against the other beside its orientation: float32 (n,).
    """

    first: NDArray[np.int64]
    second: NDArray[np.int64]
    agreement: NDArray[np.float32]
    orientation: NDArray[np.int64]
    scale: NDArray[np.float32]
    part_is_first: NDArray[np.bool_]
    angle: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.first)

    def join(self, *others: CopyPairs) -> CopyPairs:
        """Return these and other pairs together."""
        parts = (self, *others)
        return CopyPairs(*(np.concatenate([getattr(part, name) for part in parts]) for name in vars(self)))


@dataclass(frozen=True, eq=False)
class Sides:
    """The rows that are compared with each other: those of one side with those of the other, or all with all.

    Attributes:
        first: int64 (n,).
        second: int64 (m,), none of them in `first`; None for `first` with itself.
    """

    first: NDArray[np.int64]
    second: NDArray[np.int64] | None = None

    def propose(self, queries: NDArray[Any], base: NDArray[Any], k: int, above: float) -> Pairs:
        """Return pairs of rows whose cosine is above a limit, at most `k` for each row of the first side."""
        others = self.first if self.second is None else self.second
        first, second, cosines = find_similar_pairs(
            queries[self.first], base[others], k, above=above, only_after=self.second is None
        )
        return self.first[first], others[second], cosines

    def choose_nearest(self, nearest: Neighbours, k: int, above: float) -> Pairs:
        """Return the pairs of each row of the first side with its `k` nearest of the other."""
        is_other = np.zeros(len(nearest[0]), np.bool_)
        is_other[self.first if self.second is None else self.second] = True
        indices, cosines = nearest[0][self.first], nearest[1][self.first]
        wanted = is_other[indices] & (cosines > above)
        places, columns = np.nonzero(wanted & (wanted.cumsum(axis=1) <= k))
        return self.first[places], indices[places, columns], cosines[places, columns]


def find_copies(
    small: Pictures,
    nearest: Neighbours | None,
    read: ReadPictures,
    sides: Sides,
    *,
    has_parts: bool = True,
    advance: Callable[[int], None] = lambda count: None,
) -> CopyPairs:
    """Find copies among pictures.

    Args:
        small: All pictures, grey, stretched to a square of at least 16 pixels: (n, edge, edge), 0..255.
        nearest: The rows that are nearest to each by their features, int64 (n, k), and the cosines, float32 (n, k); without
            them, rotated copies, and those of which a third is missing, are not found.
        read: Reads pictures of some rows, ascending: grey squares of 64 pixels, uint8 (m, 64, 64).
        sides: Which rows are compared.
        has_parts: Whether parts of pictures are looked for, too; then most pictures are read.
        advance: Called with the number of pictures that have been compared since the last call, len(sides.first) in all.
    """
    first, second, orientation = _propose_by_detail(small, sides)
    average = cache(partial(_average, read, sides))
    found = _compare_whole(first, second, orientation, read, average)
    count = _Countdown(len(sides.first), advance)
    if not has_parts:
        count.reach(1.0)
        return found
    count.reach(0.2)
    proposals = [_propose_by_windows(small, sides)]
    count.reach(0.5)
    if nearest is not None:
        proposals.append(sides.choose_nearest(nearest, _NUM_LIKE_FEATURES, _LIKE_FEATURES))
    first, second = _choose(proposals, join_pairs(len(small), found.first, found.second), len(sides.first))
    found = found.join(*_compare_parts(first, second, read, average, count))
    count.reach(1.0)
    return found


class _Countdown:
    """Reports how much is done of work in several steps, in units of the whole."""

    def __init__(self, total: int, advance: Callable[[int], None]) -> None:
        self._total, self._advance, self._done = total, advance, 0

    def reach(self, fraction: float) -> None:
        """Report that a fraction of the whole is done."""
        done = round(fraction * self._total)
        self._advance(done - self._done)
        self._done = done


def _propose_by_detail(small: Pictures, sides: Sides) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Return pairs whose detail is alike in some orientation of the second, and that orientation."""
    described = describe(small)
    common = described.mean(axis=0) if len(small) >= _MIN_PICTURES_FOR_MEAN else np.zeros((), np.float32)
    found = []
    for number in range(8):
        turned = turn(described.reshape(-1, DESCRIBED_EDGE, DESCRIBED_EDGE), INVERSE[number]).reshape(described.shape)
        # What all pictures share is not turned with them.
        first, second, cosines = sides.propose(turned - common, described - common, _NUM_LIKE_DETAIL, _LIKE_DETAIL)
        found.append((first, second, np.full(len(first), number), cosines))
    first, second, orientation, cosines = (np.concatenate(parts) for parts in zip(*found, strict=True))
    if sides.second is None:
        swapped = first > second
        first, second = np.where(swapped, second, first), np.where(swapped, first, second)
        orientation = np.where(swapped, INVERSE[orientation], orientation)
    order = np.lexsort((-cosines, second, first))
    is_new = np.ones(len(order), np.bool_)
    is_new[1:] = (np.diff(first[order]) != 0) | (np.diff(second[order]) != 0)
    kept = order[is_new]
    return first[kept], second[kept], orientation[kept]


def _compare_whole(
    first: NDArray[np.int64],
    second: NDArray[np.int64],
    orientation: NDArray[np.int64],
    read: ReadPictures,
    average: Callable[[], Grey | None],
) -> CopyPairs:
    """Return those pairs whose whole pictures agree, the second turned by its orientation."""
    agreement = np.zeros(len(first), np.float32)
    for start in range(0, len(first), _AT_ONCE):
        part = slice(start, start + _AT_ONCE)
        one, other = _read_pairs(first[part], second[part], read)
        agreement[part] = _agree(one, _turn_each(other, orientation[part]), MIN_AGREEMENT, average)
    kept = np.flatnonzero(agreement >= MIN_AGREEMENT)
    ones = np.ones(len(kept), np.float32)
    return CopyPairs(
        first[kept], second[kept], agreement[kept], orientation[kept], ones, np.zeros(len(kept), np.bool_), 0 * ones
    )


def _propose_by_windows(small: Pictures, sides: Sides) -> Pairs:
    """Return pairs of which one may be a part of the other."""
    if len(sides.first) + (0 if sides.second is None else len(sides.second)) > MAX_PICTURES:
        return no_pairs()
    if sides.second is None:
        return propose_parts(small, sides.first, sides.first)
    first, second, cosines = propose_parts(small, sides.first, sides.second)
    swapped = propose_parts(small, sides.second, sides.first)
    return (
        np.concatenate([first, swapped[1]]),
        np.concatenate([second, swapped[0]]),
        np.concatenate([cosines, swapped[2]]),
    )


def _choose(
    proposals: list[Pairs], groups: NDArray[np.int64], num_pictures: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the pairs to lay over each other, the most similar of each proposal first, one for any two groups so far."""
    ordered = [[each[np.argsort(-cosines, kind="stable")] for each in pair] for *pair, cosines in proposals]
    share = round(_PAIRS_PER_PICTURE * num_pictures / len(proposals))
    own = np.where(groups < 0, len(groups) + np.arange(len(groups)), groups)
    chosen: list[list[NDArray[np.int64]]] = []
    for first, second in ordered:
        low, high = np.minimum(own[first], own[second]), np.maximum(own[first], own[second])
        apart = np.flatnonzero(low != high)
        _, kept = np.unique(np.stack([low, high])[:, apart], axis=1, return_index=True)
        some = apart[np.sort(kept)][:share]
        chosen.append([np.minimum(first[some], second[some]), np.maximum(first[some], second[some])])
    pairs = np.unique(np.concatenate(chosen, axis=1), axis=1)
    return pairs[0], pairs[1]


def _compare_parts(
    first: NDArray[np.int64],
    second: NDArray[np.int64],
    read: ReadPictures,
    average: Callable[[], Grey | None],
    count: _Countdown,
) -> Iterator[CopyPairs]:
    """Yield those pairs of which one agrees with a part of the other."""
    for start in range(0, len(first), _AT_ONCE):
        part = slice(start, start + _AT_ONCE)
        one, other = _read_pairs(first[part], second[part], read)
        lies = align_pairs(one, other)
        count.reach(0.5 + 0.5 * min(1.0, (start + _AT_ONCE) / len(first)))
        orientation = np.where(lies.part_is_first, INVERSE[lies.orientation], lies.orientation)
        scale = lies.scale.min(axis=1)
        # Of pictures that lie wholly on each other, what all pictures share must not decide.
        agreement = lies.agreement.copy()
        is_whole = (scale >= _WHOLE) & (np.abs(lies.angle) < UPRIGHT) & (agreement >= MIN_PART_AGREEMENT)
        turned = _turn_each(other[is_whole], orientation[is_whole])
        agreement[is_whole] = np.minimum(agreement[is_whole], _agree(one[is_whole], turned, 0.0, average))
        is_even = np.abs(np.log(lies.scale[:, 0] / lies.scale[:, 1])) <= _EVEN
        kept = np.flatnonzero(agreement >= np.where(is_even, MIN_PART_AGREEMENT, MIN_UNEVEN_AGREEMENT))
        yield CopyPairs(
            first[part][kept],
            second[part][kept],
            agreement[kept],
            orientation[kept],
            np.where(scale < _WHOLE, scale, 1)[kept].astype(np.float32),
            lies.part_is_first[kept],
            lies.angle[kept],
        )


def _read_pairs(
    first: NDArray[np.int64], second: NDArray[np.int64], read: ReadPictures
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    rows, places = np.unique(np.concatenate([first, second]), return_inverse=True)
    pictures = read(rows)
    return pictures[places[: len(first)]], pictures[places[len(first) :]]


def _turn_each(pictures: NDArray[Any], orientation: NDArray[np.int64]) -> NDArray[Any]:
    return orient(pictures)[np.arange(len(pictures)), orientation]


def _agree(
    first: NDArray[np.uint8], second: NDArray[np.uint8], limit: float, average: Callable[[], Grey | None]
) -> Grey:
    """Return how well the detail of pictures agrees, float32 (n,), from a limit on without the detail that all share."""
    agreement = _correlate(first, second, None)
    likely = np.flatnonzero(agreement >= limit)
    if len(likely):  # the average takes reading pictures
        agreement[likely] = _correlate(first[likely], second[likely], average())
    return agreement


def _correlate(first: NDArray[np.uint8], second: NDArray[np.uint8], average: Grey | None) -> Grey:
    """Return how well the detail of pictures agrees, float32 (n,), at most as well as without a detail that is given."""
    one, other = measure_detail(first, _COMPARED_EDGE), measure_detail(second, _COMPARED_EDGE)
    agreement: Grey = (one * other).sum(axis=1)
    if average is not None:
        one, other = one - average, other - average
        lengths = np.maximum(np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1), 1e-6)
        agreement = np.minimum(agreement, (one * other).sum(axis=1) / lengths)
    return agreement


def _average(read: ReadPictures, sides: Sides) -> Grey | None:
    """Return the mean detail of some of the pictures, float (1024,); None of too few."""
    rows = np.unique(sides.first if sides.second is None else np.concatenate([sides.first, sides.second]))
    if len(rows) < _MIN_PICTURES_FOR_MEAN:
        return None
    some = rows[np.linspace(0, len(rows) - 1, min(len(rows), _NUM_AVERAGED)).astype(np.int64)]
    mean: Grey = measure_detail(read(np.unique(some)), _COMPARED_EDGE).mean(axis=0)
    return mean
