"""Separate scores by whether the model has seen the images: scores on training images say nothing about new ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tlkit.data.seen_images import SeenImages
from tlkit.inference.scoring import Scores
from tlkit.tasks.report import Report, ScoreTable

TRAINED_ON, CHOSE_THE_EPOCH, NEVER_SEEN = "trained on", "chose the epoch", "never seen"
EXPOSURES = {"train": TRAINED_ON, "validation": CHOSE_THE_EPOCH}
"""How the model has seen the images of its splits; it has never seen any others."""


@dataclass(frozen=True)
class SeenScores:
    """Scores of the training images, of the validation images that chose the epoch, and of the others.

    Attributes:
        reports: Reports by exposure, if there are such images.
        seen: The images that the model is known to have seen.
    """

    reports: Mapping[str, Report]
    seen: SeenImages

    def count(self, exposure: str) -> int:
        """Return the number of images with an exposure."""
        return self.reports[exposure].num_images if exposure in self.reports else 0

    def qualify(self) -> str:
        """Return a sentence that qualifies the score of all images."""
        if not self.seen.splits:
            return "The model's training images are not known: its run is missing."
        trained, chose, others = (self.count(exposure) for exposure in (TRAINED_ON, CHOSE_THE_EPOCH, NEVER_SEEN))
        if trained:
            whom = f"{trained:,} of them" if chose or others else "all of them"
            sentence = f"The model was trained on {whom}{f', and {chose:,} chose its epoch' if chose else ''}"
            sentence += ", so this does not show how it does on new images."
        elif chose:
            whom = f"{chose:,} of them" if others else "They"
            sentence = f"{whom} chose the model's epoch: on new images it may do slightly worse."
        else:
            sentence = f"The {'model' if self.seen.is_complete else 'run'} has seen none of them."
        if others and (trained or chose):
            (name, figure), *_ = self.reports[NEVER_SEEN].facts().items()
            which = f"{others:,} that it has not seen" if self.seen.is_complete else f"{others:,} others"
            sentence += f" On the {which}: {name} {figure}."
        if not self.seen.is_complete:
            sentence += " Its other training images are not known: it started from a bundle without its run."
        return sentence

    def table(self) -> ScoreTable:
        """Return the key figures, one row per exposure."""
        first, *_ = self.reports.values()
        return ("exposure", *first.facts()), [
            (exposure, *report.facts().values()) for exposure, report in self.reports.items()
        ]

    def to_payload(self) -> dict[str, Any]:
        """Return counts and scores as JSON values; None if there are no such images."""
        payload: dict[str, Any] = {"is_known": self.seen.is_complete}
        for exposure in (TRAINED_ON, CHOSE_THE_EPOCH, NEVER_SEEN):
            report = self.reports.get(exposure)
            payload[exposure.replace(" ", "_")] = report.to_payload() if report else None
        return payload


def compute_seen_scores(scores: Scores, seen: SeenImages, compute: Callable[[Scores], Report]) -> SeenScores:
    """Score images separately by exposure.

    Args:
        scores: Scores of at least one image.
        seen: The images that the model has seen.
        compute: Computes the report of some scores.
    """
    exposures = [EXPOSURES.get(seen.splits.get(record.sha256, ""), NEVER_SEEN) for record in scores.records]
    reports = {}
    for exposure in (TRAINED_ON, CHOSE_THE_EPOCH, NEVER_SEEN):
        places = [place for place, found in enumerate(exposures) if found == exposure]
        if places:
            reports[exposure] = compute(scores.take(places))
    return SeenScores(reports, seen)
