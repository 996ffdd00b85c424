"""MixUp and CutMix: training on mixtures of two images of a batch, with targets in the same proportion.

Partners, regions and amounts are drawn from (seed, epoch) in numpy, like order and views; the mixing itself is part of
the compiled step. Each image of a batch is mixed once, with another one of the same batch.

- MixUp (Zhang et al. 2018, arXiv:1710.09412) averages two images, weighted by their shares. Cached features are mixed
  in the same way, which is manifold mixup (Verma et al. 2019, arXiv:1806.05236) at one fixed layer.
- CutMix (Yun et al. 2019, arXiv:1905.04899) pastes a rectangle of one picture into the other, in the same place.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from keras import ops
from numpy.typing import NDArray

from tlkit.tasks import Task

_STREAM = 1
"""Separates these draws from those of order and views, which are the same with and without mixing."""


@dataclass(frozen=True)
class Mix:
    """The mixing partners of some images, in training order.

    Attributes:
        partners: Place of the other image within the batch, int32 (n,).
        amounts: Weight of the other image, float32 (n,), 0..1; with regions, of its pixels within the region.
        regions: Left, top, right and bottom of its visible region, as fractions 0..1 of the input: float32 (n, 4), or
            (n, 0) if whole images are mixed.
    """

    partners: NDArray[np.int32]
    amounts: NDArray[np.float32]
    regions: NDArray[np.float32]

    @property
    def arrays(self) -> tuple[NDArray[np.generic], ...]:
        """The arguments of the compiled step, in the order of `mix_inputs`."""
        return self.partners, self.amounts, self.regions

    def part(self, images: slice) -> Mix:
        """Return the mix of some images, in whole batches."""
        return Mix(self.partners[images], self.amounts[images], self.regions[images])


@dataclass(frozen=True)
class Mixing:
    """The mixing of a stage. If both are above 0, each image gets one of the two at random.

    Attributes:
        mixup: Both parameters of the Beta distribution that MixUp's shares are drawn from; 0: no MixUp.
        cutmix: The same for CutMix, whose inputs must be pictures.
    """

    mixup: float = 0.0
    cutmix: float = 0.0

    @property
    def is_on(self) -> bool:
        """Whether anything is mixed."""
        return self.mixup > 0 or self.cutmix > 0

    def draw(self, sizes: Sequence[int], *, seed: int, epoch: int) -> Mix:
        """Draw the mix of an epoch with these batch sizes; costs some microseconds per batch."""
        generator = np.random.Generator(np.random.PCG64([seed, epoch, _STREAM]))
        partners = np.concatenate([generator.permutation(size) for size in sizes]).astype(np.int32)
        num_images = len(partners)
        amounts = np.ones(num_images) if not self.mixup else generator.beta(self.mixup, self.mixup, num_images)
        regions = np.zeros((num_images, 0))
        if self.cutmix:
            regions = _draw_regions(generator, self.cutmix, num_images)
        if self.mixup and self.cutmix:
            is_cut = generator.random(num_images) < 0.5
            amounts = np.where(is_cut, 1.0, amounts)
            regions = np.where(is_cut[:, np.newaxis], regions, [0.0, 0.0, 1.0, 1.0])
        return Mix(partners, amounts.astype(np.float32), regions.astype(np.float32))


NO_MIXING = Mixing()


def _draw_regions(generator: np.random.Generator, alpha: float, num_images: int) -> NDArray[np.float64]:
    """Return rectangles with random area and the input's aspect ratio around a random centre, cut at the edges: (n,
    4).
    """
    side = np.sqrt(generator.beta(alpha, alpha, num_images))[:, np.newaxis]
    centre = generator.random((num_images, 2))
    regions: NDArray[np.float64] = np.concatenate([centre - side / 2, centre + side / 2], axis=1).clip(0.0, 1.0)
    return regions


def mix_inputs(inputs: Any, partners: Any, amounts: Any, regions: Any) -> tuple[Any, Any]:
    """Mix each image, or feature, of a batch with its partner.

    Args:
        inputs: float32 (n, ...); with regions pictures, (n, height, width, 3).
        partners: As in `Mix`.
        amounts: Likewise.
        regions: Likewise; their edges are rounded to whole pixels.

    Returns:
        The mixtures, in the shape of `inputs`, and each image's own remaining share, float32 (n,), 0..1.
    """
    weights = ops.reshape(amounts, (-1, *(1 for _ in inputs.shape[1:])))
    shares = 1.0 - amounts
    if regions.shape[-1]:
        height, width = inputs.shape[1:3]
        edges = ops.round(regions * np.array([width, height, width, height], np.float32))
        columns = _is_between(np.arange(width, dtype=np.float32), edges[:, 0:1], edges[:, 2:3])
        rows = _is_between(np.arange(height, dtype=np.float32), edges[:, 1:2], edges[:, 3:4])
        weights = weights * rows[:, :, None, None] * columns[:, None, :, None]
        shares = 1.0 - amounts * ops.mean(rows, axis=1) * ops.mean(columns, axis=1)
    return inputs + weights * (ops.take(inputs, partners, axis=0) - inputs), shares


def _is_between(places: NDArray[np.float32], low: Any, high: Any) -> Any:
    """Return 1 where low <= place < high, else 0: float32 (n, places)."""
    return ops.cast(ops.logical_and(places >= low, places < high), "float32")


def blend(values: Any, partners: Any, shares: Any) -> Any:
    """Return the weighted mean of each row, float (n, width), and its partner's; `shares` (n,) are the row's own
    weights.
    """
    share = shares[:, None]
    return share * values + (1.0 - share) * ops.take(values, partners, axis=0)


class MixedTargets(NamedTuple):
    """The targets of a mixed batch, for the loss and for the score.

    Attributes:
        terms: Answers and weights, (n, ...) and (n,): the loss is the sum of the losses for each, times its weights.
        counted: The answers used for the score, (n, ...).
    """

    terms: tuple[tuple[Any, Any], ...]
    counted: Any


def mix_answers(task: Task, answers: Any, weights: Any, partners: Any, shares: Any) -> MixedTargets:
    """Return the targets of mixtures.

    For classes and labels, the losses of both answers are added, weighted by share and image weight, and the score uses
    the answer with the larger share. Values are mixed themselves.

    Args:
        task: The task.
        answers: As in `tlkit.training.batches.Targets`, of a batch.
        weights: Weight of each image in the loss, float32 (n,).
        partners: As in `Mix`.
        shares: From `mix_inputs`.
    """
    if task.blends_targets:
        mixed = blend(answers, partners, shares)
        return MixedTargets(((mixed, weights),), mixed)
    others = ops.take(answers, partners, axis=0)
    is_larger = ops.reshape(shares >= 0.5, (-1, *(1 for _ in answers.shape[1:])))
    terms = (answers, shares * weights), (others, (1.0 - shares) * ops.take(weights, partners, axis=0))
    return MixedTargets(terms, ops.where(is_larger, answers, others))
