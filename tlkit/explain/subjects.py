"""What is explained of a photo: its answers, its box, the objects that are found, or the region of a class.

Nothing but numpy: a subject names the outputs of the network whose evidence is asked for, and how its answer is measured
while parts of the photo are covered.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tlkit.explain.objects import choose_objects, list_object_outputs, measure_object, name_objects
from tlkit.explain.outputs import box_output, choose_outputs, name_output
from tlkit.explain.regions import choose_regions
from tlkit.inference.scoring import split_rows
from tlkit.models.spec import BundleSpec
from tlkit.outputs import Box
from tlkit.tasks import find_task
from tlkit.tasks.box_report import measure_iou

Measure = Callable[[NDArray[np.float32]], NDArray[np.floating[Any]]]
"""Takes rows of `Predictor.predict`, float32 (m, row_width), and returns the answer in each, (m,)."""


@dataclass(frozen=True, eq=False)
class Subject:
    """Something that a model says of a photo.

    Attributes:
        name: In words.
        outputs: Outputs of the network, int64 (parts, k). What is explained is the mean of k outputs; of several parts, such
            as the coordinates of a box, how much each place matters for all of them.
        measure: The probability, score or value, or the IoU with the box as it is, in rows of predictions.
        label: The class, if there is one.
        box: Of an object: left, top, right, bottom in fractions of the network's input, which it may leave.
        score: Of an object, 0..1.
        is_found: Whether it is above its threshold, or anywhere the likeliest class.
    """

    name: str
    outputs: NDArray[np.int64]
    measure: Measure
    label: int | None = None
    box: Box | None = None
    score: float | None = None
    is_found: bool = True


def choose_subjects(
    row: NDArray[np.float32], logits: NDArray[np.float32], spec: BundleSpec, asked: int | None = None
) -> list[Subject]:
    """Return what is explained of a photo.

    These are the class that is asked for, or the answer and the box if there is one; of objects, the surest of those that
    are found, or else the surest candidate; of a mask, the largest regions of classes, or else the likeliest place.

    Args:
        row: As `Predictor.predict` gives it, float32 (row_width,).
        logits: Of the same photo, as `Explainer.compute_outputs` gives it, float32 (num_outputs,).
        spec: The model's.
        asked: The class or label that is asked for; None asks for none.
    """
    task = find_task(spec.task)
    if task.has_masks:
        return _choose_regions(row, spec, asked)
    if task.has_objects:
        return _choose_objects(row, logits, spec, asked)
    outputs = choose_outputs(row, spec) if asked is None else [asked]
    return [_take_box(row, spec) if output == box_output(spec) else _take_answer(output, spec) for output in outputs]


def _take_answer(output: int, spec: BundleSpec) -> Subject:
    def measure(rows: NDArray[np.float32]) -> NDArray[np.floating[Any]]:
        return split_rows(rows, spec).answers[:, output]

    return Subject(name_output(output, spec), np.array([[output]]), measure, output if spec.class_names else None)


def _take_box(row: NDArray[np.float32], spec: BundleSpec) -> Subject:
    output = box_output(spec)

    def read(rows: NDArray[np.float32]) -> NDArray[np.float64]:
        boxes = split_rows(rows, spec).boxes
        assert boxes is not None, "with a box_output"
        return _to_corners(boxes)

    own = read(row[np.newaxis])
    parts = np.arange(output - 4, output)[:, np.newaxis]
    return Subject(name_output(output, spec), parts, lambda rows: measure_iou(read(rows), own))


def _choose_objects(
    row: NDArray[np.float32], logits: NDArray[np.float32], spec: BundleSpec, asked: int | None
) -> list[Subject]:
    chosen, is_found = choose_objects(split_rows(row[np.newaxis], spec).answers[0], spec, asked)

    def measure(found: NDArray[np.float32], rows: NDArray[np.float32]) -> NDArray[np.floating[Any]]:
        return measure_object(split_rows(rows, spec).answers, found)

    subjects = []
    for found, name in zip(chosen, name_objects(chosen, spec), strict=True):
        left, top, right, bottom = found[:4].tolist()
        subjects.append(
            Subject(
                name,
                list_object_outputs(found, logits, spec),
                partial(measure, found),
                int(found[5]),
                (left, top, right, bottom),
                float(found[4]),
                is_found,
            )
        )
    return subjects


def _choose_regions(row: NDArray[np.float32], spec: BundleSpec, asked: int | None) -> list[Subject]:
    num_classes = spec.outputs.num_answers

    def measure(places: NDArray[np.int64], label: int, rows: NDArray[np.float32]) -> NDArray[np.floating[Any]]:
        shares = split_rows(rows, spec).answers.reshape(len(rows), -1, num_classes)
        means: NDArray[np.floating[Any]] = shares[:, places, label].mean(axis=1)
        return means

    regions = choose_regions(split_rows(row[np.newaxis], spec).answers[0], spec, asked)
    return [
        Subject(
            spec.class_names[region.label],
            (region.places * num_classes + region.label + 1)[np.newaxis],
            partial(measure, region.places, region.label + 1),
            region.label,
            is_found=region.is_found,
        )
        for region in regions
    ]


def _to_corners(boxes: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Return boxes cx, cy, w, h, float (n, 4), as left, top, right, bottom: float64."""
    centres, sizes = boxes[:, :2].astype(np.float64), boxes[:, 2:].astype(np.float64)
    return np.concatenate([centres - sizes / 2, centres + sizes / 2], axis=1)
