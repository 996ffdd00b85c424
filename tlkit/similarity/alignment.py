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
    Grey,
    blur_matrix,
    measure_detail,
    measure_window,
    normalise,
    orient,
    subtract_blur,
    window_matrix,
)

WORTH_FITTING, WORTH_REFINING = 0.5, (0.5, 0.8, 0.85)
"""Correlations, at the best window and after the fit at each size, from which on a pair is fitted further."""
MIN_OVERLAP = 0.6
"""Fraction of the smaller picture that must lie within the other."""
_MIN_AREA = 0.05
_SEARCHED_EDGE = 8
WINDOWS = [
    (scale, left, top)
    for scale, offsets in ((1.0, (0.0,)), (0.87, (0.0, 0.065, 0.13)), (0.74, (0.02, 0.13, 0.24)))
    for left in offsets
    for top in offsets
]
"""Scale, left and top, fractions of the edge, of the windows from which a fit begins."""
_SIZES, _STEPS_OF_FIT = (8, 16, 32), (4, 4, 3)
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
    """Lay pictures over each other, in threads. Takes about 1 ms of processor time a pair.

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
    score, orientation, window = find_window(first, second)
    other_score, other_orientation, other_window = find_window(second, first)
    is_first = other_score > score
    found.part_is_first[rows] = is_first
    orientation = found.orientation[rows] = np.where(is_first, other_orientation, orientation)
    score = np.maximum(score, other_score)
    window = np.where(is_first[:, None], other_window, window)
    found.scale[rows] = window[:, :1]
    chosen = np.flatnonzero(score >= WORTH_FITTING)
    if not len(chosen):
        return
    swapped = is_first[chosen, None, None]
    whole = np.where(swapped, second[chosen], first[chosen])
    part = np.where(swapped, first[chosen], second[chosen])
    part = np.ascontiguousarray(orient(part)[np.arange(len(chosen)), orientation[chosen]])
    agreement, maps = _fit(whole, part, window[chosen])
    places = np.arange(rows.start, rows.stop)[chosen]
    found.agreement[places] = agreement
    found.scale[places] = np.linalg.norm(maps[:, :, :2], axis=1)[:, ::-1]
    found.angle[places] = np.degrees(np.arctan2(maps[:, 1, 0] - maps[:, 0, 1], maps[:, 0, 0] + maps[:, 1, 1]))


def find_window(whole: Grey, part: Grey) -> tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.float32]]:
    """Find the window of each whole picture that is most like the part in any orientation, both (n, edge, edge).

    Returns:
        Its correlation, float32 (n,); the orientation of the part, int64 (n,); and the window as scale, left and top,
        fractions of the whole's edge, float32 (n, 3).
    """
    details = measure_detail(part, _SEARCHED_EDGE).reshape(-1, _SEARCHED_EDGE, _SEARCHED_EDGE)
    turned = orient(details).reshape(len(part), 8, -1)
    windows = np.stack([measure_window(whole, window, _SEARCHED_EDGE) for window in WINDOWS], axis=2)
    scores = (turned @ windows).reshape(len(whole), -1)
    places = scores.argmax(axis=1)
    orientation, window = np.divmod(places, len(WINDOWS))
    return scores[np.arange(len(whole)), places], orientation, np.array(WINDOWS, np.float32)[window]


def _fit(whole: Grey, part: Grey, window: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Fit the map from the part's places to the whole's, both -0.5..0.5; return the agreement and (n, 2, 3) maps."""
    maps = np.zeros((len(whole), 2, 3))
    maps[:, 0, 0] = maps[:, 1, 1] = window[:, 0]
    maps[:, :, 2] = window[:, 1:] + window[:, :1] / 2 - 0.5
    agreement = np.zeros(len(whole), np.float32)
    chosen = np.arange(len(whole))
    for size, num_steps, worth in zip(_SIZES, _STEPS_OF_FIT, WORTH_REFINING, strict=True):
        maps[chosen], agreement[chosen] = _fit_at(size, num_steps, whole[chosen], part[chosen], maps[chosen])
        chosen = chosen[(agreement[chosen] >= worth) & (np.abs(np.linalg.det(maps[chosen, :, :2])) > _MIN_AREA)]
        if not len(chosen):
            return agreement, maps
    # What a turned picture has in its corners lies beyond the other, seen from that.
    back = np.linalg.inv(maps[chosen, :, :2])
    shift = -back @ maps[chosen, :, 2:]
    _, reverse = _fit_at(size, num_steps, part[chosen], whole[chosen], np.concatenate([back, shift], axis=2))
    agreement[chosen] = np.maximum(agreement[chosen], reverse)
    return agreement, maps


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
