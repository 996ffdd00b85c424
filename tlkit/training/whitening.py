"""The fixed layers at the input of a head: fitted on features of the training images, before the head is trained."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from tlkit.head_bodies import STANDARDISE, WHITEN
from tlkit.metrics.whitening import Moments, compute_whitening
from tlkit.metrics.whitenings import CENTRE, NONE, WITH_MATRIX
from tlkit.recipes import HeadSettings
from tlkit.training.batches import Batches
from tlkit.training.loop import StageData
from tlkit.training.steps import StageModel

MAX_ROWS = 100_000
"""Places of maps, or pooled features, that a covariance is estimated from."""
IMAGES_AT_ONCE = 64


def fit_whitening(model: StageModel, data: StageData, head: HeadSettings) -> None:
    """Set the fixed layers of a head from its training features; nothing happens to one without.

    Every training image counts in every cached view, or as it is where a stage begins at the pixels. Of many images,
    evenly spaced ones count: as many as have `MAX_ROWS` places.

    Args:
        model: The tail, if any, and the head, untrained.
        data: Of its first stage; the validation images are not looked at.
        head: Its settings.
    """
    if head.whiten == NONE:
        return
    norm = model.head.get_layer(STANDARDISE)
    before = keras.Model(model.head.input["feature"], norm.input)
    places = int(np.prod(before.output.shape[1:-1], dtype=np.int64))
    moments = Moments()
    for inputs in _read_inputs(data.train, max_rows=max(1, MAX_ROWS // places)):
        rows = ops.convert_to_numpy(before(model.compute_feature(inputs, training=False), training=False))
        moments.add(rows.reshape(-1, rows.shape[-1]))
    mean, covariance = moments.read()
    variance = np.zeros_like(mean) + (1.0 if head.whiten == CENTRE else np.diag(covariance))
    norm.moving_mean.assign(mean)
    norm.moving_variance.assign(np.maximum(variance - norm.epsilon, 0.0))
    if head.whiten in WITH_MATRIX:
        deviations = np.sqrt(np.maximum(variance, norm.epsilon))
        correlation = covariance / np.outer(deviations, deviations)
        whitening = compute_whitening(correlation, head.whiten, floor=head.whiten_floor)
        model.head.get_layer(WHITEN).kernel.assign(whitening)


def _read_inputs(batches: Batches, *, max_rows: int) -> Iterator[Any]:
    """Yield tensors (n, ...) of the inputs of evenly spaced images in all their views, at most `max_rows` in all."""
    num_views = max(1, batches.plan.num_views)
    chosen: NDArray[np.int64] = np.arange(batches.num_images * num_views)
    chosen = chosen[:: -(-len(chosen) // max_rows)]
    for start in range(0, len(chosen), IMAGES_AT_ONCE):
        images, views = np.divmod(chosen[start : start + IMAGES_AT_ONCE], num_views)
        table, places = batches.inputs.take(images, views)
        yield ops.take(ops.convert_to_tensor(table), places, axis=0)
