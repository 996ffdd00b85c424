"""The part of an exported network that finds objects: boxes and scores at every cell of its maps.

Which of the boxes belong to the same object is decided outside, by the reader: runtimes differ in what they have for it.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from tlkit.detection.grid import MAX_LOG_SIZE, NUM_BOX_VALUES, Grid
from tlkit.exports.fixed_layers import copy_head_on_maps, multiply
from tlkit.models.classifier import Classifier

BOXES, SCORES = "boxes", "scores"


def build_places(
    classifier: Classifier, image: keras.KerasTensor
) -> tuple[dict[str, keras.KerasTensor], keras.KerasTensor]:
    """Return the outputs of a detector, on copies of its head's layers, and the coarsest of its maps.

    Args:
        classifier: A model with a head that finds objects.
        image: RGB, float (n, height, width, 3), 0..255.

    Returns:
        `boxes`, float32 (n, P, 4): left, top, right, bottom as fractions of the input, not clipped; `scores`, float32
        (n, P, classes), 0..1; and the map, float (n, h, w, channels).
    """
    maps = keras.Function(*classifier.backbone.take_maps()).call(image)
    head = copy_head_on_maps(classifier)
    answer = keras.Function(head.input, head.output).call(maps)
    grid = Grid(classifier.spec.map_sizes)
    num_classes = len(classifier.spec.class_names)
    logits = _select(answer, range(NUM_BOX_VALUES, NUM_BOX_VALUES + num_classes), "class_logits")
    scores = keras.layers.Activation("sigmoid", name=SCORES)(logits)
    return {BOXES: _place_boxes(answer, grid), SCORES: scores}, maps[-1]


def _place_boxes(answer: keras.KerasTensor, grid: Grid) -> keras.KerasTensor:
    """Return the corners of the boxes; see `tlkit.detection.grid.decode_boxes`."""
    ops = keras.ops
    offsets, sizes = (
        _select(answer, columns, name) for columns, name in (((0, 1, 0, 1), "offsets"), ((2, 3, 2, 3), "sizes"))
    )
    cells, centres = (np.tile(each, 2)[np.newaxis] for each in (grid.cells, grid.centres))
    reach = cells * np.array((-1, -1, 1, 1), np.float32)
    halves = ops.multiply(ops.exp(ops.clip(sizes, -MAX_LOG_SIZE, MAX_LOG_SIZE)), reach)
    middles = ops.add(ops.multiply(offsets, cells), centres)
    return ops.add(middles, halves)


def _select(answer: keras.KerasTensor, columns: Any, name: str) -> keras.KerasTensor:
    """Return columns of the last axis, by a product that every runtime has."""
    places = list(columns)
    matrix = np.zeros((answer.shape[-1], len(places)), np.float32)
    matrix[places, range(len(places))] = 1
    return multiply(answer, matrix, name)
