"""Describe the objects of a data set: how many there are, on how many images, and how small they are in the input."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from statistics import median

import numpy as np

from tlkit.data.box_views import place_objects
from tlkit.data.class_checks import count
from tlkit.data.image_boxes import ImageBoxes
from tlkit.data.manifest import ImageRecord, Manifest
from tlkit.data.views import View
from tlkit.outputs import format_value
from tlkit.tasks import Task, find_task
from tlkit.tasks.objects import read_objects

SMALLEST_EDGE_PX = 8
"""A detector rarely finds what is smaller in its input: the square root of its area, in pixels."""

_NOTED_SHARE = 0.1
_LARGER_SIZES = (320, 416, 512, 640, 800, 1024, 1280)


def describe_boxes(boxes: ImageBoxes, task: Task, records: Sequence[ImageRecord]) -> tuple[str, ...]:
    """Return the notices about the boxes of a data set whose images were read."""
    if not task.has_objects:
        return boxes.sentences()
    return (*describe_objects(records), *boxes.report.remarks, *boxes.report.describe_complaints())


def describe_objects(records: Sequence[ImageRecord]) -> list[str]:
    """Return sentences on the objects of the images: their number, that on each image, and what is not learnt."""
    by_image = [read_objects(record.answer) for record in records]
    learnt = [[each for each in objects if not each.is_ignored] for objects in by_image]
    numbers = [len(objects) for objects in learnt if objects]
    num_ignored = sum(map(len, by_image)) - sum(numbers)
    classes = {each.name for objects in learnt for each in objects}
    sentences = []
    if numbers:
        spread = f"{min(numbers):,} each"
        if min(numbers) < max(numbers):
            spread = f"{min(numbers):,} to {max(numbers):,} each, median {format_value(float(median(numbers)))}"
        sentences.append(
            f"{count(sum(numbers), 'object')} of {count(len(classes), 'class', 'classes')} on "
            f"{count(len(numbers), 'image')}: {spread}."
        )
    num_background = len(records) - len(numbers)
    if num_background:
        sentences.append(f"{count(num_background, 'image')} without an object to learn: background.")
    if num_ignored:
        sentences.append(
            f"{count(num_ignored, 'object')} ignored, neither learnt nor missed: crowds, difficult ones, or without a class."
        )
    return sentences


def describe_small_objects(records: Sequence[ImageRecord], *, image_size: int, fit: str) -> str | None:
    """Return advice on the size of the input if more than a tenth of the objects are too small in it, else None.

    Args:
        records: The images, with their objects as answers.
        image_size: Side of the square input, in pixels.
        fit: How an image is fitted; see `compute_frame`.
    """
    edges = _measure_edges(records, fit=fit)
    num_small = int((edges * image_size < SMALLEST_EDGE_PX).sum())
    if num_small <= _NOTED_SHARE * len(edges):
        return None
    found = (
        f"{num_small:,} of {len(edges):,} objects are smaller than {SMALLEST_EDGE_PX} x {SMALLEST_EDGE_PX} pixels in "
        f"an input of {image_size} x {image_size}, too small for most to be found"
    )
    for larger in _LARGER_SIZES:
        remaining = int((edges * larger < SMALLEST_EDGE_PX).sum())
        if larger > image_size and remaining <= _NOTED_SHARE * len(edges):
            return f"{found}; with --image-size {larger}, {remaining:,} are."
    return f"{found}; cut the images into tiles, with the boxes of each."


def advise_on_size(manifest: Manifest, *, image_size: tuple[int, int], fit: str) -> Manifest:
    """Return the manifest with a notice if many of its objects are too small in an input of (height, width) pixels."""
    task = find_task(manifest.task)
    if not task.has_objects or task.has_masks:
        return manifest
    advice = describe_small_objects(manifest.records, image_size=image_size[0], fit=fit)
    return replace(manifest, notices=(*manifest.notices, advice)) if advice else manifest


def _measure_edges(records: Sequence[ImageRecord], *, fit: str) -> np.ndarray:
    """Return the square root of each learnt object's area, as a fraction of the input's side, float (n,)."""
    placed = []
    for record in records:
        learnt = [each for each in read_objects(record.answer) if not each.is_ignored]
        rows = np.array([(*each.corners, 1, 0) for each in learnt], np.float64).reshape(-1, 6)
        size = (record.height, record.width)
        placed.append(place_objects(rows, View(), picture_size=size, image_size=(1, 1), fit=fit))
    boxes = np.concatenate(placed) if placed else np.zeros((0, 6), np.float32)
    return np.sqrt((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]))
