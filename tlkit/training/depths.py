"""Train a head, then the last layer groups too, and predict held-out images with both.

These are the first two stages of a run, on features of the plain images. Nothing is saved, and the backbone is restored
afterwards.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tlkit.backbones.build import Backbone
from tlkit.recipes import ResolvedStage
from tlkit.training.checkpoint import restore, snapshot
from tlkit.training.held_out import (
    FeatureSource,
    HeadTraining,
    Parts,
    answer_with,
    fit_unwatched,
    make_stage_data,
    train_head,
)
from tlkit.training.unfreezing import build_stage_model, compute_stage_rates


@dataclass(frozen=True, eq=False)
class Deeper:
    """The second stage, after the head.

    Attributes:
        backbone: The network.
        boundary: Boundary above which the backbone is trained.
        features: Features at that boundary.
        stage: Resolved settings.
        bn: What its batch norm does; see `build_stage_model`.
    """

    backbone: Backbone
    boundary: str
    features: FeatureSource
    stage: ResolvedStage
    bn: str


def answer_at_two_depths(
    features: FeatureSource,
    answers: NDArray[Any],
    parts: Parts,
    how: HeadTraining,
    deeper: Deeper,
) -> tuple[NDArray[np.floating[Any]], NDArray[np.floating[Any]]]:
    """Return what the head alone says of the test part, and what head and last groups say, as in `HeldOutAnswers`.

    Args:
        features: At the top.
        answers: Of all images; see `answer_held_out`, also for the arguments that follow.
        parts: Which images are for what.
        how: What the head is, and how it is trained; the second stage has the same seed, weight decay and so on.
        deeper: The second stage.

    Raises:
        NumericsError: The training loss is no longer a number.
    """
    training = how.training
    trained = train_head(features, answers, parts, how)
    alone = answer_with(trained, features, parts.test)
    model = build_stage_model(deeper.backbone, trained.model.head, boundary=deeper.boundary, bn=deeper.bn)
    rates, _ = compute_stage_rates(model, deeper.backbone, deeper.stage, boundary=deeper.boundary)
    before = snapshot("before", model.variables)
    data = make_stage_data(
        deeper.features, trained.answers, parts, outputs=how.outputs, stage=deeper.stage, training=training
    )
    try:
        fit_unwatched(model, data, rates, deeper.stage, training, keeps_start=True)
        return alone, answer_with(trained.through(model), deeper.features, parts.test)
    finally:
        restore("before", model.variables, before)
