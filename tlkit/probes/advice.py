"""Say how much of a pretrained backbone to train for a data set, and under which head, from a short trial.

A backbone is worth training where that brings something, and nothing foretells it but to try: whether images are few or
many, and near to what the backbone has learnt or far from it, decides in the books (the table of Stanford's CS231n), but
features far from the data often serve as well. So a head is trained on some of the images, and from it the last layer
groups too, and both answer for the same images that were held out. Deeper training is advised where it does better beyond
chance.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np

from tlkit.metrics.intervals import Interval
from tlkit.outputs import QUANTITIES
from tlkit.probes.learning_curve import LearningCurve
from tlkit.probes.probe import describe_gain
from tlkit.tasks import find_task
from tlkit.tasks.scored_outputs import ScoredOutputs

HEAD, LAST_GROUPS, EVERYTHING = 0, 1, 2
"""How deep to train."""
LINEAR = "linear"
NEARLY_PERFECT = 0.99
LITTLE = 0.02
"""A gain that is certainly smaller is not worth the time."""
MANY_TIMES = 1.5
"""A training on so many times as many images as the trial's may gain where the trial does not."""
NUM_DRAWN = 40


@dataclass(frozen=True, eq=False)
class Trial:
    """What trained models say of images that they have not learnt from, all models of the same ones.

    Attributes:
        num_trained: Images that each of them learnt from, with those that chose its epoch.
        head_kind: The head that was asked for.
        last_groups: The lowest layer group that was trained.
        majority: What can be known of the held-out images without looking.
        head: The head alone.
        deeper: The head, and then the last groups too.
        linear: A linear head; None where that is the one that was asked for, or another is needed.
        loss_fall: By how much the last groups lower the loss of an image; above 0 is better. It takes into account how
            sure a model is, and so tells small differences sooner than a score does.
        linear_loss_fall: By how much the mean loss of a linear head is below that of the head; 0 without a linear head.
        num_parameters: Weights of the head, and of a linear one.
        seconds: What it took, with the features.
    """

    num_trained: int
    head_kind: str
    last_groups: str
    majority: ScoredOutputs
    head: ScoredOutputs
    deeper: ScoredOutputs
    linear: ScoredOutputs | None
    loss_fall: Interval
    linear_loss_fall: float
    num_parameters: tuple[int, int]
    seconds: float

    @property
    def num_images(self) -> int:
        """Images that were held out."""
        return len(self.head.each)

    @cached_property
    def gain(self) -> Interval:
        """By how much the last groups raise the score."""
        return self.deeper.compute_gain(self.head)

    @property
    def rows(self) -> list[tuple[str, ScoredOutputs]]:
        """Every score by its name."""
        return [
            *([("linear head", self.linear)] if self.linear else []),
            (f"{self.head_kind} head", self.head),
            (f"{self.head_kind} head and {self.last_groups} upwards", self.deeper),
        ]


