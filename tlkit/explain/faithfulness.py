"""Measure whether a map of evidence tells the truth about its model; nothing but numpy and Pillow.

A map is compared with guesses that know nothing of the model: the same map shifted to random places, the centre of the
picture, and the length of the feature vector. Deletion and insertion tell a map from a guess, not one method from
another; class specificity and randomised weights do.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from tlkit.explain.perturbations import mask_inputs, resize_masks
from tlkit.outputs import Box

PictureScorer = Callable[[NDArray[np.uint8]], NDArray[np.floating[Any]]]
"""Takes pictures, uint8 (m, height, width, 3), and returns the output that is explained for each, (m,)."""

NUM_STEPS = 8
NUM_SHIFTS = 2
GRID = 14
BLUR_SHARE = 0.1
"""Radius of the blur that covers parts of a picture, as a share of its edge."""


@dataclass(frozen=True)
class DeletionScore:
    """How fast an output falls while parts of a picture are covered.

    Attributes:
        by_map: Mean output while the picture is covered, strongest evidence first; lower is better.
        by_guess: The same with the map shifted to random places.
    """

    by_map: float
    by_guess: float

    @property
    def gain(self) -> float:
        """How much more the output falls by the map than by a guess; 0 or less: the map tells nothing."""
        return self.by_guess - self.by_map


def blur_picture(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return a picture, uint8 (height, width, 3), without any detail, which is what covers parts of it."""
    radius = BLUR_SHARE * max(picture.shape[:2])
    return np.asarray(Image.fromarray(picture).filter(ImageFilter.GaussianBlur(radius)))


def score_deletion(
    picture: NDArray[np.uint8], evidence: NDArray[np.floating[Any]], score: PictureScorer, *, seed: int = 0
) -> DeletionScore:
    """Cover a picture step by step in the order of a map, and of the same map at random places.

    A shifted map covers areas of the same shape, so that the comparison is about where the evidence is, not about how
    much harm a scattered cover does. Costs 21 pictures through the network.

    Petsiuk et al., 2018, https://arxiv.org/abs/1806.07421.

    Args:
        picture: The network's input, uint8 (height, width, 3), RGB, 0..255.
        evidence: Its map, float (h, w), higher where more speaks for the output.
        score: The output, such as a probability.
        seed: Draws the shifts.
    """
    rng = np.random.default_rng(seed)
    grid = _to_grid(evidence)
    maps = [grid, *(_shift(grid, rng) for _ in range(NUM_SHIFTS))]
    visible = np.concatenate([_cover_in_order(one) for one in maps])
    covered = _cover(picture, visible)
    outputs = np.asarray(score(covered), np.float64).reshape(len(maps), -1).mean(axis=1)
    return DeletionScore(float(outputs[0]), float(outputs[1:].mean()))


def score_insertion_and_deletion(
    picture: NDArray[np.uint8], evidence: NDArray[np.floating[Any]], score: PictureScorer
) -> tuple[float, float]:
    """Return the mean output while the strongest evidence is shown first, and while it is covered first."""
    grid = _to_grid(evidence)
    visible = np.concatenate([_cover_in_order(-grid), _cover_in_order(grid)])
    covered = _cover(picture, visible)
    outputs = np.asarray(score(covered), np.float64).reshape(2, -1).mean(axis=1)
    return float(outputs[0]), float(outputs[1])


def points_into_box(evidence: NDArray[np.floating[Any]], box: Box) -> bool:
    """Return whether the strongest evidence lies in a box, given in fractions of the picture, 0..1.

    Zhang et al., 2016, https://arxiv.org/abs/1608.00507.
    """
    row, column = np.unravel_index(int(np.argmax(evidence)), evidence.shape)
    down, across = (row + 0.5) / evidence.shape[0], (column + 0.5) / evidence.shape[1]
    left, top, right, bottom = box
    return bool(left < across < right and top < down < bottom)


def measure_energy_in_box(evidence: NDArray[np.floating[Any]], box: Box) -> float:
    """Return the share of the evidence for an output that lies in a box, in fractions of the picture: 0..1; NaN if none."""
    fine = np.maximum(resize_masks(evidence[np.newaxis].astype(np.float32), (112, 112))[0], 0)
    left, top, right, bottom = (round(edge * 112) for edge in box)
    total = float(fine.sum())
    return float(fine[top:bottom, left:right].sum()) / total if total > 0 else float("nan")


def make_centre_map(size: tuple[int, int]) -> NDArray[np.float32]:
    """Return a guess that the middle of the picture decides: a Gaussian, float32 (h, w)."""
    down, across = (np.linspace(-1, 1, length) for length in size)
    return np.exp(-2 * (down[:, np.newaxis] ** 2 + across**2)).astype(np.float32)


def make_mosaic(
    first: NDArray[np.uint8], second: NDArray[np.uint8], *, is_upright: bool
) -> tuple[NDArray[np.uint8], Box, Box]:
    """Return a picture of two others, one half each, and where they lie, in fractions.

    Args:
        first: On the left, or at the top; uint8 (edge, edge, 3).
        second: The other, of the same size.
        is_upright: Whether one stands above the other.
    """
    height, width = first.shape[:2]
    if is_upright:
        top, bottom = (part[height // 4 : height // 4 + height // 2] for part in (first, second))
        return np.concatenate([top, bottom]), (0, 0, 1, 0.5), (0, 0.5, 1, 1)
    left, right = (part[:, width // 4 : width // 4 + width // 2] for part in (first, second))
    return np.concatenate([left, right], axis=1), (0, 0, 0.5, 1), (0.5, 0, 1, 1)


def correlate_ranks(one: NDArray[np.floating[Any]], other: NDArray[np.floating[Any]]) -> float:
    """Return Spearman's rank correlation of two maps of the same size, -1..1; 0 where one of them is constant."""
    ranks = [np.argsort(np.argsort(each.ravel())).astype(np.float64) for each in (one, other)]
    if np.ptp(one) == 0 or np.ptp(other) == 0:
        return 0.0
    return float(np.corrcoef(ranks[0], ranks[1])[0, 1])


def _cover(picture: NDArray[np.uint8], visible: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return copies of a picture, blurred where masks (n, rows, columns) are 0: uint8 (n, height, width, 3)."""
    weights = resize_masks(visible, picture.shape[:2])[..., np.newaxis]
    return mask_inputs(picture[np.newaxis], blur_picture(picture)[np.newaxis], weights).astype(np.uint8)


def _to_grid(evidence: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
    if max(evidence.shape) <= GRID:
        return evidence.astype(np.float32)
    image = Image.fromarray(np.ascontiguousarray(evidence, np.float32))
    return np.asarray(image.resize((GRID, GRID), Image.Resampling.BOX), np.float32)


def _shift(grid: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """Return a map moved round the edges by a random distance, and mirrored by chance."""
    moved = np.roll(grid, (int(rng.integers(grid.shape[0])), int(rng.integers(grid.shape[1]))), axis=(0, 1))
    return moved[:, ::-1] if rng.random() < 0.5 else moved


def _cover_in_order(grid: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return what is visible at each step, highest values covered first: float32 (steps - 1, h, w) of 0 and 1."""
    ranks = np.argsort(np.argsort(-grid.ravel(), kind="stable"), kind="stable").reshape(grid.shape)
    limits = np.arange(1, NUM_STEPS) * grid.size / NUM_STEPS
    return (ranks >= limits[:, np.newaxis, np.newaxis]).astype(np.float32)
