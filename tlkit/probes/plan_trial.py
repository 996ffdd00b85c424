"""The trial of a plan: both depths and both heads, trained on some images and asked about others, on cached features."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tlkit.errors import DataError
from tlkit.features.cache import FeatureCache
from tlkit.models.classifier import Classifier
from tlkit.probes.advice import LINEAR, Trial
from tlkit.probes.cross_validation import divide_fold
from tlkit.probes.folds import MAX_FOLDS
from tlkit.probes.images import Questions
from tlkit.probes.probe import run_majority
from tlkit.probes.strategies import Strategy
from tlkit.recipes import HeadSettings, ResolvedStage
from tlkit.reports.console import Console
from tlkit.runtime import graph_precision
from tlkit.tasks import Outputs, find_task
from tlkit.tasks.scored_outputs import ScoredOutputs, compute_mean_interval
from tlkit.training.depths import Deeper, answer_at_two_depths
from tlkit.training.held_out import FeatureSource, HeadTraining, Parts, answer_held_out

MAX_TRIED, MIN_TRIED = 1250, 60
"""Images. Few would not do: what last groups bring grows with the images that they learn from."""
_PART_TRAINED_ON = 0.64
"""Of the images, in each fold: the others are held out, or choose the epoch."""
MAX_EPOCHS, PATIENCE = 8, 3
"""Of the last groups."""
MAX_FASTER = 4.0
"""Rates of the last groups are raised by so much at most, as fewer steps are taken than in a training.

