"""The part of an exported network that draws masks: a class at every cell of its finest map.

The mask of the picture is made of them outside, by the reader, since it has the picture's size.
"""

from __future__ import annotations

import keras

from tlkit.exports.fixed_layers import copy_head_on_maps
from tlkit.models.classifier import Classifier

CELLS = "cells"


def build_cells(
    classifier: Classifier, image: keras.KerasTensor
) -> tuple[dict[str, keras.KerasTensor], keras.KerasTensor]:
    """Return the output of a segmenter, on copies of its head's layers, and the coarsest of its maps.

    Args:
        classifier: A model with a head that draws masks.
        image: RGB, float (n, height, width, 3), 0..255.

    Returns:
        `cells`, float32 (n, rows, columns, classes + 1): the probability of background and of each class, 0..1, with
        sum 1; and the map, float (n, h, w, channels).
    """
    maps = keras.Function(*classifier.backbone.take_maps()).call(image)
    head = copy_head_on_maps(classifier)
    logits = keras.Function(head.input, head.output).call(maps)
    cooled = keras.layers.Rescaling(1.0 / classifier.spec.temperature, name="temperature")(logits)
    return {CELLS: keras.layers.Softmax(name=CELLS)(cooled)}, maps[-1]
