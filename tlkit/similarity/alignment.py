"""Whether one picture shows the same pixels as another, or as a part of it, turned, mirrored or slightly skewed.

A part of one picture is laid over the other: first the best of some windows, in eight orientations, then an affine map
fitted to the detail of both by least squares, with a gain for the light (Lucas and Kanade 1981, "An Iterative Image
Registration Technique"; Evangelidis and Psarakis 2008, "Parametric Image Alignment Using Enhanced Correlation Coefficient
Maximization"). The answer is the correlation of the detail where they overlap.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tlkit.similarity.pictures import (
    BLUR,
    FAINT,
    INVERSE,
    Grey,
    blur_matrix,
    measure_detail,
    measure_window,
    normalise,
    orient,
    subtract_blur,
    turn,
    window_matrix,
)

WORTH_FITTING, WORTH_REFINING = 0.5, (0.5, 0.8, 0.85)
"""Correlations, at the best window and after the fit at each size, from which on a guess is fitted further."""
MIN_OVERLAP = 0.6
"""Fraction of the smaller picture that must lie within the other."""
UPRIGHT = 1.5
"""Degrees up to which a picture is not rotated."""
_MIN_AREA = 0.05
_SEARCHED_EDGE = 12
_WINDOWS = [
    (scale, left, top)
    for scale, offsets in ((1.0, (0.0,)), (0.87, (0.0, 0.065, 0.13)), (0.72, (0.01, 0.1, 0.18, 0.27)))
    for left in offsets
    for top in offsets
]
"""Scale, left and top, fractions of the edge, of the windows from which a fit begins."""
_NUM_GUESSES = 2
_SIZES, _STEPS_OF_FIT = (12, 24, 32), (5, 3, 3)
_PAIRS_AT_ONCE = 64


@dataclass(frozen=True, eq=False)
class Alignment:
    """How pairs of pictures lie on each other.

    Attributes:
        agreement: Correlation of their detail where they overlap, float32 (n,), -1..1; 0 where they do not overlap.
        orientation: How the picture that is the part must be turned, by `ORIENTATIONS`: int64 (n,).
        part_is_first: Whether the first picture is the part: bool (n,).
        scale: Edge of the part as a fraction of the whole's edge, (height, width): float32 (n, 2).
        angle: Degrees, counterclockwise, by which it is turned beside its orientation: float32 (n,).
    """

    agreement: NDArray[np.float32]
    orientation: NDArray[np.int64]
    part_is_first: NDArray[np.bool_]
    scale: NDArray[np.float32]
    angle: NDArray[np.float32]


def align_pairs(
    first: NDArray[np.uint8], second: NDArray[np.uint8], advance: Callable[[int], None] = lambda count: None
) -> Alignment:
    """Lay pictures over each other, in threads. Takes about 0.5 ms of processor time a pair.

    Args:
        first: Grey, square, uint8 (n, edge, edge).
        second: Likewise, one for each of `first`.
        advance: Called with the number of pairs done since the last call.
    """
    num_pairs = len(first)
    found = Alignment(
        np.zeros(num_pairs, np.float32),
        np.zeros(num_pairs, np.int64),
        np.zeros(num_pairs, np.bool_),
        np.ones((num_pairs, 2), np.float32),
        np.zeros(num_pairs, np.float32),
    )

    def align(start: int) -> int:
        part = slice(start, min(start + _PAIRS_AT_ONCE, num_pairs))
        _align_block(found, part, first[part].astype(np.float32), second[part].astype(np.float32))
        return part.stop - start

    # The products are so small that BLAS uses one thread for each.
    pool = ThreadPoolExecutor(os.cpu_count(), thread_name_prefix="align")
    try:
        for future in [pool.submit(align, start) for start in range(0, num_pairs, _PAIRS_AT_ONCE)]:
            advance(future.result())
    finally:
        pool.shutdown(cancel_futures=True)
    return found


def _align_block(found: Alignment, rows: slice, first: Grey, second: Grey) -> None:
    guesses = [_guess(first, second, part_is_first=False), _guess(second, first, part_is_first=True)]
    guess = _Guess(*(np.concatenate([getattr(each, name) for each in guesses]) for name in vars(guesses[0])))
    guess = guess.take(np.flatnonzero(guess.score >= WORTH_FITTING))
    for size, num_steps, worth in zip(_SIZES, _STEPS_OF_FIT, WORTH_REFINING, strict=True):
        if not len(guess.pair):
            return
        whole, part = guess.look_up(first, second)
        guess.maps[:], guess.score[:] = _fit_at(size, num_steps, whole, part, guess.maps)
        guess = guess.take(guess.find_best())
        pairs = guess.pair + rows.start
        found.agreement[pairs] = guess.score
        found.orientation[pairs], found.part_is_first[pairs] = guess.orientation, guess.part_is_first
        found.scale[pairs] = np.linalg.norm(guess.maps[:, :, :2], axis=1)[:, ::-1]
        found.angle[pairs] = np.degrees(
            np.arctan2(guess.maps[:, 1, 0] - guess.maps[:, 0, 1], guess.maps[:, 0, 0] + guess.maps[:, 1, 1])
        )
        is_flat = np.abs(np.linalg.det(guess.maps[:, :, :2])) < _MIN_AREA
        guess = guess.take(np.flatnonzero((guess.score >= worth) & ~is_flat))
    _finish(found, guess, rows.start, first, second)


def _finish(found: Alignment, guess: _Guess, start: int, first: Grey, second: Grey) -> None:
    """Look at the pairs that lie on each other the other way round."""
    # Of two whole pictures it may have been the larger one that was taken for the part.
    pairs = guess.pair[np.linalg.det(guess.maps[:, :, :2]) > 1] + start
    found.orientation[pairs] = INVERSE[found.orientation[pairs]]
    found.part_is_first[pairs] = ~found.part_is_first[pairs]
    found.scale[pairs] = 1 / found.scale[pairs]
    # What a rotated picture has in its corners lies beyond the other, seen from that.
    guess = guess.take(np.flatnonzero(np.abs(found.angle[guess.pair + start]) >= UPRIGHT))
    if len(guess.pair):
        whole, part = guess.look_up(first, second)
        reverse = _fit_at(_SIZES[-1], _STEPS_OF_FIT[-1], part, whole, _invert(guess.maps))[1]
        pairs = guess.pair + start
        found.agreement[pairs] = np.maximum(found.agreement[pairs], reverse)


@dataclass(frozen=True, eq=False)
class _Guess:
    """How pairs may lie on each other; a pair has several.

    Attributes:
        pair: Place of the pair, int64 (m,).
        score: Correlation, float32 (m,).
        orientation: Of the part, int64 (m,).
        part_is_first: Whether the first picture is the part, bool (m,).
        maps: From the part's places to the whole's, both -0.5..0.5: float64 (m, 2, 3).
    """

    pair: NDArray[np.int64]
    score: NDArray[np.float32]
    orientation: NDArray[np.int64]
    part_is_first: NDArray[np.bool_]
    maps: NDArray[np.float64]

    def take(self, places: NDArray[np.int64]) -> _Guess:
        """Return the guesses at some places."""
        return _Guess(*(value[places] for value in vars(self).values()))

    def find_best(self) -> NDArray[np.int64]:
        """Return the place of the best guess of each pair."""
        order = np.lexsort((-self.score, self.pair))
        return order[np.unique(self.pair[order], return_index=True)[1]]

    def look_up(self, first: Grey, second: Grey) -> tuple[Grey, Grey]:
        """Return the wholes, and the parts in their orientations."""
        swapped = self.part_is_first[:, None, None]
        whole = np.where(swapped, second[self.pair], first[self.pair])
        part = np.where(swapped, first[self.pair], second[self.pair])
        for number in range(1, 8):
            chosen = self.orientation == number
            part[chosen] = turn(part[chosen], number)
        return whole, part


def _guess(whole: Grey, part: Grey, *, part_is_first: bool) -> _Guess:
    """Return the most similar window of each whole, for the two orientations of the part that are most like one."""
    details = measure_detail(part, _SEARCHED_EDGE).reshape(-1, _SEARCHED_EDGE, _SEARCHED_EDGE)
    turned = orient(details).reshape(len(part), 8, -1)
    windows = np.stack([measure_window(whole, window, _SEARCHED_EDGE) for window in _WINDOWS], axis=2)
    scores = turned @ windows
    orientation = np.argsort(-scores.max(axis=2), axis=1)[:, :_NUM_GUESSES].ravel()
    pair = np.repeat(np.arange(len(part)), _NUM_GUESSES)
    of_orientation = scores[pair, orientation]
    scale, left, top = np.array(_WINDOWS)[of_orientation.argmax(axis=1)].T
    maps = np.zeros((len(pair), 2, 3))
    maps[:, 0, 0] = maps[:, 1, 1] = scale
    maps[:, 0, 2], maps[:, 1, 2] = left + scale / 2 - 0.5, top + scale / 2 - 0.5
    return _Guess(pair, of_orientation.max(axis=1), orientation, np.full(len(pair), part_is_first), maps)


def _invert(maps: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the maps that undo affine maps, (n, 2, 3)."""
    back = np.linalg.inv(maps[:, :, :2])
    return np.concatenate([back, -back @ maps[:, :, 2:]], axis=2)


