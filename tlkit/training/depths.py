"""Train a head, and from it the last layer groups too, and let both answer for images that are held out.

It is what a run does in its first two stages, on features of the images as they are. Nothing is saved, and the backbone
is as it was afterwards.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tlkit.backbones.build import Backbone
from tlkit.recipes import HeadSettings, ResolvedStage, TrainingSettings
from tlkit.tasks import Outputs
from tlkit.training.checkpoint import restore, snapshot
from tlkit.training.held_out import FeatureSource, Parts, answer_with, fit_unwatched, make_stage_data, train_head
from tlkit.training.unfreezing import build_stage_model, compute_stage_rates


@dataclass(frozen=True, eq=False)
class Deeper:
    """What is trained after the head.

    Attributes:
        backbone: The network.
        boundary: Where it is cut; what lies above it is trained.
        features: At that boundary.
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
    *,
    outputs: Outputs,
    head: HeadSettings,
    stage: ResolvedStage,
    training: TrainingSettings,
    deeper: Deeper,
) -> tuple[NDArray[np.floating[Any]], NDArray[np.floating[Any]]]:
    """Return what the head alone says of the test part, and what head and last groups say, as in `HeldOutAnswers`.

    Args:
        features: At the top.
        answers: Of all images; see `answer_held_out`, also for the arguments that follow.
        parts: Which images are for what.
        outputs: What the head says; no box.
        head: The kind of head.
        stage: Resolved settings of the stage for the head alone.
        training: Seed, weight decay, label smoothing, and class weights.
        deeper: The second stage.

    Raises:
        NumericsError: The training loss is no longer a number.
    """
    trained = train_head(features, answers, parts, outputs=outputs, head=head, stage=stage, training=training)
    alone = answer_with(trained, features, parts.test)
    model = build_stage_model(deeper.backbone, trained.model.head, boundary=deeper.boundary, bn=deeper.bn)
    rates, _ = compute_stage_rates(model, deeper.backbone, deeper.stage, boundary=deeper.boundary)
    before = snapshot("before", model.variables)
    data = make_stage_data(
        deeper.features, trained.answers, parts, outputs=outputs, stage=deeper.stage, training=training
    )
    try:
        fit_unwatched(model, data, rates, deeper.stage, training, keeps_start=True)
        return alone, answer_with(trained.through(model), deeper.features, parts.test)
    finally:
        restore("before", model.variables, before)
