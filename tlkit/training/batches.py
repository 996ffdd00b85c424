"""The batches of a stage: cached features, or freshly augmented images.

Order, views and mixing are drawn from (seed, epoch) alone, so an epoch is the same whether or not the run was
interrupted before it, and whether its inputs are in memory or read from disk. Batch sizes differ by at most one image:
no image is dropped, and no batch norm sees a batch of one.

Batches come in blocks: a block contains several consecutive batches, for one call of the compiled loop.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from keras import ops
from numpy.typing import NDArray

from tlkit.training.mixing import NO_MIXING, Mix, Mixing
from tlkit.training.targets import TargetReader, Targets
from tlkit.waiting import waiting_for

SHARE_OF_MEMORY = 4
"""Inputs are held in memory, or read ahead, up to one part in this many of the free memory."""
_COPIES_OF_A_BLOCK = 4


@dataclass(frozen=True)
class Block:
    """Consecutive batches: a table of inputs, and the data of each image in training order.

    Attributes:
        inputs: Tensor of features, float16 or float32, (m, *feature_shape), or pictures, uint8 0..255, (m, height,
            width, 3).
        rows: Row of each image in `inputs`, int32 (n,).
        metadata: float32 (n, width); width 0 without metadata.
        targets: Targets of the n images.
        weights: Weight of each image in the loss, float32, (n,), 1 on average.
        edges: Batch k has the images `edges[k]` to `edges[k + 1]`, exclusive: int32 (batches + 1,).
        mix: The mixing partners of the n images; None without mixing.
    """

    inputs: Any
    rows: NDArray[np.int32]
    metadata: NDArray[np.float32]
    targets: Targets
    weights: NDArray[np.float32]
    edges: NDArray[np.int32]
    mix: Mix | None = None

    @property
    def num_batches(self) -> int:
        """Batches in the block."""
        return len(self.edges) - 1


class InputReader(Protocol):
    """Reads the inputs of some images: `views[i]` is the requested view of image `images[i]`."""

    def __call__(self, images: NDArray[np.int64], views: NDArray[np.int64]) -> NDArray[np.generic]:
        """Return an array (n, ...)."""


@dataclass(frozen=True)
class EpochPlan:
    """Draws order, views and mixing of an epoch.

    Attributes:
        num_images: Number of images.
        batch_size: Maximum number of images in a batch.
        num_views: Cached views to draw from; 0 for a fresh view each time (view number 1 in the first pass, and so on).
        seed: Seed of the stage; None keeps the order and view 0 without mixing, as in validation.
        mixing: How images are mixed, if they are.
        num_passes: How often each image is shown in an epoch, in a view drawn each time.
    """

    num_images: int
    batch_size: int
    num_views: int
    seed: int | None
    mixing: Mixing = NO_MIXING
    num_passes: int = 1

    @property
    def num_shown(self) -> int:
        """Number of images in an epoch, each as often as it is shown."""
        return self.num_images * self.num_passes

    @property
    def num_batches(self) -> int:
        """Number of batches in an epoch, the minimum for the batch size."""
        return -(-self.num_shown // self.batch_size)

    def draw(self, epoch: int) -> tuple[list[NDArray[np.int64]], list[NDArray[np.int64]]]:
        """Return the images of each batch, and their views."""
        order = np.arange(self.num_images)
        views = np.zeros(self.num_images, dtype=np.int64)
        if self.seed is not None:
            generator = np.random.Generator(np.random.PCG64([self.seed, epoch]))
            first = epoch * self.num_passes
            passes = [self._draw_pass(first + number, generator) for number in range(self.num_passes)]
            order, views = map(np.concatenate, zip(*passes, strict=True))
        return np.array_split(order, self.num_batches), np.array_split(views, self.num_batches)

    def _draw_pass(self, number: int, generator: np.random.Generator) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the order of the images in a pass, counted from 0 over all epochs, and their views."""
        order = generator.permutation(self.num_images)
        if not self.num_views:
            return order, np.full(self.num_images, number + 1)
        return order, generator.integers(self.num_views, size=self.num_images)[order]

    def draw_mix(self, epoch: int, sizes: Sequence[int]) -> Mix | None:
        """Return the mixing partners for batches of these sizes, in training order; None without mixing."""
        if self.seed is None or not self.mixing.is_on:
            return None
        return self.mixing.draw(sizes, seed=self.seed, epoch=epoch)


class Inputs(Protocol):
    """The source of a split's inputs.

    Attributes:
        batches_at_once: Batches in a block.
        blocks_ahead: Blocks prepared in advance and held in memory besides the one in use.
    """

    @property
    def batches_at_once(self) -> int:
        """Batches in a block."""

    @property
    def blocks_ahead(self) -> int:
        """Blocks prepared before they are needed."""

    def take(self, images: NDArray[np.int64], views: NDArray[np.int64]) -> tuple[Any, NDArray[np.int64]]:
        """Return a table (m, ...) of inputs, and the row of each image in it: (n,)."""


