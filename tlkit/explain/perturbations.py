"""Maps of how an output changes when parts of the input are covered, with numpy alone.

The input may be a picture or a feature map, both arrays (height, width, channels), or several maps in one vector; covering
a part replaces it by a fill. Covers are laid out on a grid over the picture, so that a method costs the same on a large
map as on a small one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Scorer = Callable[[NDArray[Any], NDArray[np.int64]], NDArray[np.floating[Any]]]
"""Takes inputs (m, ...) and the number of the image that each comes from, int64 (m,); returns (m,)."""
Spread = Callable[[NDArray[np.floating[Any]]], NDArray[np.float32]]
"""Takes masks over the picture, float (m, rows, columns), and returns weights that broadcast against inputs (m, ...)."""

MAX_GRID = 14
PATCH_CELLS = 3
NUM_RISE_MASKS = 400
RISE_GRID = 7
RISE_KEPT = 0.5
BYTES_AT_ONCE = 16_000_000


@dataclass(frozen=True)
class Canvas:
    """What masks are laid over.

    Attributes:
        size: (height, width), in pixels or in cells of the finest map.
        spread: Makes weights for the inputs of masks.
    """

    size: tuple[int, int]
    spread: Spread


def make_canvas(size: tuple[int, int]) -> Canvas:
    """Return what masks are laid over where inputs are pictures or maps of this size, (n, height, width, channels)."""
    return Canvas(size, lambda masks: resize_masks(masks, size)[..., np.newaxis])


def compute_occlusion(
    inputs: NDArray[Any], fill: NDArray[Any], score: Scorer, canvas: Canvas, *, max_grid: int = MAX_GRID
) -> NDArray[np.float32]:
    """Return how far the output falls where a patch of 3 × 3 cells around each place is covered.

    Zeiler and Fergus, 2013, https://arxiv.org/abs/1311.2901.

    Args:
        inputs: (n, height, width, channels), or several maps in a vector, (n, width).
        fill: What covers them; broadcasts against `inputs`.
        score: The output that is explained.
        canvas: How masks are laid over the inputs.
        max_grid: Most cells along an edge; a feature map up to this size has its own cells.

    Returns:
        float32 (n, rows, columns), in the unit of the output.
    """
    grid = tuple(min(max_grid, size) for size in canvas.size)
    masks = np.stack([_uncovered_around(place, grid) for place in np.ndindex(grid)])
    whole = score(inputs, np.arange(len(inputs)))
    covered = _score_masked(inputs, fill, masks, score, canvas)
    return (whole[:, np.newaxis] - covered).reshape(-1, *grid).astype(np.float32)


def compute_rise(
    inputs: NDArray[Any],
    fill: NDArray[Any],
    score: Scorer,
    canvas: Canvas,
    *,
    num_masks: int = NUM_RISE_MASKS,
    seed: int = 0,
) -> NDArray[np.float32]:
    """Return how much higher the output is where a place is visible under random smooth masks than on average.

    Petsiuk et al., 2018, https://arxiv.org/abs/1806.07421, with the mean subtracted, so that positive values are evidence for the output.

    Args:
        inputs: As in `compute_occlusion`.
        fill: As in `compute_occlusion`.
        score: As in `compute_occlusion`.
        canvas: As in `compute_occlusion`.
        num_masks: More give a smoother map.
        seed: Draws the masks, which are the same for all images.

    Returns:
        float32 (n, rows, columns), in the unit of the output.
    """
    height, width = (min(4 * RISE_GRID, size) for size in canvas.size)
    masks = _draw_rise_masks((height, width), num_masks, seed)
    outputs = _score_masked(inputs, fill, masks, score, canvas)
    centred = outputs - outputs.mean(axis=1, keepdims=True)
    share = masks.mean(axis=0) * (1 - masks.mean(axis=0)) * num_masks
    found: NDArray[np.float32] = (np.tensordot(centred, masks, axes=1) / np.maximum(share, 1e-6)).astype(np.float32)
    return found


def resize_masks(masks: NDArray[np.floating[Any]], size: tuple[int, int]) -> NDArray[np.float32]:
    """Return masks (n, rows, columns) at another size by repeating cells: float32 (n, *size)."""
    rows = np.arange(size[0]) * masks.shape[1] // size[0]
    columns = np.arange(size[1]) * masks.shape[2] // size[1]
    resized: NDArray[np.float32] = masks[:, rows][:, :, columns].astype(np.float32)
    return resized


def mask_inputs(
    inputs: NDArray[Any], fill: NDArray[Any], weights: NDArray[np.floating[Any]]
) -> NDArray[np.floating[Any] | np.uint8]:
    """Return inputs (n, ...) where weights, which broadcast against them, are 1, and the fill where they are 0."""
    blended: NDArray[np.floating[Any]] = inputs * weights + fill * (1 - weights)
    return np.rint(blended).astype(np.uint8) if inputs.dtype == np.uint8 else blended.astype(np.float32)


def _uncovered_around(place: tuple[int, ...], grid: tuple[int, ...]) -> NDArray[np.float32]:
    mask = np.ones(grid, np.float32)
    reach = PATCH_CELLS // 2
    rows, columns = (slice(max(0, middle - reach), middle + reach + 1) for middle in place)
    mask[rows, columns] = 0
    return mask


def _draw_rise_masks(size: tuple[int, int], num_masks: int, seed: int) -> NDArray[np.float32]:
    """Return random grids, enlarged bilinearly and shifted by a part of a cell: float32 (n, *size), 0..1."""
    rng = np.random.default_rng(seed)
    cells = (rng.random((num_masks, RISE_GRID + 2, RISE_GRID + 2)) < RISE_KEPT).astype(np.float32)
    shifts = rng.random((num_masks, 2))
    masks = np.empty((num_masks, *size), np.float32)
    for number in range(num_masks):
        down, across = (_interpolation(length, shift) for length, shift in zip(size, shifts[number], strict=True))
        masks[number] = down @ cells[number] @ across.T
    return masks


def _interpolation(length: int, shift: float) -> NDArray[np.float32]:
    """Return the weights of the cells along one axis: float32 (length, RISE_GRID + 2)."""
    places = (np.arange(length) + 0.5) * RISE_GRID / length + shift
    low = np.minimum(places.astype(int), RISE_GRID)
    weights = np.zeros((length, RISE_GRID + 2), np.float32)
    weights[np.arange(length), low] = 1 - (places - low)
    weights[np.arange(length), low + 1] = places - low
    return weights


def _score_masked(
    inputs: NDArray[Any], fill: NDArray[Any], masks: NDArray[np.float32], score: Scorer, canvas: Canvas
) -> NDArray[np.float64]:
    """Return the output of every image under every mask: float64 (n, masks)."""
    fills = np.broadcast_to(fill, inputs.shape)
    outputs = np.empty((len(inputs), len(masks)))
    for number in range(len(inputs)):
        for part in _slices(len(masks), inputs[number].size * 4):
            weights = canvas.spread(masks[part])
            rows = mask_inputs(inputs[number][np.newaxis], fills[number][np.newaxis], weights)
            outputs[number, part] = score(rows, np.full(len(rows), number))
    return outputs


def _slices(num_rows: int, row_bytes: int) -> Iterator[slice]:
    step = max(1, BYTES_AT_ONCE // row_bytes)
    for start in range(0, num_rows, step):
        yield slice(start, min(start + step, num_rows))
