"""Classes that a run's or an evaluation's report names because their evidence lies beside the object."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tlkit.data.geometry import compute_frame
from tlkit.data.manifest import ImageRecord
from tlkit.explain.shortcuts import MIN_PHOTOS, EvidencePlaces, find_shortcuts
from tlkit.inference.scoring import Scores
from tlkit.models.spec import BundleSpec
from tlkit.outputs import Box
from tlkit.reports.markup import render_list
from tlkit.reports.page import Section
from tlkit.runs.heat_maps import HeatMaps
from tlkit.tasks.verdicts import ClassVerdicts, Verdicts

SHORTCUTS = "The search for shortcuts"
MAX_PHOTOS = 500
"""Photos that are looked at, so that an evaluation of many images takes no longer."""
MAX_PHOTOS_OF_A_CLASS = 50
NOTE = (
    "Classes that the model may recognize by something other than the object, such as a mark or the background: found in "
    "the heat maps of images that it gets right. Look at them before trusting the scores."
)


def look_for_shortcuts(
    scores: Scores, verdicts: Verdicts, spec: BundleSpec, heat_maps: HeatMaps
) -> list[EvidencePlaces]:
    """Return the classes whose evidence lies in the border or outside the box, and warn of each.

    A failure is noted, and gives none. So does a task without classes of which an image has one,
    and, without boxes, a head that weighs each place by itself.

    Args:
        scores: The images.
        verdicts: What became of each.
        spec: The model's.
        heat_maps: Explains the images that the model gets right.
    """
    if not isinstance(verdicts, ClassVerdicts) or spec.has_one_class:
        return []
    rows = choose_rows(verdicts)
    found: list[EvidencePlaces] = []
    with heat_maps.steps.step(SHORTCUTS):
        if len(rows):
            records = [scores.records[row] for row in rows]
            explained = heat_maps.explain_inputs(records, verdicts.true[rows].astype(np.int64))
            boxes = [place_box(record, spec) for record in explained.records]
            found = find_shortcuts(explained.maps, explained.targets, spec.class_names, boxes)
    head = spec.head.record
    weighs_places = head.is_affine and head.sees_places  # a mean map then shows weights, whatever the photos show
    suspicious = [each for each in found if each.is_suspicious and not (weighs_places and each.outside is None)]
    for each in suspicious:
        heat_maps.console.warn(each.sentence)
    return suspicious


def render_shortcuts(shortcuts: Sequence[EvidencePlaces]) -> Section | None:
    """Return the classes as a section of a page; None without any."""
    return (
        Section("Possible shortcuts", render_list([each.sentence for each in shortcuts]), NOTE) if shortcuts else None
    )


def summarise_shortcuts(shortcuts: Sequence[EvidencePlaces]) -> dict[str, Any]:
    """Return `shortcuts` for the JSON result; nothing without any."""
    return {"shortcuts": [dataclasses.asdict(each) for each in shortcuts]} if shortcuts else {}


def choose_rows(verdicts: ClassVerdicts) -> NDArray[np.intp]:
    """Return images that the model gets right, as many of each class, spread over the set."""
    right = np.flatnonzero(verdicts.true == verdicts.predicted)
    counts = np.bincount(verdicts.true[right], minlength=len(verdicts.class_names))
    classes = np.argsort(-counts, kind="stable")[: MAX_PHOTOS // MIN_PHOTOS]
    classes = classes[counts[classes] >= MIN_PHOTOS]
    most = min(MAX_PHOTOS_OF_A_CLASS, MAX_PHOTOS // max(1, len(classes)))
    chosen = [np.empty(0, np.intp)]
    for label in classes:
        of_class = right[verdicts.true[right] == label]
        chosen.append(of_class[np.linspace(0, len(of_class) - 1, min(most, len(of_class)), dtype=int)])
    return np.sort(np.concatenate(chosen))


def place_box(record: ImageRecord, spec: BundleSpec) -> Box | None:
    """Return an image's box in fractions of the network's input, as far as the network sees it."""
    if record.box is None:
        return None
    left, top, right, bottom = compute_frame((record.height, record.width), spec.image_size, spec.fit)
    x0, y0, x1, y1 = record.box
    width, height = right - left, bottom - top
    edges = np.clip([(x0 - left) / width, (y0 - top) / height, (x1 - left) / width, (y1 - top) / height], 0, 1)
    return float(edges[0]), float(edges[1]), float(edges[2]), float(edges[3])