def _fit_at(
    size: int, num_steps: int, whole: Grey, part: Grey, maps: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
    """Return maps fitted at a size in pixels, and the agreement."""
    shrink = window_matrix(1.0, 0.0, edge=whole.shape[-1], size=2 * size)
    one, other = (shrink @ pictures @ shrink.T for pictures in (whole, part))
    maps = _improve(maps, one, other, size, num_steps)
    return maps, _compare(one, other, maps, size)


def _improve(maps: NDArray[np.float64], whole: Grey, part: Grey, size: int, num_steps: int) -> NDArray[np.float64]:
    """Return maps improved by Gauss-Newton steps at a size in pixels."""
    num_pairs, edge = len(whole), whole.shape[-1]
    shrink = window_matrix(1.0, 0.0, edge=edge, size=size)
    wanted = normalise(subtract_blur(shrink @ part @ shrink.T), FAINT * size)
    fine, coarse = blur_matrix(edge, 0.4 * edge / size), blur_matrix(edge, BLUR * edge / size)
    detail = fine @ whole @ fine.T - coarse @ whole @ coarse.T
    across, down = _list_places(size)
    for _ in range(num_steps):
        values, right, below, inside = _sample(detail, maps, size)
        slopes = [right * across, right * down, right, below * across, below * down, below]
        design = np.stack([*slopes, values, np.ones_like(values)], axis=1) * inside[:, None]
        squares = design @ design.transpose(0, 2, 1)
        ridge = 1e-6 * np.trace(squares, axis1=1, axis2=2) / 8 + 1e-9
        squares = squares.astype(np.float64) + ridge[:, None, None] * np.eye(8)
        solved = np.linalg.solve(squares, (design @ wanted[:, :, None]).astype(np.float64))[:, :, 0]
        gain = solved[:, 6:7]
        steps = np.divide(solved[:, :6], gain, out=np.zeros((num_pairs, 6)), where=gain > 1e-9)
        maps = maps + np.clip(steps, -0.1, 0.1).reshape(-1, 2, 3)
    return maps


def _compare(whole: Grey, part: Grey, maps: NDArray[np.float64], size: int) -> NDArray[np.float32]:
    """Return the correlation of the detail where the pictures overlap, float32 (n,); 0 if that is too little."""
    num_pairs, edge = len(whole), whole.shape[-1]
    shrink = window_matrix(1.0, 0.0, edge=edge, size=size)
    fine = blur_matrix(edge, 0.3 * edge / size)
    values, _, _, inside = _sample(fine @ whole @ fine.T, maps, size)
    mask = inside.reshape(num_pairs, size, size)
    blur = blur_matrix(size, BLUR)
    weights = np.maximum(blur @ mask @ blur.T, 1e-3)
    counts = np.maximum(inside.sum(axis=1), 1)[:, None, None]

    def measure(pictures: Grey) -> Grey:
        detail = (pictures - blur @ (pictures * mask) @ blur.T / weights) * mask
        return normalise((detail - detail.sum(axis=(1, 2), keepdims=True) / counts) * mask, FAINT * size)

    agreement: Grey = (measure(values.reshape(num_pairs, size, size)) * measure(shrink @ part @ shrink.T)).sum(axis=1)
    return np.where(inside.mean(axis=1) >= MIN_OVERLAP, agreement, 0).astype(np.float32)


def _list_places(size: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the columns and rows of a picture's pixels, -0.5..0.5: float32 (size²,) each."""
    centres = ((np.arange(size) + 0.5) / size - 0.5).astype(np.float32)
    return np.tile(centres, size), np.repeat(centres, size)


def _sample(pictures: Grey, maps: NDArray[np.float64], size: int) -> tuple[Grey, Grey, Grey, Grey]:
    """Return bilinear samples, float32 (n, size²), their slopes along both axes, and 1 where they lie within."""
    num_pairs, edge = len(pictures), pictures.shape[-1]
    places = np.stack([*_list_places(size), np.ones(size * size, np.float32)])
    columns, rows = np.moveaxis((maps.astype(np.float32) @ places + 0.5) * edge - 0.5, 1, 0)
    inside = (columns > -0.75) & (columns < edge - 0.25) & (rows > -0.75) & (rows < edge - 0.25)
    left = np.clip(np.floor(columns), 0, edge - 2).astype(np.int32)
    top = np.clip(np.floor(rows), 0, edge - 2).astype(np.int32)
    across, down = np.clip(columns - left, 0, 1), np.clip(rows - top, 0, 1)
    flat = pictures.reshape(-1)
    corner = top * edge + left + (np.arange(num_pairs) * edge * edge)[:, None]
    here, right, below, beyond = (flat[corner + step] for step in (0, 1, edge, edge + 1))
    upper, lower = here + (right - here) * across, below + (beyond - below) * across
    slope = ((right - here) * (1 - down) + (beyond - below) * down) * edge
    return upper + (lower - upper) * down, slope, (lower - upper) * edge, inside.astype(np.float32)
