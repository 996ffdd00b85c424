"""Maps of evidence computed from feature maps upwards: fast enough for every image of a run.

Each function takes an explainer, features float (n, *feature_shape), the output that is explained for each image, int64
(n,), or the outputs whose mean is, (n, k), and metadata or None, and returns float32 (n, h, w), signed, in the unit of the
logit or of the value.

Several maps of a feature give one map of evidence. Each has its own, whose mean is what this map contributes, so they add
up: all are enlarged to the finest and summed, and the unit stays the same.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tlkit.explain.explainer import Explainer
from tlkit.explain.perturbations import Canvas, Scorer, compute_occlusion, compute_rise
from tlkit.heads import metadata_part

Features = NDArray[np.floating[Any]]
Targets = NDArray[np.int64]
Metadata = NDArray[np.float32] | None


def compute_exact(
    explainer: Explainer, features: Features, targets: Targets, metadata: Metadata = None
) -> NDArray[np.float32]:
    """Return the score of each place; their mean is the logit, less what metadata add to it.

    A head that scores places gives them itself. Where a logit is an affine function of the map, each place has its own
    contribution, and the constant is shared equally (Zhou et al., 2015, https://arxiv.org/abs/1512.04150).

    Raises:
        ValueError: The model has no such scores, or a box coordinate is asked for; see `has_exact`.
    """
    if not has_exact(explainer, targets):
        raise ValueError("Expected a head that scores places or is affine, and targets that are answers.")
    if explainer.scores_places:
        return explainer.compute_score_maps(features, targets)
    outputs, gradients = explainer.compute_gradients(features, targets, metadata)
    maps = _sum_contributions(features, gradients)
    constants = outputs - _metadata_outputs(explainer, targets, metadata) - maps.mean(axis=(1, 2))
    found: NDArray[np.float32] = maps + constants[:, np.newaxis, np.newaxis]
    return found


def has_exact(explainer: Explainer, targets: Targets) -> bool:
    """Return whether `compute_exact` is possible for these outputs."""
    if explainer.finds_objects:
        return explainer.scores_places
    is_answer = bool((targets < explainer.classifier.spec.outputs.num_answers).all())
    return is_answer and (explainer.scores_places or explainer.sums_contributions)


def compute_gradcam(
    explainer: Explainer, features: Features, targets: Targets, metadata: Metadata = None
) -> NDArray[np.float32]:
    """Return the channels weighted by the mean gradient of the output by each of them.

    Selvaraju et al., 2016, https://arxiv.org/abs/1610.02391, without the final ReLU: negative evidence is evidence, too.
    """
    _, gradients = explainer.compute_gradients(features, targets, metadata)
    pairs = zip(explainer.take_maps(features), explainer.take_maps(gradients), strict=True)
    return _add_up([_weigh_channels(each, slopes) for each, slopes in pairs])


def compute_hirescam(
    explainer: Explainer, features: Features, targets: Targets, metadata: Metadata = None
) -> NDArray[np.float32]:
    """Return the gradient times the feature, summed over channels at each place.

    Draelos and Carin, 2020, https://arxiv.org/abs/2011.08891.
    """
    _, gradients = explainer.compute_gradients(features, targets, metadata)
    pairs = zip(explainer.take_maps(features), explainer.take_maps(gradients), strict=True)
    return _add_up([_sum_contributions(each, slopes) for each, slopes in pairs])


def compute_map_occlusion(
    explainer: Explainer, features: Features, targets: Targets, metadata: Metadata = None
) -> NDArray[np.float32]:
    """Return how far the output falls where 3 × 3 places of the map around each are set to zero."""
    score = make_feature_scorer(explainer, targets, metadata)
    canvas = Canvas(explainer.map_size, explainer.spread_masks)
    return compute_occlusion(features.astype(np.float32), np.zeros((), np.float32), score, canvas)


def compute_map_rise(
    explainer: Explainer, features: Features, targets: Targets, metadata: Metadata = None
) -> NDArray[np.float32]:
    """Return RISE with the map instead of the picture under the masks."""
    score = make_feature_scorer(explainer, targets, metadata)
    canvas = Canvas(explainer.map_size, explainer.spread_masks)
    return compute_rise(features.astype(np.float32), np.zeros((), np.float32), score, canvas)


def compute_activation_norm(
    explainer: Explainer, features: Features, targets: Targets, metadata: Metadata = None
) -> NDArray[np.float32]:
    """Return the length of the feature vector at each place: a baseline that knows nothing of the output."""
    maps = explainer.take_maps(features)
    return _add_up([np.linalg.norm(each.astype(np.float32), axis=-1) for each in maps])


def make_feature_scorer(explainer: Explainer, targets: Targets, metadata: Metadata = None) -> Scorer:
    """Return what asks the part above the cut for each image's output."""
    given = explainer.complete_metadata(metadata, len(targets))

    def score(rows: NDArray[Any], numbers: NDArray[np.int64]) -> NDArray[np.float32]:
        return explainer.compute_explained(rows, targets[numbers], given[numbers])

    return score


def _weigh_channels(features: Features, gradients: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
    weights = gradients.sum(axis=(1, 2))
    found: NDArray[np.float32] = np.einsum("nhwc,nc->nhw", features.astype(np.float32), weights, optimize=True)
    return found


def _add_up(maps: list[NDArray[np.float32]]) -> NDArray[np.float32]:
    """Return the sum of maps of evidence, float32 (n, h, w) each, at the size of the first."""
    finest = maps[0]
    size = (finest.shape[2], finest.shape[1])
    enlarged = [
        np.stack([np.asarray(Image.fromarray(one).resize(size, Image.Resampling.BILINEAR)) for one in each])
        for each in maps[1:]
    ]
    total: NDArray[np.float32] = np.sum([finest, *enlarged], axis=0, dtype=np.float32)
    return total


def _sum_contributions(features: Features, gradients: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
    places = features.shape[1] * features.shape[2]
    found: NDArray[np.float32] = np.einsum(
        "nhwc,nhwc->nhw", features.astype(np.float32), gradients, optimize=True
    ) * np.float32(places)
    return found


def _metadata_outputs(explainer: Explainer, targets: Targets, metadata: Metadata) -> NDArray[np.float32] | float:
    if metadata is None or not metadata.shape[1]:
        return 0.0
    part = metadata_part(explainer.classifier.head)
    answers = np.asarray(part({"metadata": metadata}, training=False)["answer"])
    found: NDArray[np.float32] = np.take_along_axis(answers, targets.reshape(len(targets), -1), axis=1).mean(axis=1)
    return found
