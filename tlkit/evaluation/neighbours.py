"""Ask what images with similar features say: the answer of each from its nearest neighbours, itself left out."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tlkit.evaluation.probes import Probe, score_outputs

NUM_NEIGHBOURS = 10
_LEAST_LENGTH = 1e-12


def run_neighbours(
    task: str,
    targets: NDArray[np.floating[Any]],
    block: NDArray[np.floating[Any]],
    *,
    twins: Sequence[Hashable] | None = None,
    num_neighbours: int = NUM_NEIGHBOURS,
) -> Probe:
    """Predict for every image the mean of its neighbours' targets, each weighted by its cosine similarity, 0 at least.

    Nothing is learnt, so this tells whether the features as they are bring together what belongs together.

    Args:
        task: One of TASKS.
        targets: Float (n, outputs); see `tlkit.evaluation.probes`.
        block: Float (n, d), n >= 2, the features of the images.
        twins: Key of each image; an image is no neighbour of those with its key.
        num_neighbours: How many are asked; fewer where there are not so many.
    """
    values = block.astype(np.float64)
    values = values / np.maximum(np.linalg.norm(values, axis=1, keepdims=True), _LEAST_LENGTH)
    similarities = values @ values.T
    keys = np.unique(list(map(hash, twins)), return_inverse=True)[1] if twins else np.arange(len(values))
    similarities[keys[:, None] == keys] = -np.inf
    nearest = np.argsort(-similarities, axis=1, kind="stable")[:, : min(num_neighbours, len(values) - 1)]
    weights = np.maximum(np.take_along_axis(similarities, nearest, axis=1), 0.0) + _LEAST_LENGTH
    outputs = (weights[:, :, None] * targets[nearest]).sum(axis=1) / weights.sum(axis=1, keepdims=True)
    num_others = len(targets) - 1
    others = (targets.astype(np.float64).sum(axis=0) - targets) / num_others
    return score_outputs(task, targets, outputs, others)
