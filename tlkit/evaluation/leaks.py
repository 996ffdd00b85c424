"""Find metadata that gives the answer away, and tell it from metadata that helps.

A column *leaks* if it alone predicts far above the majority. Else it *helps* if it adds to the features of the image;
is *redundant* if it predicts above the majority but adds nothing; and *harmless* otherwise. All comparisons are made on
images that the probes have not learnt from, at 95%.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tlkit.evaluation.folds import Fold, make_group_folds, make_stratified_folds
from tlkit.evaluation.leak_report import (
    HARMLESS,
    HELPS,
    LEAKS,
    REDUNDANT,
    ColumnVerdict,
    GroupScore,
    GroupVerdict,
    LeakReport,
    pick_leaking,
    tell_column,
    tell_groups,
)
from tlkit.evaluation.probes import Probe, is_better, make_strata, probe_features, run_majority, run_probes
from tlkit.metadata.columns import ALL_IMAGE_FACTS, IMAGE_FACTS
from tlkit.metadata.encoding import MetadataEncoding
from tlkit.outputs import CLASSIFICATION, REGRESSION

FACT_LEAKS_ABOVE = 0.12
"""Part of the way from the majority to 1 that a fact of the image file may know: it has no business with the answer."""
TABLE_LEAKS_ABOVE = 0.5
"""The same of a column of a table, which is expected to know something."""


@dataclass(frozen=True, eq=False)
class LeakColumn:
    """A column to be judged.

    Attributes:
        name: Its name.
        matrix: Its numbers, float (n, w), finite; see `probe_features`.
        is_image_fact: Whether it is a fact of the image file rather than a column of a table.
    """

    name: str
    matrix: NDArray[np.floating[Any]]
    is_image_fact: bool = False


def make_leak_columns(encoding: MetadataEncoding, rows: Sequence[Sequence[str]]) -> list[LeakColumn]:
    """Return every column of an encoding by itself; `rows` are the texts of the images, one a column, n >= 1."""
    texts = list(zip(*rows, strict=True))
    return [
        LeakColumn(
            column.name,
            probe_features(MetadataEncoding((column,)), [(text,) for text in cells]),
            column.name in IMAGE_FACTS,
        )
        for column, cells in zip(encoding.columns, texts, strict=True)
    ]


def find_leaks(
    task: str,
    targets: NDArray[np.floating[Any]],
    columns: Sequence[LeakColumn],
    *,
    twins: Sequence[Hashable] | None = None,
    seed: int = 0,
) -> tuple[ColumnVerdict, ...]:
    """Return the columns that give the answer away, without looking at images; below a second for 2,000 of them.

    All facts of the image file together count as a column `image-size`, which is returned if none of them leaks alone.

    Args:
        task: One of TASKS.
        targets: Float (n, outputs): one-hot classes, 0 and 1 for each label, or a value.
        columns: What is known beside the pixels.
        twins: Hash of each image's bytes; equal images are never on both sides of a fold.
        seed: Another seed gives other folds.
    """
    folds = make_stratified_folds(make_strata(task, targets), twins=twins, seed=seed)
    majority = run_majority(task, targets, folds)
    alone = [(column, run_probes(task, targets, column.matrix, folds)[0]) for column in _with_all_facts(columns)]
    return pick_leaking(
        [_tell(column, LEAKS, probe, majority) for column, probe in alone if _leaks(column, probe, majority)]
    )


def compute_leak_report(
    task: str,
    targets: NDArray[np.floating[Any]],
    features: NDArray[np.floating[Any]],
    columns: Sequence[LeakColumn],
    *,
    groups: Sequence[tuple[str, Sequence[Hashable]]] = (),
    twins: Sequence[Hashable] | None = None,
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
        twins: Hash of each image's bytes; equal images are never on both sides of a fold.
        seed: Another seed gives other folds.

    Raises:
        ValueError: There are less than two distinct images, or two groups of a grouping, or a grouping leaves nothing to
            learn from because every other image is a twin of one that is held out.
    """
    folds = make_stratified_folds(make_strata(task, targets), twins=twins, seed=seed)
    held_out_folds = [make_group_folds(keys, twins=twins, seed=seed) for _, keys in groups]
    majority = run_majority(task, targets, folds)
    judged = _with_all_facts(columns)
    in_all = _merge(columns)
    beside = [None, *(column.matrix for column in judged), in_all]
    image, *with_columns, with_all = run_probes(task, targets, features, folds, beside=beside)

    def score_together(matrix: NDArray[np.floating[Any]] | None) -> Probe | None:
        return None if matrix is None else run_probes(task, targets, matrix, folds)[0]

    table = score_together(_merge([column for column in columns if not column.is_image_fact]))
    metadata = score_together(in_all)
    return LeakReport(
        task=task,
        num_images=len(targets),
        majority=majority.score,
        columns=tuple(
            _judge(column, run_probes(task, targets, column.matrix, folds)[0], with_column, majority, image)
            for column, with_column in zip(judged, with_columns, strict=True)
        ),
        table=table.score if table else None,
        metadata=metadata.score if metadata else None,
        image=image.score,
        image_and_metadata=with_all.score if metadata else None,
        groups=tuple(
            _judge_groups(name, keys, image, run_probes(task, targets, features, each)[0], targets, each)
            for (name, keys), each in zip(groups, held_out_folds, strict=True)
        ),
    )