@dataclass(frozen=True)
class ReadInputs:
    """Inputs read on a background thread while the previous block is trained on.

    Attributes:
        read: Fetches inputs.
        batches_at_once: Batches fetched by one call of `read`.
        blocks_ahead: Blocks fetched before they are needed.
    """

    read: InputReader
    batches_at_once: int = 1
    blocks_ahead: int = 2

    def take(self, images: NDArray[np.int64], views: NDArray[np.int64]) -> tuple[Any, NDArray[np.int64]]:
        """Read the inputs of some images."""
        return self.read(images, views), np.arange(len(images))


@dataclass(frozen=True)
class HeldInputs:
    """All inputs of a split, held in memory: an epoch is one block, without copies.

    Attributes:
        table: Tensor (num_images * num_views, ...): all views of an image together.
        num_views: Views of each image.
    """

    table: Any
    num_views: int
    batches_at_once: int = 2**31
    blocks_ahead: int = 0

    def take(self, images: NDArray[np.int64], views: NDArray[np.int64]) -> tuple[Any, NDArray[np.int64]]:
        """Find the inputs of some images."""
        return self.table, images * self.num_views + views


def choose_inputs(
    read: InputReader, *, num_images: int, num_views: int, batch_size: int, row_bytes: int, free_bytes: int
) -> Inputs:
    """Hold a split's cached features in memory if they fit, else read them in windows of many batches.

    A window is the next part of the epoch's random order, so the result does not depend on the size of memory. All its
    rows are requested at once, and the cache reads them in disk order. Shuffling whole chunks instead is not faster
    (30,000 maps of 50 kB, disk cold, windows of a sixth: 179 MB/s against 107 to 143; 375,000 vectors of 4 kB: 178
    against 111 to 124).

    Args:
        read: Fetches features by image and view.
        num_images: Images in the split.
        num_views: Cached views of each.
        batch_size: Maximum number of images in a batch.
        row_bytes: Size of one row of features.
        free_bytes: Free memory; at most a quarter of it is used, half while it is being filled.
    """
    allowed = free_bytes // SHARE_OF_MEMORY
    if num_images * num_views * row_bytes <= allowed:
        images = np.repeat(np.arange(num_images), num_views)
        table = read(images, np.tile(np.arange(num_views), num_images))
        return HeldInputs(ops.convert_to_tensor(table), num_views)
    batches_at_once = max(1, allowed // (_COPIES_OF_A_BLOCK * batch_size * row_bytes))
    return ReadInputs(read, batches_at_once, blocks_ahead=1)


@dataclass(frozen=True)
class Batches:
    """The batches of a split: an epoch's plan and its data.

    Attributes:
        plan: Order and views.
        inputs: Where they come from.
        read_targets: Returns the targets.
        metadata: float32 (num_images, width); width 0 without metadata.
        weights: float32 (num_images,).
    """

    plan: EpochPlan
    inputs: Inputs
    read_targets: TargetReader
    metadata: NDArray[np.float32]
    weights: NDArray[np.float32]

    @property
    def num_images(self) -> int:
        """Number of images."""
        return self.plan.num_images

    @property
    def num_batches(self) -> int:
        """Batches in an epoch."""
        return self.plan.num_batches

    def epoch(self, number: int) -> Iterator[Block]:
        """Yield the blocks of epoch `number`, counted from 0."""
        batches, views = self.plan.draw(number)
        mix = self.plan.draw_mix(number, [len(batch) for batch in batches])
        edges = np.cumsum([0, *map(len, batches)])

        def prepare(start: int) -> Block:
            chosen = batches[start : start + self.inputs.batches_at_once]
            images = np.concatenate(chosen)
            drawn = np.concatenate(views[start : start + len(chosen)])
            table, rows = self.inputs.take(images, drawn)
            around = edges[start : start + len(chosen) + 1]
            return Block(
                ops.convert_to_tensor(table),
                rows.astype(np.int32),
                self.metadata[images],
                self.read_targets(images, drawn),
                self.weights[images],
                (around - around[0]).astype(np.int32),
                mix.part(slice(around[0], around[-1])) if mix else None,
            )

        starts = range(0, len(batches), self.inputs.batches_at_once)
        yield from _prepare_ahead(starts, prepare, self.inputs.blocks_ahead)


def _prepare_ahead(starts: Sequence[int], prepare: Callable[[int], Block], blocks_ahead: int) -> Iterator[Block]:
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="block") as pool:
        pending: deque[Future[Block]] = deque()
        try:
            for start in starts:
                pending.append(pool.submit(prepare, start))
                if len(pending) > blocks_ahead:
                    yield _wait_for(pending.popleft())
            while pending:
                yield _wait_for(pending.popleft())
        finally:
            for future in pending:
                future.cancel()


def _wait_for(block: Future[Block]) -> Block:
    with waiting_for("the next images of the epoch"):
        return block.result()
