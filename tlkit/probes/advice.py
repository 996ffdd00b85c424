"""Recommend, from a short trial, how much of a pretrained backbone to train, and with which head.

Rules of thumb go by the number of images and their similarity to the pretraining data (the table of Stanford's CS231n),
but features of dissimilar data often transfer well. So the trial trains a head on some of the images, then the last
layer groups too, and compares both on the same held-out images. Deeper training is recommended if it is significantly
better.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tlkit.heads import LINEAR
from tlkit.metrics.intervals import Interval
from tlkit.outputs import QUANTITIES
from tlkit.probes.learning_curve import LearningCurve
from tlkit.probes.probe import describe_gain
from tlkit.tasks import find_task
from tlkit.tasks.scored_outputs import ScoredOutputs

HEAD, LAST_GROUPS, EVERYTHING = 0, 1, 2
"""How deep to train."""
NEARLY_PERFECT = 0.99
LITTLE = 0.02
"""A smaller gain is not worth the time."""
MANY_TIMES = 1.5
"""With this many times the trial's images, training may gain although the trial does not."""
NUM_DRAWN = 40


@dataclass(frozen=True, eq=False)
class TrialResult:
    """The results of models trained in the trial, each on held-out images.

    Attributes:
        num_trained: Number of images that each model was trained and validated on.
        head_kind: The requested head.
        last_groups: The lowest layer group that was trained.
        majority: The baseline, which does not look at the images.
        head: The head alone.
        deeper: The head, and then the last groups too; on `tried`, all images unless the trial stopped early.
        tried: Positions of the images that were held out by `deeper`, int64.
        linear: A linear head; None if it is the requested head, or another head is required.
        loss_fall: Mean reduction of the loss per image by the last groups; above 0 is better. It includes confidence,
            and so detects smaller differences than the score.
        linear_loss_fall: Reduction of the mean loss by a linear head compared with the head; 0 without one.
        num_parameters: Number of weights of the head, and of a linear head.
        seconds: Duration, including features.
    """

    num_trained: int
    head_kind: str
    last_groups: str
    majority: ScoredOutputs
    head: ScoredOutputs
    deeper: ScoredOutputs
    tried: NDArray[np.int64]
    linear: ScoredOutputs | None
    loss_fall: Interval
    linear_loss_fall: float
    num_parameters: tuple[int, int]
    seconds: float

    @property
    def num_images(self) -> int:
        """Number of images that were held out by the last groups."""
        return len(self.deeper.each)

    @property
    def stopped_early(self) -> bool:
        """Whether the last groups held out only some of the images, as the others would hardly have changed the advice."""
        return self.num_images < len(self.head.each)

    @cached_property
    def gain(self) -> Interval:
        """The gain in score from the last groups, on the images that they held out."""
        return self.deeper.compute_gain(self.head.select(self.tried))

    @property
    def deeper_is_better_than_majority(self) -> bool:
        """Whether the head with the last groups is significantly better than the most frequent class."""
        return self.deeper.is_better_than(self.majority.select(self.tried))

    @property
    def rows(self) -> list[tuple[str, ScoredOutputs]]:
        """All scores by name."""
        return [
            *([("linear head", self.linear)] if self.linear else []),
            (f"{self.head_kind} head", self.head),
            (f"{self.head_kind} head and {self.last_groups} upwards", self.deeper),
        ]


@dataclass(frozen=True, eq=False)
class Evidence:
    """The evidence from a sample of the images.

    Attributes:
        task: One of TASKS.
        num_images: Number of training images.
        majority: The baseline, which does not look at the images.
        probe: A linear probe on the frozen features at the top.
        curve: The learning curve of that probe.
        trial: None if there are too few images, or it would take too long.
        why_no_trial: The reason if there is no trial.
    """

    task: str
    num_images: int
    majority: ScoredOutputs
    probe: ScoredOutputs
    curve: LearningCurve
    trial: TrialResult | None
    why_no_trial: str = ""

    @property
    def quantity(self) -> str:
        """The name of the scores, in words."""
        return QUANTITIES[find_task(self.task).score_name]

    @property
    def rows(self) -> list[tuple[str, ScoredOutputs]]:
        """All scores by name, in the order of the table."""
        frozen = [("majority", self.majority), ("linear probe", self.probe)]
        return [*frozen, *(self.trial.rows if self.trial else [])]

    def table(self) -> tuple[str, tuple[str, ...], list[tuple[str, ...]]]:
        """Return a title, column titles, and rows."""
        rows: list[tuple[str, ...]] = [
            (name, f"{len(probe.each):,}", f"{probe.value:z.3f}", f"{probe.score.low:z.3f} to {probe.score.high:z.3f}")
            for name, probe in self.rows
        ]
        return "Held-out images", ("model", "images", self.quantity, "95% interval"), rows

    def chart(self) -> dict[str, Any]:
        """Return the data of the figure; see `tlkit.reports.figures.PlanScores`."""
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
        """Return JSON values."""
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
                "images": len(trial.head.each),
                "images_of_last_groups": trial.num_images,
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
    """A recommendation with its reasons.

    Attributes:
        depth: HEAD, LAST_GROUPS or EVERYTHING.
        head_kind: A head to use instead of the requested one; None to keep it.
        reasons: One sentence each.
    """

    depth: int
    head_kind: str | None
    reasons: tuple[str, ...]