@dataclass(frozen=True, eq=False)
class Evidence:
    """What some of the images tell.

    Attributes:
        task: One of TASKS.
        num_images: Images of the training split.
        majority: What can be known without looking.
        probe: A linear probe on the frozen features at the top.
        curve: Of that probe.
        trial: None where there are too few images, or it would take too long.
        why_no_trial: The reason then.
    """

    task: str
    num_images: int
    majority: ScoredOutputs
    probe: ScoredOutputs
    curve: LearningCurve
    trial: Trial | None
    why_no_trial: str = ""

    @property
    def quantity(self) -> str:
        """What the scores are, in words."""
        return QUANTITIES[find_task(self.task).score_name]

    @property
    def rows(self) -> list[tuple[str, ScoredOutputs]]:
        """Every score by its name, in the order of the table."""
        frozen = [("majority", self.majority), ("linear probe", self.probe)]
        return [*frozen, *(self.trial.rows if self.trial else [])]

    def table(self) -> tuple[str, tuple[str, ...], list[tuple[str, ...]]]:
        """Return a title, titles of columns, and rows."""
        rows: list[tuple[str, ...]] = [
            (name, f"{len(probe.each):,}", f"{probe.value:z.3f}", f"{probe.score.low:z.3f} to {probe.score.high:z.3f}")
            for name, probe in self.rows
        ]
        return "On images held out", ("asked", "images", self.quantity, "95% interval"), rows

    def chart(self) -> dict[str, Any]:
        """Return what a picture of it shows; see `tlkit.reports.figures.PlanScores`."""
        curve = self.curve
        scores = [(name, probe.score) for name, probe in self.rows[1:]]
        return {
            "quantity": self.quantity,
            "scores": [(name, score.value, score.low, score.high) for name, score in scores],
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
        trial = self.trial
        return {
            "task": self.task,
            "scores": [
                {
                    "name": name,
                    "images": len(probe.each),
                    "value": probe.value,
                    "low": probe.score.low,
                    "high": probe.score.high,
                }
                for name, probe in self.rows
            ],
            "trial": {
                "images": trial.num_images,
                "trained_on": trial.num_trained,
                "gain_of_last_groups": asdict(trial.gain),
                "fall_of_loss": asdict(trial.loss_fall),
                "seconds": round(trial.seconds, 2),
            }
            if trial
            else None,
            "learning_curve": self.curve.to_payload(),
        }


@dataclass(frozen=True)
class Advice:
    """What to do, and why.

    Attributes:
        depth: HEAD, LAST_GROUPS or EVERYTHING.
        head_kind: A head to take instead of the one that was asked for; None: that one.
        reasons: Some sentences.
    """

    depth: int
    head_kind: str | None
    reasons: tuple[str, ...]


def advise(evidence: Evidence) -> Advice:
    """Follow the trial, but for the cases in which it is not asked."""
    probe, majority, trial = evidence.probe, evidence.majority, evidence.trial
    if not probe.is_better_than(majority) and not (trial and trial.deeper.is_better_than(trial.majority)):
        return Advice(
            HEAD,
            None,
            (
                f"A probe on the frozen features ({probe.value:z.2f}) does no better than the majority "
                f"({majority.value:z.2f}): they do not tell the answer, and there is nothing to refine. Look at the "
                "labels first.",
            ),
        )
    if trial is None:
        return Advice(
            HEAD, None, (f"Whether more than the head is worth training was not tried: {evidence.why_no_trial}",)
        )
    depth, reason = _judge_depth(evidence, trial)
    kind, head_reason = _judge_head(trial) if depth == HEAD else (None, _compare_with_linear(trial))
    return Advice(depth, kind, (reason, head_reason) if head_reason else (reason,))


def advise_without_evidence(*, is_random: bool) -> Advice:
    """Say what to do where features tell nothing: the weights are random, or there are too few images to ask."""
    if is_random:
        return Advice(EVERYTHING, None, ("The weights are random: there is nothing yet that could be kept frozen.",))
    return Advice(HEAD, None, ("Too few images to find out what the features tell: little can be trained on them.",))


def _judge_depth(evidence: Evidence, trial: Trial) -> tuple[int, str]:
    """Return how deep to train, and why.

    The last groups are worth their time where the score rises beyond chance, or where the loss falls beyond chance and the
    score rises by an amount that matters.
    """
    gain, loss = describe_gain(evidence.task, trial.gain), trial.loss_fall
    of = f"{evidence.quantity} on {trial.num_images:,} images held out"
    last = trial.last_groups
    if trial.gain.low > 0:
        return LAST_GROUPS, f"Training {last} upwards too brings {gain} of {of}."
    if loss.low > 0 and trial.gain.value >= LITTLE:
        return LAST_GROUPS, (
            f"Training {last} upwards too brings {gain} of {of}; the loss falls beyond chance, by "
            f"{loss.in_words()} an image."
        )
    is_full = trial.head.value >= NEARLY_PERFECT
    has_more = evidence.num_images >= MANY_TIMES * trial.num_trained
    if is_full or (not has_more and (trial.gain.high < LITTLE or loss.low <= 0)):
        return HEAD, f"No gain is to be expected from training {last} upwards too: {gain} of {of}."
    reason = f"No clear gain shows from training {last} upwards too: {gain} of {of}."
    if has_more:
        reason += (
            f" Each model learnt from {trial.num_trained:,} images; with all {evidence.num_images:,} there may be one."
        )
    return HEAD, reason


def _judge_head(trial: Trial) -> tuple[str | None, str | None]:
    """Return the linear head where it does better beyond chance, or no worse by score and by loss, and why.

    Where both are nearly perfect the loss has little to tell.
    """
    linear, head = trial.linear, trial.head
    if linear is None or linear.value < head.value:
        return None, None
    is_backed = trial.linear_loss_fall >= 0 or linear.value >= NEARLY_PERFECT
    if not is_backed and linear.compute_gain(head).low <= 0:
        return None, None
    times = trial.num_parameters[0] / trial.num_parameters[1]
    return LINEAR, (
        f"A linear head does as well as the {trial.head_kind} one, {linear.value:z.3f} and {head.value:z.3f}, "
        f"at 1/{times:,.0f} of its weights."
    )


def _compare_with_linear(trial: Trial) -> str | None:
    """Return a hint where a linear head alone does as well as another head with the last groups."""
    if trial.linear is None or trial.linear.value < trial.deeper.value:
        return None
    return (
        f"A linear head alone does as well in the trial ({trial.linear.value:z.3f}, and {trial.deeper.value:z.3f} for the "
        f"{trial.head_kind} head and {trial.last_groups} upwards), in a fraction of the time: try it first (--head linear)."
    )
