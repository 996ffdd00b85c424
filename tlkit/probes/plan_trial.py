"""The trial of a plan: train both depths and both heads on cached features, and predict held-out images."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from tlkit.errors import DataError
from tlkit.features.cache import FeatureCache
from tlkit.heads import LINEAR
from tlkit.metrics.intervals import compute_mean_interval
from tlkit.models.classifier import Classifier
from tlkit.probes import early_stop
from tlkit.probes.advice import LITTLE, TrialResult
from tlkit.probes.cross_validation import divide_fold
from tlkit.probes.early_stop import MIN_FOLDS
from tlkit.probes.folds import MAX_FOLDS
from tlkit.probes.images import Questions
from tlkit.probes.probe import run_majority
from tlkit.probes.strategies import Strategy
from tlkit.recipes import HeadSettings, ResolvedStage
from tlkit.reports.console import Console
from tlkit.runtime import graph_precision
from tlkit.tasks import Outputs, find_task
from tlkit.tasks.scored_outputs import ScoredOutputs
from tlkit.training.depths import Deeper, DepthModels, answer_at_two_depths
from tlkit.training.held_out import FeatureSource, HeadTraining, NewHead, Parts, answer_held_out

MAX_TRIED, MIN_TRIED = 1250, 60
"""Number of images. The gain of the last groups grows with the number of training images, so few are not enough."""
_PART_TRAINED_ON = 0.64
"""Fraction of the images trained on in each fold; the others are held out, or choose the epoch."""
MAX_EPOCHS, PATIENCE = 8, 3
"""Epochs of the last groups."""
MAX_FASTER = 4.0
"""Maximum factor on the learning rates of the last groups, since the trial takes fewer steps than a full training.