def advise(evidence: Evidence) -> Advice:
    """Follow the trial, if there is one."""
    probe, majority, trial = evidence.probe, evidence.majority, evidence.trial
    if not probe.is_better_than(majority) and not (trial and trial.deeper_is_better_than_majority):
        return Advice(
            HEAD,
            None,
            (
                f"A probe on the frozen features ({probe.value:z.2f}) is no better than the majority "
                f"({majority.value:z.2f}): the features do not predict the target. Check the labels first.",
            ),
        )
    if trial is None:
        return Advice(HEAD, None, (f"Deeper training was not tried: {evidence.why_no_trial}",))
    depth, reason = _judge_depth(evidence, trial)
    kind, head_reason = _judge_head(trial) if depth == HEAD else (None, _compare_with_linear(trial))
    return Advice(depth, kind, (reason, head_reason) if head_reason else (reason,))


def advise_without_evidence(*, is_random: bool) -> Advice:
    """Recommend without evidence: the weights are random, or there are too few images."""
    if is_random:
        return Advice(EVERYTHING, None, ("The weights are random, so there is nothing worth freezing.",))
    return Advice(HEAD, None, ("There are too few images for a trial, so train only the head.",))


def _judge_depth(evidence: Evidence, trial: TrialResult) -> tuple[int, str]:
    """Return how deep to train, and why.

    The last groups are worth training if the score rises significantly, or if the loss falls significantly and the
    score rises by a relevant amount.
    """
    gain, loss = describe_gain(evidence.task, trial.gain), trial.loss_fall
    of = f"{evidence.quantity} on {trial.num_images:,} held-out images"
    last = trial.last_groups
    if trial.gain.low > 0:
        return LAST_GROUPS, f"Training from {last} upwards gains {gain} in {of}."
    if loss.low > 0 and trial.gain.value >= LITTLE:
        return LAST_GROUPS, (
            f"Training from {last} upwards gains {gain} in {of}; the loss falls significantly, by "
            f"{loss.in_words()} per image."
        )
    is_full = trial.head.value >= NEARLY_PERFECT
    has_more = evidence.num_images >= MANY_TIMES * trial.num_trained
    if is_full or (not has_more and (trial.gain.high < LITTLE or loss.low <= 0)):
        return HEAD, f"Training from {last} upwards is not expected to help: {gain} in {of}."
    reason = f"Training from {last} upwards shows no clear gain: {gain} in {of}."
    if has_more:
        reason += f" The trial used {trial.num_trained:,} images; with all {evidence.num_images:,} there may be a gain."
    return HEAD, reason


def _judge_head(trial: TrialResult) -> tuple[str | None, str | None]:
    """Return the linear head, with the reason, if it is significantly better, or no worse by score and loss.

    The loss is ignored if both are nearly perfect.
    """
    linear, head = trial.linear, trial.head
    if linear is None or linear.value < head.value:
        return None, None
    is_backed = trial.linear_loss_fall >= 0 or linear.value >= NEARLY_PERFECT
    if not is_backed and linear.compute_gain(head).low <= 0:
        return None, None
    times = trial.num_parameters[0] / trial.num_parameters[1]
    return LINEAR, (
        f"A linear head does as well as the {trial.head_kind} head, {linear.value:z.3f} and {head.value:z.3f}, "
        f"with 1/{times:,.0f} of its weights."
    )


def _compare_with_linear(trial: TrialResult) -> str | None:
    """Return a hint if a linear head alone does as well as the other head with the last groups."""
    linear = trial.linear.select(trial.tried) if trial.linear else None
    if linear is None or linear.value < trial.deeper.value:
        return None
    return (
        f"In the trial, a linear head alone does as well ({linear.value:z.3f}, against "
        f"{trial.deeper.value:z.3f} for the {trial.head_kind} head and {trial.last_groups} upwards) in a fraction of "
        f"the time: try it first (--head linear)."
    )
