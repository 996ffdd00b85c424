"""`model.json`: all that somebody without tlkit needs to know to ask an exported model and to read its answers.

The same text is stored in each file's own metadata.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from typing import Any

from tlkit.detection.decoding import MAX_CANDIDATES, MAX_DETECTIONS, MAX_IOU, MIN_SCORE, SOFT_SIGMA, VOTE_IOU
from tlkit.inference.mask_files import list_colours
from tlkit.metadata.categories import BOOLEAN_WORDS, FALSE, TRUE
from tlkit.metadata.columns import IMAGE_FACTS
from tlkit.metadata.encoding import FURTHEST, NO_DATA_NUMBERS, Column, NumberColumn
from tlkit.metadata.numbers import LARGEST_NUMBER, MISSING_SPELLINGS
from tlkit.models.spec import BundleSpec
from tlkit.outputs import SOFT
from tlkit.segmentation.confusion import BACKGROUND, IGNORED
from tlkit.tasks import find_task
from tlkit.tasks.mask_text import PLACES
from tlkit.version import __version__

MODEL_JSON = "model.json"
VERSION = 2

_FITS = {
    "squash": "the whole image is stretched to the input's size",
    "crop": "the largest centred part with the input's aspect ratio is resized to the input's size",
    "pad": "the whole image is resized to fit into the input, with bars of grey (128, 128, 128) on both sides",
}


def build_document(spec: BundleSpec, *, bundle_sha256: str) -> dict[str, Any]:
    """Return the content of `model.json`, but for what the network itself knows; see `describe_ports`.

    Args:
        spec: The model's description.
        bundle_sha256: Hash of the description of the bundle that is exported, in hex.
    """
    return {
        "version": VERSION,
        "task": spec.task,
        "image_size": list(spec.image_size),
        "reading": {
            "loader_version": spec.loader_version,
            "fit": spec.fit,
            "steps": [
                "decode the image; turn it upright by its EXIF orientation",
                "convert it to RGB, 0..255, with transparent parts over white",
                *(["scale grey of more than 8 bits from black to white as given in grey"] if spec.grey else []),
                f"resize: bilinear with antialiasing, {_FITS[spec.fit]}",
                "give the pixels as they are: RGB, 0..255, not scaled, not normalised",
            ],
            "grey": [dataclasses.asdict(item) for item in spec.grey],
        },
        "class_names": list(spec.class_names),
        "thresholds": list(spec.thresholds),
        "objects": _describe_objects(is_soft=spec.head.nms == SOFT) if find_task(spec.task).lists_objects else None,
        "mask": _describe_mask(spec) if find_task(spec.task).has_masks else None,
        "temperature": {"value": spec.temperature, "is_inside": True},
        "target": None if spec.target is None else {"name": spec.target.name, "is_log": spec.target.is_log},
        "unknown_above": spec.unknown_above,
        "metadata": describe_metadata(spec),
        "provenance": {
            "backbone": spec.backbone,
            "head": spec.head.kind,
            "bundle_sha256": bundle_sha256,
            "exported_by": f"tlkit {__version__}",
            **dataclasses.asdict(spec.provenance),
        },
    }


def describe_ports(spec: BundleSpec, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, list[dict[str, Any]]]:
    """Return `inputs` and `outputs` of `model.json`.

    Args:
        spec: The model's description.
        shapes: Shape of each output without the batch axis, by name, in order.
    """
    inputs: list[dict[str, Any]] = [
        {"name": "image", "shape": ["batch", *spec.image_size, 3], "meaning": "RGB, 0..255, rows from the top"}
    ]
    if spec.metadata.width:
        inputs.append(
            {
                "name": "metadata",
                "shape": ["batch", spec.metadata.width],
                "meaning": "float32, encoded as `metadata` describes",
            }
        )
    outputs = [
        {"name": name, "shape": ["batch", *shape], "meaning": _describe_output(name, spec)}
        for name, shape in shapes.items()
    ]
    return {"inputs": inputs, "outputs": outputs}


def format_document(document: Mapping[str, Any]) -> str:
    """Return the text of `model.json`."""
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


def describe_metadata(spec: BundleSpec) -> dict[str, Any] | None:
    """Return how metadata columns are encoded, in order; None if the model takes none."""
    if not spec.metadata.width:
        return None
    return {
        "columns": [_describe_column(column) for column in spec.metadata.columns],
        "missing": sorted(MISSING_SPELLINGS),
        "same_words": {word: meaning for word, meaning in BOOLEAN_WORDS.items() if word != meaning},
        "image_facts": [name for name in spec.metadata.names if name in IMAGE_FACTS],
        "steps": [
            "number: a value is missing if its text is in `missing`, is not a plain number, is 1e30 or more, or is in "
            "`no_data`; else x = (value - mean) / scale, clipped to -clip..clip; inputs: x or 0, then 1 if missing",
            "category: normalise the text (NFKC, single spaces, case folded, no zeros at the end of decimals, "
            "`same_words`); inputs: one 1 at its place in `places`, or at `unknown`, or at `missing_place`, else 0",
        ],
    }


def _describe_objects(*, is_soft: bool) -> dict[str, Any]:
    """Return how objects are made of the boxes and scores at all places."""
    soft = (
        "take the box with the highest score, and multiply the scores of the others of its class by "
        "exp(-IoU² / soft_sigma); again and again, while the highest is min_score or more"
    )
    hard = "from the best down: drop a box that overlaps a better one of its class, which is not dropped, by more than max_iou"
    return {
        "min_score": MIN_SCORE,
        "max_candidates": MAX_CANDIDATES,
        "soft_sigma": SOFT_SIGMA if is_soft else None,
        "max_iou": None if is_soft else MAX_IOU,
        "vote_iou": VOTE_IOU,
        "max_objects": MAX_DETECTIONS,
        "steps": [
            "take each pair of a place and a class with a score of min_score or more; keep the max_candidates best",
            soft if is_soft else hard,
            "keep the max_objects best; each becomes the mean, weighted by the scores of the first step, of the boxes of "
            "its class from that step that overlap it by vote_iou or more",
            "an object is shown if its score is at least the threshold of its class",
        ],
    }


def _describe_mask(spec: BundleSpec) -> dict[str, Any]:
    """Return how a mask is made of the probabilities at the cells."""
    return {
        "background": BACKGROUND,
        "not_seen": IGNORED,
        "places": PLACES,
        "colours": [list(colour) for colour in list_colours(len(spec.class_names))],
        "steps": [
            "find where the centre of each pixel of the upright image lies in the input, and so between the centres of "
            "which cells; beyond the outermost centres, the nearest cell counts",
            "interpolate the probabilities of these cells linearly; the number with the highest one is the pixel's: 0 is "
            "background, 1 the first class",
            "a pixel that the input does not show is not_seen",
        ],
    }


def _describe_column(column: Column) -> dict[str, Any]:
    if isinstance(column, NumberColumn):
        return {
            "name": column.name,
            "kind": "number",
            "width": column.width,
            "mean": column.mean,
            "scale": column.scale,
            "clip": FURTHEST,
            "largest": LARGEST_NUMBER,
            "no_data": sorted(filter(column.is_no_data, NO_DATA_NUMBERS)),
            "words": {word: column.parse(word) for word in (TRUE, FALSE) if column.parse(word) == column.parse(word)},
        }
    places = column.places
    return {
        "name": column.name,
        "kind": "category",
        "width": column.width,
        "places": dict(places),
        "unknown": len(column.values),
        "missing_place": len(column.values) + 1,
    }


def _describe_output(name: str, spec: BundleSpec) -> str:
    task = find_task(spec.task)
    probabilities = (
        "calibrated probability of each class, sum 1"
        if task.is_exclusive
        else "probability of each label, 0..1; a label is present from its threshold on"
    )
    return {
        "probabilities": probabilities,
        "value": f"{spec.target.name}, in its own unit" if spec.target else "",
        "box": "left, top, right, bottom as fractions of the input, not clipped",
        "map": "the score of each place for each output; its mean is the logit before the temperature, without what "
        "metadata add",
        "boxes": "left, top, right, bottom at each place, as fractions of the input, not clipped",
        "scores": "score of each class at each place, 0..1; `objects` says how to make objects of them",
        "cells": "probability of background and, from 1 on, of each class at each cell of a grid over the input, sum 1; `mask` "
        "says how to make a mask of them",
        "distance": "how unlike the training images the image is, 0..1; unknown if above unknown_above",
    }[name]
