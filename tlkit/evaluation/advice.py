"""Say how much of a pretrained backbone to train for a data set, from what its features tell.

The known rule has four fields: few or many images, near to what the backbone has learnt or far from it (the table of
Stanford's CS231n; why it holds: Yosinski et al. 2014, arXiv:1411.1792). Here both are measured, and between few and many
there are some, as the last groups need fewer images than everything:

                       near                  far
    few images         the head alone        the head alone, with low hopes
    some images        the last groups, too  the last groups, too
    many images        the last groups, too  everything

Data are far where the highest features have lost something: a probe on them is no better than one on an earlier boundary, or
the nearest neighbours know much less than the probe. Where there is nothing left to gain, or nothing was learnt, the rule
is not asked.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tlkit.evaluation.learning_curve import LearningCurve
from tlkit.evaluation.probes import Probe, is_better
from tlkit.outputs import CLASSIFICATION, QUANTITIES, SCORES

HEAD, LAST_GROUPS, EVERYTHING = 0, 1, 2
"""How deep to train."""
_DEPTHS = ("the head alone", "the head and the last groups", "everything")
FEW, SOME, MANY = "few", "some", "many"
FEWEST_OF_SOME, FEWEST_OF_MANY = 300, 1000
FEWEST_OF_SOME_IN_A_CLASS = 30
LEAST_SHARE_OF_NEIGHBOURS = 0.75
NEARLY_PERFECT = 0.99
NUM_DRAWN = 40


@dataclass(frozen=True, eq=False)
class Evidence:
    """What the frozen features tell.

    Attributes:
        task: One of TASKS.
        num_images: Images of the training split.
        num_groups: Classes or labels; 0 where values are learnt.
        probes: By boundary, from the bottom upwards; the last is `top`.
        neighbours: At the top.
        majority: What can be known without looking.
        curve: Of the probe at the top.
    """

    task: str
    num_images: int
    num_groups: int
    probes: Mapping[str, Probe]
    neighbours: Probe
    majority: Probe
    curve: LearningCurve

    @property
    def quantity(self) -> str:
        """What the scores are, in words."""
        return QUANTITIES[SCORES[self.task]]

    @property
    def rows(self) -> list[tuple[str, Probe]]:
        """Every score by its name, in the order of the table."""
        probes = [(f"probe at {boundary}", probe) for boundary, probe in self.probes.items()]
        return [("majority", self.majority), ("nearest neighbours at top", self.neighbours), *probes]

    def table(self) -> tuple[str, tuple[str, ...], list[tuple[str, ...]]]:
        """Return a title, titles of columns, and rows."""
        rows: list[tuple[str, ...]] = [
            (name, f"{probe.value:z.3f}", f"{probe.score.low:z.3f} to {probe.score.high:z.3f}")
            for name, probe in self.rows
        ]
        return "Without training the backbone", ("asked", self.quantity, "95% interval"), rows

    def chart(self) -> dict[str, Any]:
        """Return what a picture of it shows; see `tlkit.reports.figures.PlanScores`."""
        curve, neighbours = self.curve, self.neighbours.score
        scores = {name: probe.score for name, probe in self.probes.items()}
        return {
            "quantity": self.quantity,
            "boundaries": [(name, score.value, score.low, score.high) for name, score in scores.items()],
            "neighbours": ("neighbours", neighbours.value, neighbours.low, neighbours.high),
            "majority": self.majority.value,
            "measured": [
                (size, score.value, score.low, score.high)
                for size, score in zip(curve.sizes.tolist(), curve.scores, strict=True)
            ],
            "fitted": [
                (size, score.value, score.low, score.high)
                for size in np.geomspace(curve.sizes[0], 2.5 * curve.num_now, NUM_DRAWN).tolist()
                for score in (curve.predict(size),)
            ],
            "num_now": curve.num_now,
            "gain": curve.gain_in_words,
        }

    def to_payload(self) -> dict[str, Any]:
        """Return plain numbers, lists and dicts, fit for JSON."""
        return {
            "task": self.task,
            "images": len(self.majority.each),
            "scores": [
                {"name": name, "value": probe.value, "low": probe.score.low, "high": probe.score.high}
                for name, probe in self.rows
            ],
            "learning_curve": self.curve.to_payload(),
        }


@dataclass(frozen=True)
class Advice:
    """What to do, and why.

    Attributes:
        depth: HEAD, LAST_GROUPS or EVERYTHING.
        is_near: Whether the data are near to what the backbone has learnt; None where it does not matter.
        amount: FEW, SOME or MANY images; None where it does not matter.
        reasons: One or two sentences.
    """

    depth: int
    is_near: bool | None
    amount: str | None
    reasons: tuple[str, ...]

    @property
    def in_words(self) -> str:
        """What to train."""
        return _DEPTHS[self.depth]

    def to_payload(self) -> dict[str, Any]:
        """Return plain values, fit for JSON."""
        return {"train": self.in_words, "is_near": self.is_near, "amount": self.amount, "reasons": self.reasons}


def advise(evidence: Evidence) -> Advice:
    """Follow the rule."""
    top = evidence.probes["top"]
    if not is_better(top, evidence.majority):
        return Advice(
            HEAD,
            None,
            None,
            (
                f"A probe at the top ({top.value:z.2f}) does no better than the majority ({evidence.majority.value:z.2f}): "
                "these features do not tell the answer, and there is nothing to refine. Look at the labels first.",
            ),
        )
    if top.value >= NEARLY_PERFECT:
        return Advice(
            HEAD, None, None, (f"A probe at the top reaches {top.value:z.3f}: hardly anything is left to gain.",)
        )
    is_near, why_near = _judge_distance(evidence)
    amount, why_amount = _judge_amount(evidence)
    is_for_all = amount == MANY and not is_near
    depth = HEAD if amount == FEW else EVERYTHING if is_for_all else LAST_GROUPS
    return Advice(depth, is_near, amount, (why_near, why_amount))


def advise_without_evidence(*, is_random: bool) -> Advice:
    """Say what to do where features tell nothing: the weights are random, or there are too few images to ask."""
    if is_random:
        return Advice(
            EVERYTHING, None, None, ("The weights are random: there is nothing yet that could be kept frozen.",)
        )
    return Advice(
        HEAD, None, None, ("Too few images to find out what the features tell: little can be trained on them.",)
    )


def _judge_distance(evidence: Evidence) -> tuple[bool, str]:
    """Return whether the data are near to what the backbone has learnt, and why."""
    probes = dict(evidence.probes)
    top = probes.pop("top")
    name, best = max(probes.items(), key=lambda each: each[1].value)
    if not is_better(top, best):
        return False, (
            f"Far from what the backbone has learnt: a probe at {name} ({best.value:z.2f}) does as well as one at the top "
            f"({top.value:z.2f})."
        )
    share = (evidence.neighbours.value - evidence.majority.value) / (top.value - evidence.majority.value)
    told = f"nearest neighbours reach {evidence.neighbours.value:z.2f}, the probe {top.value:z.2f}"
    if share < LEAST_SHARE_OF_NEIGHBOURS:
        return False, f"Far from what the backbone has learnt: {told}, so what is alike is not close together there."
    return (
        True,
        f"Near to what the backbone has learnt: {told} at the top and {best.value:z.2f} at most below it ({name}).",
    )


def _judge_amount(evidence: Evidence) -> tuple[str, str]:
    """Return whether images are few, some or many, and why."""
    number = f"{evidence.num_images:,} training images"
    amount = SOME if evidence.num_images < FEWEST_OF_MANY else MANY
    if evidence.task == CLASSIFICATION:
        a_class = evidence.num_images // evidence.num_groups
        number += f", {a_class:,} a class"
        if a_class < FEWEST_OF_SOME_IN_A_CLASS:
            amount = FEW
    if evidence.num_images < FEWEST_OF_SOME:
        amount = FEW
    consequence = {
        FEW: "few: too little to train more than a head",
        SOME: "enough for the last groups, not for everything",
        MANY: "many: enough for any depth",
    }[amount]
    return amount, f"{number}: {consequence}."