def _with_all_facts(columns: Sequence[LeakColumn]) -> list[LeakColumn]:
    facts = [column for column in columns if column.is_image_fact]
    matrix = _merge(facts)
    if matrix is None or len(facts) < 2:
        return list(columns)
    return [*columns, LeakColumn(ALL_IMAGE_FACTS, matrix, is_image_fact=True)]


def _merge(columns: Sequence[LeakColumn]) -> NDArray[np.floating[Any]] | None:
    return np.concatenate([column.matrix for column in columns], axis=1) if columns else None


def _judge(column: LeakColumn, alone: Probe, with_image: Probe, majority: Probe, image: Probe) -> ColumnVerdict:
    if _leaks(column, alone, majority):
        verdict = LEAKS
    elif is_better(with_image, image):
        verdict = HELPS
    else:
        verdict = REDUNDANT if is_better(alone, majority) else HARMLESS
    return _tell(column, verdict, alone, majority, image, with_image)


def _tell(
    column: LeakColumn,
    verdict: str,
    alone: Probe,
    majority: Probe,
    image: Probe | None = None,
    with_image: Probe | None = None,
) -> ColumnVerdict:
    return ColumnVerdict(
        name=column.name,
        is_image_fact=column.is_image_fact,
        verdict=verdict,
        alone=alone.score,
        with_image=with_image.score if with_image else None,
        sentence=tell_column(
            alone.task,
            column.name,
            verdict,
            alone=alone.score,
            majority=majority.score,
            image=image.score if image else None,
            with_image=with_image.score if with_image else None,
        ),
    )


def _leaks(column: LeakColumn, alone: Probe, majority: Probe) -> bool:
    part = FACT_LEAKS_ABOVE if column.is_image_fact else TABLE_LEAKS_ABOVE
    floor = 0.0 if alone.task == REGRESSION else majority.value
    bar = floor + part * (1.0 - floor)
    return alone.value > bar and alone.score.low > bar


def _judge_groups(
    name: str,
    keys: Sequence[Hashable],
    mixed: Probe,
    held_out: Probe,
    targets: NDArray[np.floating[Any]],
    folds: Sequence[Fold],
) -> GroupVerdict:
    places: dict[Hashable, list[int]] = {}
    for place, key in enumerate(keys):
        places.setdefault(key, []).append(place)
    scores = [
        GroupScore(str(key), len(members), held_out.score_part(np.array(members))) for key, members in places.items()
    ]
    falls = is_better(mixed, held_out)
    return GroupVerdict(
        name=name,
        mixed=mixed.score,
        held_out=held_out.score,
        falls=falls,
        scores=tuple(sorted(scores, key=lambda each: (each.score is None, each.score or 0.0, each.name))),
        sentence=tell_groups(
            mixed.task,
            name,
            mixed=mixed.score,
            held_out=held_out.score,
            falls=falls,
            num_unknown=_count_unknown_classes(targets, folds) if mixed.task == CLASSIFICATION else 0,
            num_classes=targets.shape[1],
        ),
    )


def _count_unknown_classes(targets: NDArray[np.floating[Any]], folds: Sequence[Fold]) -> int:
    """Count the classes that have images in some fold, but none among what that fold learns from."""
    unknown = np.zeros(targets.shape[1], bool)
    for fold in folds:
        unknown |= targets[fold.test].any(axis=0) & ~targets[fold.train].any(axis=0)
    return int(unknown.sum())
