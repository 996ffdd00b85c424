"""Which images to look at when a model has been scored: the worst, each kind of mistake, the least sure, the unknown.

A page shows a few hundred pictures whether 2,000 images were scored or 100,000, and says how many there are.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tlkit.inference.scoring import Scores
from tlkit.inference.task_report import list_targets
from tlkit.models.spec import BundleSpec
from tlkit.tasks import find_task
from tlkit.tasks.box_report import compute_box_scores
from tlkit.tasks.verdicts import CommonMistake, Verdicts

MAX_WORST, MAX_UNSURE, MAX_UNKNOWN, MAX_BOXES = 120, 60, 30, 40
MAX_COMMON, MAX_OF_A_COMMON = 8, 8

Rows = NDArray[np.intp]


@dataclass(frozen=True)
class ChosenImages:
    """Images that are shown together.

    Attributes:
        title: What they have in common.
        tone: One of `tlkit.reports.sheet.TONES`.
        rows: Their places in the scores, those to look at first first.
        num_images: How many there are to choose from.
    """

    title: str
    tone: str
    rows: Sequence[int]
    num_images: int


@dataclass(frozen=True)
class Mistakes:
    """The images of a scored set that are worth a look.

    Attributes:
        verdicts: What became of each image.
        groups: Those with wrong answers, right but unsure ones, and unknown ones; no image is in two of them.
        common: The most frequent mistakes, with a few of their images.
        boxes: Those with the least IoU; empty without boxes.
        ious: The IoU of each image that has a true box.
    """

    verdicts: Verdicts
    groups: tuple[ChosenImages, ...]
    common: tuple[CommonMistake, ...]
    boxes: ChosenImages
    ious: dict[int, float]

    @property
    def files(self) -> Sequence[int]:
        """The images whose pictures go into the folder, the worst first."""
        worst = self.groups[0].rows
        return worst if len(worst) or not len(self.boxes.rows) else self.boxes.rows


def choose_mistakes(scores: Scores, spec: BundleSpec) -> Mistakes:
    """Choose the images to look at.

    Args:
        scores: Of at least one image.
        spec: The model's.
    """
    task = find_task(spec.task)
    verdicts = task.judge(list_targets(spec, scores.records), scores.answers, spec)
    everything = np.arange(len(scores.records))
    is_wrong = np.ones(len(everything), bool) if verdicts.is_right is None else ~verdicts.is_right
    worst = verdicts.rank(everything[is_wrong])
    groups = [ChosenImages(verdicts.worst_title, "wrong", _cover(worst, verdicts, MAX_WORST), len(worst))]
    shown = set(groups[0].rows)
    if verdicts.is_right is not None and verdicts.margins is not None and not spec.has_one_class:
        right = everything[verdicts.is_right]
        right = right[np.argsort(verdicts.margins[right], kind="stable")]
        title = "Right, the least sure first"
        groups.append(ChosenImages(title, "right", _cover(right, verdicts, MAX_UNSURE), len(right)))
        shown.update(groups[-1].rows)
    unknown = find_unknown(scores, spec)
    others = [row for row in unknown.tolist() if row not in shown]
    title = "Other images unlike the training images"
    groups.append(ChosenImages(title, "unsure", others[:MAX_UNKNOWN], len(others)))
    boxes, ious = _choose_boxes(scores)
    common = verdicts.list_common_mistakes()[:MAX_COMMON]
    return Mistakes(verdicts, tuple(groups), tuple(common), boxes, ious)


def find_unknown(scores: Scores, spec: BundleSpec) -> Rows:
    """Return the images that are flagged as unknown, the most distant first."""
    if scores.distances is None or spec.unknown_above is None:
        return np.empty(0, np.intp)
    rows = np.flatnonzero(scores.distances > spec.unknown_above)
    return rows[np.argsort(-scores.distances[rows], kind="stable")]


def _choose_boxes(scores: Scores) -> tuple[ChosenImages, dict[int, float]]:
    boxed, true, predicted = scores.pair_boxes()
    if not boxed:
        return ChosenImages("", "wrong", (), 0), {}
    places = [row for row, record in enumerate(scores.records) if record.box is not None]
    ious = dict(zip(places, compute_box_scores(true, predicted).each.tolist(), strict=True))
    ranked = sorted(places, key=lambda row: ious[row])
    return ChosenImages("Worst boxes", "wrong", ranked[:MAX_BOXES], len(ranked)), ious


def _cover(ranked: Rows, verdicts: Verdicts, most: int) -> list[int]:
    """Return the first of some images, and one of each kind that is missing among them, frequent kinds first.

    Half of the places go by rank alone.
    """
    rows: list[int] = ranked.tolist()
    if len(rows) <= most:
        return rows
    kinds = {row: verdicts.kind_of(row) for row in rows}
    chosen = rows[: most // 2]
    covered = {kinds[row] for row in chosen}
    first_of = {kinds[row]: row for row in reversed(rows)}
    missing = [kind for kind, _ in Counter(kinds.values()).most_common() if kind not in covered]
    chosen += [first_of[kind] for kind in missing[: most - len(chosen)]]
    taken = set(chosen)
    chosen += [row for row in rows if row not in taken][: most - len(chosen)]
    place_of = {row: place for place, row in enumerate(rows)}
    return sorted(chosen, key=place_of.__getitem__)
