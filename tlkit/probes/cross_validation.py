"""Cross-validate a head: train it on most images of each fold, and predict the rest."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tlkit.data.splits import assign_splits
from tlkit.data.views import ViewPlan
from tlkit.errors import DataError
from tlkit.features.cache import FeatureCache
from tlkit.probes.folds import Fold
from tlkit.probes.images import Questions
from tlkit.probes.probe import run_majority
from tlkit.recipes import DataSettings, HeadSettings, Recipe, Stage, TrainingSettings, resolve_stages
from tlkit.runtime import graph_precision
from tlkit.tasks import Outputs, find_task
from tlkit.tasks.scored_outputs import ScoredOutputs
from tlkit.training.held_out import FeatureSource, HeadTraining, NewHead, Parts, answer_held_out


@dataclass(frozen=True, eq=False)
class CrossValidatedHead:
    """The results of cross-validated heads.

    Attributes:
        probe: The score of every image with a head that was not trained on it.
        seconds: Median duration of one training.
        num_parameters: Number of weights of the head.
    """

    probe: ScoredOutputs
    seconds: float
    num_parameters: int


def cross_validate_head(
    questions: Questions,
    cache: FeatureCache,
    positions: NDArray[np.int64],
    *,
    head: HeadSettings,
    views: ViewPlan,
    precision: str,
    advance: Callable[[int], None],
) -> CrossValidatedHead:
    """Train a head for each fold, as `tlkit finetune` would with its defaults, and score its predictions.

    In each fold, the default `validation_fraction` of the images is used to choose the epoch.

    Args:
        questions: Images, targets and folds.
        cache: The cached features.
        positions: Row of each view of each image in the cache: int64 (n, num_views).
        head: The kind of head.
        views: The views to draw from.
        precision: Precision of the training steps; see `tlkit.runtime.graph_precision`.
        advance: Called with 1 after each fold.

    Raises:
        DataError: There are too few images.
        NumericsError: The training loss is not finite.
    """
    task, targets = questions.manifest.task, questions.targets
    features = FeatureSource(
        lambda images, index: cache.read(positions[images, index]),
        views.num_views,
        cache.spec.feature_shape,
        cache.spec.row_bytes,
    )
    (stage,) = resolve_stages(Recipe(stages=(Stage(views=views.num_views, policy=views.policy),)))
    parts = []
    predicted = np.zeros(targets.shape)
    how = HeadTraining(
        outputs=Outputs(task, targets.shape[1]),
        head=head,
        stage=stage,
        training=TrainingSettings(seed=questions.seed),
    )
    new_head = NewHead.build(features.shape, how)
    with graph_precision(precision):
        for fold in questions.folds:
            part = divide_fold(questions, fold)
            held_out = answer_held_out(features, questions.answers, part, how, new_head)
            predicted[fold.test] = held_out.outputs
            parts.append(held_out)
            advance(1)
    baseline = run_majority(task, targets, questions.folds).outputs
    return CrossValidatedHead(
        find_task(task).score_outputs(targets, predicted, baseline),
        statistics.median(part.seconds for part in parts),
        parts[0].num_parameters,
    )


def divide_fold(questions: Questions, fold: Fold) -> Parts:
    """Reserve some of a fold's training images to choose the epoch.

    Raises:
        DataError: There are too few.
    """
    strata = find_task(questions.manifest.task).stratify(questions.targets[fold.train])
    splits = np.array(
        assign_splits(
            [questions.manifest.records[image].sha256 for image in fold.train],
            [str(stratum) for stratum in strata],
            validation_fraction=DataSettings().validation_fraction,
            test_fraction=0.0,
            seed=questions.seed,
        )
    )
    if "validation" not in splits:
        raise DataError(
            f"A fold trains on {len(fold.train)} images, one per class, so none is left to choose the epoch.",
            expected="three or more images per class",
            fix="add images, or remove --heads, --policies and --views: a probe needs no epochs.",
        )
    return Parts(fold.train[splits == "train"], fold.train[splits == "validation"], fold.test)
