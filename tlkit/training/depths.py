"""Train a head, then the last layer groups too, and predict held-out images with both.

These are the first two stages of a run, on features of the plain images. Nothing is saved, and the backbone is restored
afterwards.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from tlkit.backbones.build import Backbone
from tlkit.recipes import ResolvedStage
from tlkit.training.checkpoint import restore, snapshot
from tlkit.training.held_out import (
    FeatureSource,
    HeadTraining,
    NewHead,
    Parts,
    answer_with,
    fit_unwatched,
    make_stage_data,
    train_head,
)
from tlkit.training.steps import StageModel
from tlkit.training.unfreezing import build_stage_model, compute_stage_rates


@dataclass(frozen=True, eq=False)
class Deeper:
    """The second stage, after the head.

    Attributes:
        backbone: The network.
        boundary: Boundary above which the backbone is trained.
        features: Features at that boundary.
        stage: Resolved settings.
        bn: Batch norm of the tail; see `build_stage_model`.
    """

    backbone: Backbone
    boundary: str
    features: FeatureSource
    stage: ResolvedStage
    bn: str


@dataclass(frozen=True, eq=False)
class DepthModels:
    """The models of both depths, to be trained anew on each fold.

    Attributes:
        new_head: The head alone.
        deep: The last groups and the same head.
    """

    new_head: NewHead
    deep: StageModel

    @classmethod
    def build(cls, feature_shape: tuple[int, ...], how: HeadTraining, deeper: Deeper) -> Self:
        """Build them; arguments as in `answer_at_two_depths`, with the shape of a feature at the top."""
        new_head = NewHead.build(feature_shape, how)
        head = new_head.model.head
        return cls(new_head, build_stage_model(deeper.backbone, head, boundary=deeper.boundary, bn=deeper.bn))


def answer_at_two_depths(
    features: FeatureSource,
    answers: NDArray[Any],
    parts: Parts,
    how: HeadTraining,
    deeper: Deeper,
    models: DepthModels | None = None,
) -> tuple[NDArray[np.floating[Any]], NDArray[np.floating[Any]]]:
    """Return the test predictions of the head alone, and of the head with the last groups, as in `HeldOutAnswers`.

    Args:
        features: Features at the top.
        answers: Targets of all images; see `answer_held_out`.
        parts: The split of the images.
        how: The head, and how to train it; the second stage uses the same training settings.
        deeper: The second stage.
        models: Built for both; None to build them.

    Raises:
        NumericsError: The training loss is no longer a number.
    """
    training = how.training
    models = models or DepthModels.build(features.shape, how, deeper)
    trained = train_head(features, answers, parts, how, models.new_head)
    alone = answer_with(trained, features, parts.test)
    model = models.deep
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
