"""Find metadata that leaks the target, and distinguish it from metadata that helps.

A column *leaks* if it alone explains much of the target, or makes it nearly certain for some of the images. Otherwise
it *helps* if it adds to the image's features, is *redundant* if it explains something but adds nothing, and is
*harmless* if it explains nothing.

The explained fraction is measured by out-of-fold squared errors of values, or of class and label memberships, which is
the Brier score (Brier 1950, "Verification of Forecasts Expressed in Terms of Probability"). As a proper score it also
responds if one class dominates, when accuracy does not change. The result is 1 minus its ratio to the score of the base
rates: R², or the Brier skill score. All tests are at 95% with the Bonferroni correction for the number of columns (Dunn
1961, "Multiple Comparisons Among Means"), since ten of 200 useless columns would otherwise seem significant.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tlkit.metadata.columns import ALL_IMAGE_FACTS
from tlkit.outputs import REGRESSION
from tlkit.probes.certain_images import MIN_PART_OF_IMAGES, CertainImages, find_certain_images
from tlkit.probes.folds import Fold, make_group_folds, make_stratified_folds
from tlkit.probes.leak_columns import LeakColumn
from tlkit.probes.leak_report import (
    HARMLESS,
    HELPS,
    LEAKS,
    REDUNDANT,
    ColumnVerdict,
    GroupScore,
    GroupVerdict,
    Known,
    LeakReport,
    describe_column,
    describe_groups,
    pick_leaking,
)
from tlkit.probes.probe import run_majority, run_probes
from tlkit.tasks import find_task
from tlkit.tasks.scored_outputs import ScoredOutputs

FACT_LEAKS_ABOVE, FACT_LEAKS_ABOVE_FOR_VALUES = 0.03, 0.12
"""How much a fact about the image file may explain; it should be unrelated to the target."""
TABLE_LEAKS_ABOVE, TABLE_LEAKS_ABOVE_FOR_VALUES = 0.25, 0.5
"""How much a table column may explain; it is expected to explain something."""
LEVEL = 0.05
MIN_FILLED = 10


@dataclass(frozen=True, eq=False)
class _Answer:
    """The target that columns and images have to explain.

    Attributes:
        task: One of TASKS.
        targets: Float (n, outputs): one-hot classes, 0 and 1 for each label, or a value.
        folds: Folds in which every image is predicted once.
        base: The baseline score of the base rates, or the mean value.
    """

    task: str
    targets: NDArray[np.floating[Any]]
    folds: Sequence[Fold]
    base: ScoredOutputs

    def explain(
        self, block: NDArray[np.floating[Any]], beside: Sequence[NDArray[np.floating[Any]] | None] = (None,)
    ) -> list[ScoredOutputs]:
        """Run probes as `run_probes` does, with class and label memberships treated as values."""
        return run_probes(REGRESSION, self.targets, block, self.folds, beside=beside)

    def to_known(self, probe: ScoredOutputs) -> Known:
        """Return the explained fraction and the accuracy."""
        task = find_task(self.task)
        if not task.has_names:
            return Known(probe.score, None)
        return Known(probe.score, task.score_outputs(self.targets, probe.outputs, self.base.outputs).score)

    def find_certain_images(self, column: LeakColumn, alone: ScoredOutputs) -> CertainImages | None:
        """Return the images whose target a column reveals: its confident predictions, or the images with a value."""
        if not find_task(self.task).has_names:
            return _find_filled_part(column, alone)
        memberships, outputs = self.targets, alone.outputs
        if find_task(self.task).has_labels:
            memberships = np.concatenate([memberships, 1.0 - memberships], axis=1)
            outputs = np.concatenate([outputs, 1.0 - outputs], axis=1)
        return find_certain_images(memberships, outputs)

    def choose_bar(self, column: LeakColumn) -> float:
        """Return how much a column may explain without leaking."""
        bars = (
            (TABLE_LEAKS_ABOVE, FACT_LEAKS_ABOVE)
            if find_task(self.task).has_names
            else (TABLE_LEAKS_ABOVE_FOR_VALUES, FACT_LEAKS_ABOVE_FOR_VALUES)
        )
        return bars[column.is_image_fact]


def _make_answer(
    task: str, targets: NDArray[np.floating[Any]], duplicates: Sequence[Hashable] | None, seed: int
) -> _Answer:
    folds = make_stratified_folds(find_task(task).stratify(targets), duplicates=duplicates, seed=seed)
    return _Answer(task, targets, folds, run_majority(REGRESSION, targets, folds))


def exceeds_chance(gains: NDArray[np.floating[Any]], *, num_comparisons: int = 1) -> bool:
    """Return whether the mean gain is significantly above 0: Student's t, two-sided, at 95% with Bonferroni correction.

    The quantile of t is that of the normal distribution plus two terms of its expansion (Abramowitz and Stegun 1964,
    26.7.5).

    Args:
        gains: Gain of each image, float (n,), n >= 2.
        num_comparisons: Number of comparisons, at least 1.
    """
    freedom = len(gains) - 1
    z = NormalDist().inv_cdf(1.0 - LEVEL / 2 / num_comparisons)
    t = z + (z**3 + z) / (4 * freedom) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)
    return bool(gains.mean() > t * gains.std(ddof=1) / math.sqrt(len(gains)))


def find_leaks(
    task: str,
    targets: NDArray[np.floating[Any]],
    columns: Sequence[LeakColumn],
    *,
    duplicates: Sequence[Hashable] | None = None,
    seed: int = 0,
) -> tuple[ColumnVerdict, ...]:
    """Return the leaking columns without using the images; takes less than a second for 2,000 images.

    All facts about the image file together count as a column `image-size`, which is returned if none of them leaks
    alone.

    Args:
        task: One of TASKS.
        targets: Float (n, outputs): one-hot classes, 0 and 1 for each label, or a value.
        columns: The metadata columns.
        duplicates: Hash of each image; duplicates are never on both sides of a fold.
        seed: Another seed gives other folds.
    """
    answer = _make_answer(task, targets, duplicates, seed)
    judged = _with_all_facts(columns)
    verdicts = [_judge(answer, column, len(judged)) for column in judged]
    return pick_leaking(verdicts)


def compute_leak_report(
    task: str,
    targets: NDArray[np.floating[Any]],
    features: NDArray[np.floating[Any]],
    columns: Sequence[LeakColumn],
    *,
    groups: Sequence[tuple[str, Sequence[Hashable]]] = (),
    duplicates: Sequence[Hashable] | None = None,
    seed: int = 0,
) -> LeakReport:
    """Judge each column by what it explains alone and what it adds to the image, and judge groupings.

    Takes about 15 seconds for 2,000 images of 1,280 features and 8 columns on one core, and four more per grouping. The
    time grows with the number of images and the square of the number of features.

    Args:
        task: One of TASKS.
        targets: Float (n, outputs): one-hot classes, 0 and 1 for each label, or a value.
        features: Finite float (n, d), the backbone's features of each image.
        columns: The metadata columns; may be empty.
        groups: Names of groupings, each with the group of every image. If one group has most of the images, little is
            left to train on while it is held out, and the score falls for that reason alone.
        duplicates: Hash of each image; duplicates are never on both sides of a fold.
        seed: Another seed gives other folds.

    Raises:
        ValueError: There are fewer than two distinct images, or two groups of a grouping, or a grouping leaves no
            training images because all others are duplicates of held-out ones.
    """
    answer = _make_answer(task, targets, duplicates, seed)
    held_out_folds = [make_group_folds(keys, duplicates=duplicates, seed=seed) for _, keys in groups]
    judged = _with_all_facts(columns)
    in_all = _merge(columns)
    beside = [None, *(column.matrix for column in judged), in_all]
    image, *with_columns, with_all = answer.explain(features, beside)

    mixed_probes = run_probes(task, targets, features, answer.folds) if groups else []

    def know_together(matrix: NDArray[np.floating[Any]] | None) -> Known | None:
        return None if matrix is None else answer.to_known(answer.explain(matrix)[0])

    return LeakReport(
        task=task,
        num_images=len(targets),
        majority=answer.to_known(answer.base),
        columns=tuple(
            _judge(answer, column, len(judged), image, with_column)
            for column, with_column in zip(judged, with_columns, strict=True)
        ),
        table=know_together(_merge([column for column in columns if column.is_in_table])),
        metadata=know_together(in_all),
        image=answer.to_known(image),
        image_and_metadata=None if in_all is None else answer.to_known(with_all),
        groups=tuple(
            _judge_groups(task, name, keys, mixed, run_probes(task, targets, features, each)[0], targets, each)
            for (name, keys), each in zip(groups, held_out_folds, strict=True)
            for mixed in mixed_probes
        ),
    )


def _with_all_facts(columns: Sequence[LeakColumn]) -> list[LeakColumn]:
    facts = [column for column in columns if column.is_image_fact]
    matrix = _merge(facts)
    if matrix is None or len(facts) < 2:
        return list(columns)
    return [*columns, LeakColumn(ALL_IMAGE_FACTS, matrix, is_image_fact=True, is_in_table=False)]


def _merge(columns: Sequence[LeakColumn]) -> NDArray[np.floating[Any]] | None:
    return np.concatenate([column.matrix for column in columns], axis=1) if columns else None


def _judge(
    answer: _Answer,
    column: LeakColumn,
    num_judged: int,
    image: ScoredOutputs | None = None,
    with_column: ScoredOutputs | None = None,
) -> ColumnVerdict:
    """Return the verdict on a column; without the image, `helps` is not tested."""
    (alone,) = answer.explain(column.matrix)
    is_known = exceeds_chance(answer.base.each - alone.each, num_comparisons=num_judged)
    certain_images = answer.find_certain_images(column, alone) if is_known else None
    if certain_images or (is_known and alone.score.low > answer.choose_bar(column)):
        verdict = LEAKS
    elif image and with_column and exceeds_chance(image.each - with_column.each, num_comparisons=num_judged):
        verdict = HELPS
    else:
        verdict = REDUNDANT if is_known else HARMLESS
    judged = ColumnVerdict(
        name=column.name,
        same_as=column.same_as,
        is_image_fact=column.is_image_fact,
        verdict=verdict,
        alone=alone.score,
        certain_images=certain_images,
        with_image=with_column.score if with_column else None,
    )
    return dataclasses.replace(judged, sentence=describe_column(answer.task, judged, image.score if image else None))


def _find_filled_part(column: LeakColumn, alone: ScoredOutputs) -> CertainImages | None:
    """Return the images with a value, if the column explains much of them and nothing of the others."""
    filled = column.is_filled
    if filled is None or filled.all() or filled.sum() < max(MIN_FILLED, MIN_PART_OF_IMAGES * len(filled)):
        return None
    part = alone.select(filled)
    if part.score.low <= TABLE_LEAKS_ABOVE_FOR_VALUES:
        return None
    return CertainImages(float(filled.mean()), part.score, 0.0)


def _judge_groups(
    task: str,
    name: str,
    keys: Sequence[Hashable],
    mixed: ScoredOutputs,
    held_out: ScoredOutputs,
    targets: NDArray[np.floating[Any]],
    folds: Sequence[Fold],
) -> GroupVerdict:
    places: dict[Hashable, list[int]] = {}
    for place, key in enumerate(keys):
        places.setdefault(key, []).append(place)
    scores = [
        GroupScore(str(key), len(members), held_out.score_part(np.array(members))) for key, members in places.items()
    ]
    falls = mixed.is_better_than(held_out)
    return GroupVerdict(
        name=name,
        mixed=mixed.score,
        held_out=held_out.score,
        falls=falls,
        scores=tuple(sorted(scores, key=lambda each: (each.score is None, each.score or 0.0, each.name))),
        sentence=describe_groups(
            task,
            name,
            mixed=mixed.score,
            held_out=held_out.score,
            falls=falls,
            num_unknown=_count_unknown_classes(targets, folds) if find_task(task).is_exclusive else 0,
            num_classes=targets.shape[1],
        ),
    )


def _count_unknown_classes(targets: NDArray[np.floating[Any]], folds: Sequence[Fold]) -> int:
    """Count the classes that have test images in some fold but no training images there."""
    unknown = np.zeros(targets.shape[1], bool)
    for fold in folds:
        unknown |= targets[fold.test].any(axis=0) & ~targets[fold.train].any(axis=0)
    return int(unknown.sum())