At ten times the usual rate the loss of held-out images rises while their accuracy does too: that is another training.
"""
MAX_VIEWS = 4
MAX_SECONDS = 120.0
"""Of training the last groups in all folds."""


@dataclass(frozen=True, eq=False)
class TriedFeatures:
    """Features of the images of a trial.

    Attributes:
        cache: Holds them.
        positions: Where each view of each image lies, int64 (n, num_views).
    """

    cache: FeatureCache
    positions: NDArray[np.int64]

    def read(self, images: NDArray[np.int64], views: NDArray[np.int64]) -> NDArray[np.generic]:
        """Return some of them by image and view."""
        return self.cache.read(self.positions[images, views])

    def read_pooled(self, images: NDArray[np.int64], views: NDArray[np.int64]) -> NDArray[np.generic]:
        """Return their means over the places of the map."""
        rows = self.read(images, views)
        return rows.mean(axis=(1, 2), dtype=np.float32) if rows.ndim == 4 else rows

    def source(self, *, is_pooled: bool = False) -> FeatureSource:
        """Return what a training reads."""
        spec, num_views = self.cache.spec, self.positions.shape[1]
        if not is_pooled or len(spec.feature_shape) == 1:
            return FeatureSource(self.read, num_views, spec.feature_shape, spec.row_bytes)
        return FeatureSource(self.read_pooled, num_views, spec.feature_shape[-1:], 4 * spec.feature_shape[-1])


def choose_size(num_images: int, *, seconds_an_image: float) -> int:
    """Return how many images a trial takes, so that it stays modest.

    Args:
        num_images: That there are.
        seconds_an_image: What the last groups take for each image of an epoch.
    """
    return min(num_images, MAX_TRIED, int(MAX_SECONDS / max(estimate_seconds(1, seconds_an_image), 1e-9)))


def estimate_seconds(num_tried: int, seconds_an_image: float) -> float:
    """Return how long the last groups train in all folds at most; arguments as those of `choose_size`."""
    return MAX_FOLDS * MAX_EPOCHS * _PART_TRAINED_ON * num_tried * seconds_an_image


def run_trial(
    questions: Questions,
    top: TriedFeatures,
    inner: TriedFeatures,
    *,
    way: Strategy,
    num_train: int,
    classifier: Classifier,
    console: Console,
) -> Trial | None:
    """Train the head, from it the last groups too, and a linear head, fold by fold, and score what they say.

    Every image is held out once, so that the comparison has all of them.

    Args:
        questions: Images, targets and folds.
        top: Features at the top.
        inner: Features below the last groups.
        way: The one that trains them; its settings hold, but for what makes the trial short.
        num_train: Images that it would train on.
        classifier: The model; it stays as it is.
        console: Shows progress.

    Returns:
        What was found, without the time; None where a fold has too few images to choose the epoch by.

    Raises:
        NumericsError: The training loss is no longer a number.
    """
    try:
        parts = [divide_fold(questions, fold) for fold in questions.folds]
    except DataError:
        return None
    trainings = _Trainings(questions, top, inner, way, num_train, classifier)
    outputs_of = {name: np.zeros(questions.targets.shape) for name in ("head", "deeper", LINEAR)}
    with console.progress("Trial", len(parts), "folds") as advance, graph_precision(way.plan.recipe.backbone.precision):
        for part in parts:
            outputs_of["head"][part.test], outputs_of["deeper"][part.test] = trainings.train_both(part)
            if trainings.tries_linear:
                outputs_of[LINEAR][part.test] = trainings.train_linear(part)
            advance(1)
    task, targets = questions.manifest.task, questions.targets
    base = run_majority(task, targets, questions.folds).outputs

    def score(outputs: NDArray[np.float64]) -> ScoredOutputs:
        return find_task(task).score_outputs(targets, outputs, base)

    losses = {name: find_task(task).measure_losses(targets, outputs) for name, outputs in outputs_of.items()}
    num_linear = (top.source(is_pooled=True).shape[0] + 1) * questions.targets.shape[1]
    return Trial(
        num_trained=round(np.mean([len(part.train) + len(part.validation) for part in parts])),
        head_kind=way.plan.recipe.head.kind,
        last_groups=way.unfreeze,
        majority=score(base),
        head=score(outputs_of["head"]),
        deeper=score(outputs_of["deeper"]),
        linear=score(outputs_of[LINEAR]) if trainings.tries_linear else None,
        loss_fall=compute_mean_interval(losses["head"] - losses["deeper"]),
        linear_loss_fall=float((losses["head"] - losses[LINEAR]).mean()) if trainings.tries_linear else 0.0,
        num_parameters=(classifier.head.count_params(), num_linear),
        seconds=0.0,
    )


@dataclass(frozen=True, eq=False)
class _Trainings:
    """What is trained in each fold; attributes as in `run_trial`."""

    questions: Questions
    top: TriedFeatures
    inner: TriedFeatures
    way: Strategy
    num_train: int
    classifier: Classifier

    @property
    def tries_linear(self) -> bool:
        """Whether a linear head is another choice: a box needs a head that knows where things are."""
        return self.way.plan.recipe.head.kind != LINEAR and not self.classifier.spec.has_box

    def train_both(self, part: Parts) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
        """Return what the head alone says, and what it says with the last groups."""
        last = self.way.plan.stages[-1]
        short = shorten(last.stage, num_train=self.num_train, num_tried=len(part.train))
        return answer_at_two_depths(
            self.top.source(),
            self.questions.answers,
            part,
            HeadTraining(
                outputs=self._outputs,
                head=self.way.plan.recipe.head,
                stage=self.way.plan.stages[0].stage,
                training=self.way.plan.recipe.training,
            ),
            deeper=Deeper(self.classifier.backbone, last.boundary, self.inner.source(), short, self.way.plan.recipe.bn),
        )

    def train_linear(self, part: Parts) -> NDArray[np.floating]:
        """Return what a linear head says."""
        return answer_held_out(
            self.top.source(is_pooled=True),
            self.questions.answers,
            part,
            HeadTraining(
                outputs=self._outputs,
                head=HeadSettings(kind=LINEAR, dropout=self.way.plan.recipe.head.dropout),
                stage=self.way.plan.stages[0].stage,
                training=self.way.plan.recipe.training,
            ),
        ).outputs

    @property
    def _outputs(self) -> Outputs:
        return Outputs(self.questions.manifest.task, self.questions.targets.shape[1])


def shorten(stage: ResolvedStage, *, num_train: int, num_tried: int) -> ResolvedStage:
    """Return a stage of few epochs in which weights can go as far as in all of them.

    How far they go in AdamW is about the rate times the number of steps, so the rate rises as steps become fewer, up to
    fourfold.

    Args:
        stage: On all training images.
        num_train: Their number.
        num_tried: Those that the short stage trains on.
    """
    epochs = min(stage.epochs, MAX_EPOCHS)
    faster = min(MAX_FASTER, max(1.0, stage.epochs * num_train / (epochs * num_tried)))
    patience = min(stage.patience, PATIENCE) or PATIENCE
    return dataclasses.replace(stage, epochs=epochs, patience=patience, lr=stage.head_rate * faster)
