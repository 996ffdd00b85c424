"""What is true of the images of a stage, as it is learnt: for each image, or for each view of one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

from tlkit.data.box_views import place_box, place_objects
from tlkit.data.manifest import ImageRecord
from tlkit.data.mask_views import place_mask
from tlkit.data.mosaics import TILE_FIT, Mosaic, draw_mosaic
from tlkit.data.views import View, draw_view
from tlkit.models.spec import BundleSpec
from tlkit.tasks.objects import NUM_OBJECT_VALUES, make_object_rows


@dataclass(frozen=True)
class Targets:
    """The targets of some images.

    Attributes:
        answers: int32 (n,) classes; float32 (n, labels) of 0 and 1; float32 (n, 1) values in deviations; or the objects
            in each view, float32 (n, m, 6): left, top, right, bottom as fractions of the input, which may lie outside,
            class + 1, 0 in rows that only fill up, and 1 if ignored; or the mask of each view, uint8 (n, h, w): 0 for
            background, class + 1, or 255 to ignore.
        boxes: The box in each view, float32 (n, 4): cx, cy, w, h as fractions of the input, 0..1.
        box_weights: 1 with a box, 0 without, float32 (n,).
    """

    answers: NDArray[np.generic]
    boxes: NDArray[np.float32]
    box_weights: NDArray[np.float32]


class TargetReader(Protocol):
    """Returns the targets of some images: `views[i]` is the view of image `images[i]`."""

    def __call__(self, images: NDArray[np.int64], views: NDArray[np.int64]) -> Targets:
        """Return the targets of the images."""


def leave_out_boxes(answers: NDArray[np.generic]) -> Targets:
    """Return targets without boxes; answers as in `Targets`."""
    num_images = len(answers)
    return Targets(answers, np.zeros((num_images, 4), np.float32), np.zeros(num_images, np.float32))


@dataclass(frozen=True)
class FixedTargets:
    """Targets without boxes, which do not depend on the view; `answers` as in Targets, for all images."""

    answers: NDArray[np.generic]

    def __call__(self, images: NDArray[np.int64], views: NDArray[np.int64]) -> Targets:
        """Return the answers of the images, and no boxes."""
        return leave_out_boxes(self.answers[images])


@dataclass(frozen=True)
class TargetTable:
    """Targets of cached views, computed once for all epochs; arrays as in Targets, of (num_images, num_views) rows."""

    answers: NDArray[np.generic]
    boxes: NDArray[np.float32]
    box_weights: NDArray[np.float32]

    @classmethod
    def of(cls, read_targets: TargetReader, *, num_images: int, num_views: int) -> Self:
        """Read the targets of every view of every image."""
        by_view = [read_targets(np.arange(num_images), np.full(num_images, view)) for view in range(num_views)]
        parts = zip(*((each.answers, each.boxes, each.box_weights) for each in by_view), strict=True)
        return cls(*(np.stack(part, axis=1) for part in parts))

    def __call__(self, images: NDArray[np.int64], views: NDArray[np.int64]) -> Targets:
        """Return the targets of the images in the views."""
        return Targets(self.answers[images, views], self.boxes[images, views], self.box_weights[images, views])


@dataclass(frozen=True)
class ViewDrawer:
    """Draws the views that a stage trains on, for targets that depend on them.

    Attributes:
        records: The images.
        spec: Description of the model, with the size and the fit of its input.
        policy: The augmentation policy.
        seed: The run's seed.
        companions: The images of which mosaics are made, if the policy has any.
    """

    records: Sequence[ImageRecord]
    spec: BundleSpec
    policy: str
    seed: int
    companions: Sequence[ImageRecord] = ()

    def draw(self, image: int, index: int) -> View:
        """Return a view of an image, by their numbers."""
        return draw_view(self.policy, seed=self.seed, sha256=self.records[image].sha256, index=index) or View()

    def draw_mosaic(self, image: int, index: int) -> Mosaic | None:
        """Return a view of an image and others; None if the view is one of the image alone."""
        sha256, num_companions = self.records[image].sha256, len(self.companions)
        return draw_mosaic(self.policy, seed=self.seed, sha256=sha256, index=index, num_companions=num_companions)


@dataclass(frozen=True)
class BoxTargets:
    """Targets with boxes, whose positions depend on the view; `answers` as in Targets, for all images."""

    answers: NDArray[np.generic]
    views: ViewDrawer

    def __call__(self, images: NDArray[np.int64], views: NDArray[np.int64]) -> Targets:
        """Return the targets of the images, with their boxes in the views."""
        spec = self.views.spec
        boxes, weights = np.zeros((len(images), 4), np.float32), np.zeros(len(images), np.float32)
        for row, (image, index) in enumerate(zip(images.tolist(), views.tolist(), strict=True)):
            record = self.views.records[image]
            if record.box is not None:
                boxes[row], weights[row] = place_box(
                    record.box,
                    self.views.draw(image, index),
                    picture_size=(record.height, record.width),
                    image_size=spec.image_size,
                    fit=spec.fit,
                )
        return Targets(self.answers[images], boxes, weights)


@dataclass(frozen=True)
class ObjectTargets:
    """The objects in each view.

    Attributes:
        views: The views.
        num_rows: Rows of an image, as many as the most objects of any view.
    """

    views: ViewDrawer
    num_rows: int

    def __call__(self, images: NDArray[np.int64], views: NDArray[np.int64]) -> Targets:
        """Return the objects of the images in the views."""
        answers = np.zeros((len(images), self.num_rows, NUM_OBJECT_VALUES), np.float32)
        for row, (image, index) in enumerate(zip(images.tolist(), views.tolist(), strict=True)):
            placed = place_view_objects(self.views, image, index)
            answers[row, : len(placed)] = placed
        return leave_out_boxes(answers)


def place_view_objects(views: ViewDrawer, image: int, index: int) -> NDArray[np.float32]:
    """Return the objects in a view of an image, by their numbers, float32 (k, 6) as in `Targets`."""
    spec, record = views.spec, views.records[image]

    def place(shown: ImageRecord, view: View, image_size: tuple[int, int], fit: str) -> NDArray[np.float32]:
        rows = make_object_rows(shown.answer, spec.class_names)
        size = (shown.height, shown.width)
        return place_objects(rows, view, picture_size=size, image_size=image_size, fit=fit)

    mosaic = views.draw_mosaic(image, index)
    if mosaic is None:
        return place(record, views.draw(image, index), spec.image_size, spec.fit)

    def place_tile(companion: int | None, view: View, size: tuple[int, int]) -> NDArray[np.float32]:
        return place(record if companion is None else views.companions[companion], view, size, TILE_FIT)

    return mosaic.place(spec.image_size, place_tile)


@dataclass(frozen=True)
class MaskTargets:
    """The mask in each view, at the cells at which the network answers.

    Attributes:
        masks: Those of the upright pictures, uint8 (num_images, height, width).
        views: The views.
    """

    masks: NDArray[np.generic]
    views: ViewDrawer

    def __call__(self, images: NDArray[np.int64], views: NDArray[np.int64]) -> Targets:
        """Return the masks of the images in the views."""
        spec = self.views.spec
        rows, columns = spec.map_sizes[0]
        answers = np.empty((len(images), rows, columns), np.uint8)
        for row, (image, index) in enumerate(zip(images.tolist(), views.tolist(), strict=True)):
            record = self.views.records[image]
            answers[row] = place_mask(
                self.masks[image].astype(np.uint8, copy=False),
                self.views.draw(image, index),
                picture_size=(record.height, record.width),
                image_size=spec.image_size,
                fit=spec.fit,
                grid_size=(rows, columns),
            )
        return leave_out_boxes(answers)