At ten times the usual rate, both the loss and the accuracy of held-out images rise, unlike in a full training.
"""
MAX_VIEWS = 4
MAX_SECONDS = 120.0
"""Maximum seconds for training the last groups in all folds."""


@dataclass(frozen=True, eq=False)
class TriedFeatures:
    """Features of the images in a trial.

    Attributes:
        cache: The cached features.
        positions: Row of each view of each image, int64 (n, num_views).
    """

    cache: FeatureCache
    positions: NDArray[np.int64]

    def read(self, images: NDArray[np.int64], views: NDArray[np.int64]) -> NDArray[np.generic]:
        """Return features by image and view."""
        return self.cache.read(self.positions[images, views])

    def read_pooled(self, images: NDArray[np.int64], views: NDArray[np.int64]) -> NDArray[np.generic]:
        """Return spatial means of features by image and view."""
        rows = self.read(images, views)
        return rows.mean(axis=(1, 2), dtype=np.float32) if rows.ndim == 4 else rows

    def source(self, *, is_pooled: bool = False) -> FeatureSource:
        """Return the source that training reads from."""
        spec, num_views = self.cache.spec, self.positions.shape[1]
        if not is_pooled or len(spec.feature_shape) == 1:
            return FeatureSource(self.read, num_views, spec.feature_shape, spec.row_bytes)
        return FeatureSource(self.read_pooled, num_views, spec.feature_shape[-1:], 4 * spec.feature_shape[-1])


def choose_size(num_images: int, *, seconds_an_image: float) -> int:
    """Return the number of images for a trial of limited duration.

    Args:
        num_images: Number of available images.
        seconds_an_image: Time of the last groups per image and epoch.
    """
    return min(num_images, MAX_TRIED, int(MAX_SECONDS / max(estimate_seconds(1, seconds_an_image), 1e-9)))


def estimate_seconds(num_tried: int, seconds_an_image: float) -> float:
    """Return the maximum training time of the last groups in all folds; arguments as for `choose_size`."""
    return MAX_FOLDS * MAX_EPOCHS * _PART_TRAINED_ON * num_tried * seconds_an_image


def run_trial(
    questions: Questions,
    top: TriedFeatures,
    inner: TriedFeatures,
    *,
    strategy: Strategy,
    num_train: int,
    classifier: Classifier,
    console: Console,
) -> TrialResult | None:
    """Train the head, then the last groups too, and a linear head, fold by fold, and score their predictions.

    The heads hold out every image once. The last groups do, too, unless the folds to come would hardly change the advice:
    see `tlkit.probes.early_stop`.

    Args:
        questions: Images, targets and folds.
        top: Features at the top.
        inner: Features below the last groups.
        strategy: The strategy that trains them; its settings apply, except those that shorten the trial.
        num_train: Number of images that the full training uses.
        classifier: The model; it is not changed.
        console: Shows progress.

    Returns:
        The result without its duration; None if a fold has too few images to choose the epoch.

    Raises:
        NumericsError: The training loss is no longer a number.
    """
    try:
        parts = [divide_fold(questions, fold) for fold in questions.folds]
    except DataError:
        return None
    num_tried = round(np.mean([len(part.train) for part in parts]))
    trainings = _Trainings(questions, top, inner, strategy, num_train, num_tried, classifier)
    task, targets = questions.manifest.task, questions.targets
    base = run_majority(task, targets, questions.folds).outputs
    outputs_of = {name: base.copy() for name in ("head", "deeper", LINEAR)}
    tried = np.empty(0, np.int64)

    def score(name: str) -> ScoredOutputs:
        return find_task(task).score_outputs(targets, outputs_of[name], base)

    def compare_losses(name: str) -> NDArray[np.float64]:
        losses = (find_task(task).measure_losses(targets, outputs_of[each]) for each in ("head", name))
        return np.subtract(*losses)

    with (
        console.progress("Trial", len(parts), "folds") as advance,
        graph_precision(strategy.plan.recipe.training_precision),
    ):
        is_settled = False
        for number, part in enumerate(parts, start=1):
            if is_settled:
                outputs_of["head"][part.test] = trainings.train_head(part)
            else:
                outputs_of["head"][part.test], outputs_of["deeper"][part.test] = trainings.train_both(part)
                tried = np.sort(np.concatenate([tried, part.test]))
            if trainings.tries_linear:
                outputs_of[LINEAR][part.test] = trainings.train_linear(part)
            if MIN_FOLDS <= number < len(parts) and not is_settled:
                gain = score("deeper").select(tried).compute_gain(score("head").select(tried))
                fall = compute_mean_interval(compare_losses("deeper")[tried])
                part_done = len(tried) / len(targets)
                is_settled = early_stop.is_settled(gain, fall, part_done=part_done, relevant_gain=LITTLE)
            advance(1)
    num_linear = (top.source(is_pooled=True).shape[0] + 1) * targets.shape[1]
    return TrialResult(
        num_trained=round(np.mean([len(part.train) + len(part.validation) for part in parts])),
        head_kind=strategy.plan.recipe.head.kind,
        last_groups=strategy.unfreeze,
        majority=find_task(task).score_outputs(targets, base, base),
        head=score("head"),
        deeper=score("deeper").select(tried),
        tried=tried,
        linear=score(LINEAR) if trainings.tries_linear else None,
        loss_fall=compute_mean_interval(compare_losses("deeper")[tried]),
        linear_loss_fall=float(compare_losses(LINEAR).mean()) if trainings.tries_linear else 0.0,
        num_parameters=(classifier.head.count_params(), num_linear),
        seconds=0.0,
    )


@dataclass(frozen=True, eq=False)
class _Trainings:
    """The trainings of each fold; attributes as in `run_trial`, and the mean number of images that a fold trains on."""

    questions: Questions
    top: TriedFeatures
    inner: TriedFeatures
    strategy: Strategy
    num_train: int
    num_tried: int
    classifier: Classifier

    @property
    def tries_linear(self) -> bool:
        """Whether to try a linear head; boxes need a head with spatial features."""
        return self.strategy.plan.recipe.head.kind != LINEAR and not self.classifier.spec.has_box

    def train_both(self, part: Parts) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
        """Return the outputs of the head alone, and of the head with the last groups."""
        how = self._train_as(self.strategy.plan.recipe.head)
        return answer_at_two_depths(
            self.top.source(), self.questions.answers, part, how, self._deeper, self._depth_models
        )

    @cached_property
    def _deeper(self) -> Deeper:
        last = self.strategy.plan.stages[-1]
        short = shorten(last.stage, num_train=self.num_train, num_tried=self.num_tried)
        return Deeper(self.classifier.backbone, last.boundary, self.inner.source(), short, self.strategy.plan.recipe.bn)

    @cached_property
    def _depth_models(self) -> DepthModels:
        how = self._train_as(self.strategy.plan.recipe.head)
        return DepthModels.build(self.top.source().shape, how, self._deeper)

    def train_head(self, part: Parts) -> NDArray[np.floating]:
        """Return the outputs of the head alone."""
        how, new_head = self._train_as(self.strategy.plan.recipe.head), self._depth_models.new_head
        return answer_held_out(self.top.source(), self.questions.answers, part, how, new_head).outputs

    def train_linear(self, part: Parts) -> NDArray[np.floating]:
        """Return the outputs of a linear head."""
        source = self.top.source(is_pooled=True)
        return answer_held_out(source, self.questions.answers, part, self._linear, self._new_linear).outputs

    @cached_property
    def _linear(self) -> HeadTraining:
        return self._train_as(
            dataclasses.replace(self.strategy.plan.recipe.head, kind=LINEAR, units=HeadSettings().units)
        )

    @cached_property
    def _new_linear(self) -> NewHead:
        return NewHead.build(self.top.source(is_pooled=True).shape, self._linear)

    def _train_as(self, head: HeadSettings) -> HeadTraining:
        outputs = Outputs(self.questions.manifest.task, self.questions.targets.shape[1])
        return HeadTraining(outputs, head, self.strategy.plan.stages[0].stage, self.strategy.plan.recipe.training)


def shorten(stage: ResolvedStage, *, num_train: int, num_tried: int) -> ResolvedStage:
    """Return a stage of few epochs in which weights can move as far as in the full stage.

    With AdamW this distance is about the learning rate times the number of steps, so the rate is raised for fewer
    steps, up to fourfold.

    Args:
        stage: The stage on all training images.
        num_train: Their number.
        num_tried: Number of training images of the short stage.
    """
    epochs = min(stage.epochs, MAX_EPOCHS)
    faster = min(MAX_FASTER, max(1.0, stage.epochs * num_train / (epochs * num_tried)))
    patience = min(stage.patience, PATIENCE) or PATIENCE
    return dataclasses.replace(stage, epochs=epochs, patience=patience, lr=stage.head_rate * faster)
