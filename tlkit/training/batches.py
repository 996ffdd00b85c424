"""What a stage is trained on: batches of cached features, or of pictures augmented afresh.

Order and views are drawn from (seed, epoch) alone, so an epoch is the same whether or not the run was interrupted
before it. Batches differ in size by at most one image: no image is dropped, and no batch norm sees a batch of one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Truth:
    """What is true of some images.

    Attributes:
        answers: int32 (n,) classes; float32 (n, labels) of 0 and 1; or float32 (n, 1) values in deviations.
        boxes: The box as it lies in each view, float32 (n, 4): cx, cy, w, h as fractions of the input, 0..1.
        box_weights: 1 where there is a box, 0 where not, float32 (n,).
    """

    answers: NDArray[np.generic]
    boxes: NDArray[np.float32]
    box_weights: NDArray[np.float32]


@dataclass(frozen=True)
class Batch:
    """Inputs of one step.

    Attributes:
        inputs: Features, float16 or float32, (n, *feature_shape), or pictures, uint8 0..255, (n, height, width, 3).
        metadata: float32 (n, width); width 0 where there are none.
        truth: What the model is to say.
        weights: Weight of each image in the loss, float32, (n,), 1 on average.
    """

    inputs: NDArray[np.generic]
    metadata: NDArray[np.float32]
    truth: Truth
    weights: NDArray[np.float32]


class InputReader(Protocol):
    """Reads the inputs of some images: `views[i]` is the view wanted of image `images[i]`."""

    def __call__(self, images: NDArray[np.int64], views: NDArray[np.int64]) -> NDArray[np.generic]:
        """Return an array (n, ...)."""


class TruthReader(Protocol):
    """Tells what is true of some images: `views[i]` is the view in which image `images[i]` is shown."""

    def __call__(self, images: NDArray[np.int64], views: NDArray[np.int64]) -> Truth:
        """Return the truth of the images."""


@dataclass(frozen=True)
class FixedTruth:
    """The truth where no box is learnt, so that no view changes it; `answers` as in Truth, for all images."""

    answers: NDArray[np.generic]

    def __call__(self, images: NDArray[np.int64], views: NDArray[np.int64]) -> Truth:
        """Return the answers of the images, and no boxes."""
        num_images = len(images)
        return Truth(self.answers[images], np.zeros((num_images, 4), np.float32), np.zeros(num_images, np.float32))


@dataclass(frozen=True)
class EpochPlan:
    """Draws order and views of an epoch.

    Attributes:
        num_images: Images in an epoch.
        batch_size: The most images in a batch.
        num_views: Cached views to draw from; 0 asks for a fresh view in every epoch (view number epoch + 1).
        seed: Seed of the stage; None keeps the order and view 0, as validation does.
    """

    num_images: int
    batch_size: int
    num_views: int
    seed: int | None

    @property
    def num_batches(self) -> int:
        """Batches in an epoch: as few as the batch size allows."""
        return -(-self.num_images // self.batch_size)

    def draw(self, epoch: int) -> tuple[list[NDArray[np.int64]], NDArray[np.int64]]:
        """Return the images of each batch, and the view of each image (num_images,)."""
        order = np.arange(self.num_images)
        views = np.zeros(self.num_images, dtype=np.int64)
        if self.seed is not None:
            generator = np.random.Generator(np.random.PCG64([self.seed, epoch]))
            order = generator.permutation(self.num_images)
            if self.num_views:
                views = generator.integers(self.num_views, size=self.num_images)
            else:
                views += epoch + 1
        return np.array_split(order, self.num_batches), views


@dataclass(frozen=True)
class Batches:
    """The batches of a split: an epoch's plan, and a reader that fetches its inputs ahead of the training step.

    Attributes:
        plan: Order and views.
        read: Fetches inputs; called on a background thread, up to `read_ahead` batches before they are needed.
        tell: Tells the truth.
        metadata: float32 (num_images, width); width 0 where there are none.
        weights: float32 (num_images,).
        read_ahead: Batches held in memory at most, besides the one in use.
    """

    plan: EpochPlan
    read: InputReader
    tell: TruthReader
    metadata: NDArray[np.float32]
    weights: NDArray[np.float32]
    read_ahead: int = 2

    @property
    def num_images(self) -> int:
        """Images in an epoch."""
        return self.plan.num_images

    @property
    def num_batches(self) -> int:
        """Batches in an epoch."""
        return self.plan.num_batches

    def epoch(self, number: int) -> Iterator[Batch]:
        """Yield the batches of epoch `number`, counted from 0."""
        batches, views = self.plan.draw(number)

        def fetch(images: NDArray[np.int64]) -> Batch:
            truth = self.tell(images, views[images])
            return Batch(self.read(images, views[images]), self.metadata[images], truth, self.weights[images])

        yield from _fetch_ahead(batches, fetch, self.read_ahead)


def _fetch_ahead(
    batches: Sequence[NDArray[np.int64]], fetch: Callable[[NDArray[np.int64]], Batch], read_ahead: int
) -> Iterator[Batch]:
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="batch") as pool:
        pending: deque[Future[Batch]] = deque()
        try:
            for images in batches:
                pending.append(pool.submit(fetch, images))
                if len(pending) > read_ahead:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            for future in pending:
                future.cancel()


def compute_class_weights(labels: NDArray[Any], *, num_classes: int, mode: str) -> NDArray[np.float32]:
    """Return each image's weight in the loss, float32 (n,), 1 on average.

    Args:
        labels: int32 (n,), of which every class occurs; with mode `none` any answers (n, ...).
        num_classes: Number of classes.
        mode: `none`: all 1. `balanced`: n / (num_classes x images of the class), so that every class counts alike.
    """
    if mode == "none":
        return np.ones(len(labels), dtype=np.float32)
    counts = np.bincount(labels, minlength=num_classes)
    weights: NDArray[np.float32] = (len(labels) / (num_classes * counts[labels])).astype(np.float32)
    return weights
