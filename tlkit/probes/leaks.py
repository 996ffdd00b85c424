"""Find metadata that gives the answer away, and tell it from metadata that helps.

A column *leaks* if it alone explains much of the answer, or makes it nearly certain for a part of the images. Else it
*helps* if it adds to the features of the image; is *redundant* if it explains something but adds nothing; and *harmless*
otherwise.

How much is explained is judged by squared errors on images that the probes have not learnt from: the errors of values,
or of the memberships in classes and labels, which makes it Brier's score (Brier 1950, "Verification of Forecasts
Expressed in Terms of Probability"). It is a proper score: it also tells what accuracy does not, where one class dominates
and the most frequent answer stays the same. The figure is 1 minus its ratio to the score of the base rates: R², or Brier's
skill score. All comparisons are made at 95%, divided by the number of columns (Dunn 1961, "Multiple Comparisons Among
Means"), as of 200 that know nothing ten would otherwise seem to know something.
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
from tlkit.probes.folds import Fold, make_group_folds, make_stratified_folds
from tlkit.probes.given_away import MIN_PART_OF_IMAGES, GivenAway, find_given_away
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
"""What a fact of the image file may explain: it has no business with the answer."""
TABLE_LEAKS_ABOVE, TABLE_LEAKS_ABOVE_FOR_VALUES = 0.25, 0.5
"""The same of a column of a table, which is expected to know something."""
LEVEL = 0.05
MIN_FILLED = 10


@dataclass(frozen=True, eq=False)
class _Answer:
    """What columns and images are to explain.

    Attributes:
        task: One of TASKS.
        targets: Float (n, outputs): one-hot classes, 0 and 1 for each label, or a value.
        folds: Every image is predicted in one of them.
        base: What the base rates, or the mean value, leave unexplained.
    """

    task: str
    targets: NDArray[np.floating[Any]]
    folds: Sequence[Fold]
    base: ScoredOutputs

    def explain(
        self, block: NDArray[np.floating[Any]], beside: Sequence[NDArray[np.floating[Any]] | None] = (None,)
    ) -> list[ScoredOutputs]:
        """Probe inputs as `run_probes` does; memberships in classes and labels are learnt and judged as values."""
        return run_probes(REGRESSION, self.targets, block, self.folds, beside=beside)

    def to_known(self, probe: ScoredOutputs) -> Known:
        """Return how much is explained, and how often that is right."""
        task = find_task(self.task)
        if not task.has_names:
            return Known(probe.score, None)
        return Known(probe.score, task.score_outputs(self.targets, probe.outputs, self.base.outputs).score)

    def find_given_away(self, column: LeakColumn, alone: ScoredOutputs) -> GivenAway | None:
        """Return the images whose answer a column gives away: those of which it is sure, or where it has a value."""
        if not find_task(self.task).has_names:
            return _find_filled_part(column, alone)
        memberships, outputs = self.targets, alone.outputs
        if find_task(self.task).has_labels:
            memberships = np.concatenate([memberships, 1.0 - memberships], axis=1)
            outputs = np.concatenate([outputs, 1.0 - outputs], axis=1)
        return find_given_away(memberships, outputs)

    def choose_bar(self, column: LeakColumn) -> float:
        """Return how much a column may explain."""
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
    """Tell whether gains are above 0 on average: Student's t, two-sided, at 95% divided by the number of comparisons.

    The quantile of t is that of the normal distribution with two terms of its expansion (Abramowitz and Stegun 1964,
    26.7.5).

    Args:
        gains: What each image gains, float (n,), n >= 2.
        num_comparisons: How many such questions are asked; at least 1.
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
    """Return the columns that give the answer away, without looking at images; below a second for 2,000 of them.

    All facts of the image file together count as a column `image-size`, which is returned if none of them leaks alone.

    Args:
        task: One of TASKS.
        targets: Float (n, outputs): one-hot classes, 0 and 1 for each label, or a value.
        columns: What is known beside the pixels.
        duplicates: Hash of each image's bytes; equal images are never on both sides of a fold.
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
    """Judge each column by what it knows alone and what it adds to the image, and groupings by what they hide.

    About 15 seconds for 2,000 images of 1,280 features and 8 columns on one core, and four more for each grouping; time
    rises with the number of images and the square of the number of features.

    Args:
        task: One of TASKS.
        targets: Float (n, outputs): one-hot classes, 0 and 1 for each label, or a value.
        features: Float (n, d), finite: what the backbone makes of each image.
        columns: What is known beside the pixels; may be empty.
        groups: Names of groupings, each with the group of every image. Where one group has most of the images, little
            is left to learn from while it is held out, and the score falls for that alone.
        duplicates: Hash of each image's bytes; equal images are never on both sides of a fold.
        seed: Another seed gives other folds.

    Raises:
        ValueError: There are less than two distinct images, or two groups of a grouping, or a grouping leaves nothing to
            learn from because every other image is a twin of one that is held out.
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
    """Return the verdict on a column; without the image, whether it helps is not asked."""
    (alone,) = answer.explain(column.matrix)
    is_known = exceeds_chance(answer.base.each - alone.each, num_comparisons=num_judged)
    given_away = answer.find_given_away(column, alone) if is_known else None
    if given_away or (is_known and alone.score.low > answer.choose_bar(column)):
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
        given_away=given_away,
        with_image=with_column.score if with_column else None,
    )
    return dataclasses.replace(judged, sentence=describe_column(answer.task, judged, image.score if image else None))


def _find_filled_part(column: LeakColumn, alone: ScoredOutputs) -> GivenAway | None:
    """Return the images that have a value, if the column says nothing of the others and much of these."""
    filled = column.is_filled
    if filled is None or filled.all() or filled.sum() < max(MIN_FILLED, MIN_PART_OF_IMAGES * len(filled)):
        return None
    part = alone.select(filled)
    if part.score.low <= TABLE_LEAKS_ABOVE_FOR_VALUES:
        return None
    return GivenAway(float(filled.mean()), part.score, 0.0)


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
    """Count the classes that have images in some fold, but none among what that fold learns from."""
    unknown = np.zeros(targets.shape[1], bool)
    for fold in folds:
        unknown |= targets[fold.test].any(axis=0) & ~targets[fold.train].any(axis=0)
    return int(unknown.sum())
