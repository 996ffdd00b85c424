"""Rank candidates by their predictions of the same images, and report which do not differ.

Candidates are compared image by image (`tlkit.tasks.scored_outputs`), which detects smaller differences than comparing
their intervals, because they tend to be right and wrong on the same images.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tlkit.metrics.intervals import Interval
from tlkit.outputs import DETECTION, QUANTITIES, SEGMENTATION
from tlkit.tasks import find_task
from tlkit.tasks.report import format_fraction
from tlkit.tasks.scored_outputs import ScoredOutputs

_OF_A_PROBE = {
    DETECTION: "This is the mAP50 of linear detectors fitted in seconds, to compare candidates by; a trained head reaches another.",
    SEGMENTATION: "This is the mIoU of linear models fitted in seconds, to compare candidates by; a trained head reaches another.",
}
_TWO_DIGITS = "{:z.2f}".format


@dataclass(frozen=True)
class Cost:
    """The cost of a candidate on this machine; see `CostTerms`.

    Attributes:
        seconds: Of two candidates that do not differ, the faster one is recommended.
        megabytes: None if the system does not report it.
        num_parameters: Number of weights.
    """

    seconds: float
    megabytes: float | None
    num_parameters: int


@dataclass(frozen=True)
class CostTerms:
    """The meaning of the costs in a ranking.

    Attributes:
        columns: Column titles of the three numbers.
        keys: Their names in JSON.
        per: The words after the seconds in a sentence.
    """

    columns: tuple[str, str, str]
    keys: tuple[str, str, str]
    per: str


PROBED = CostTerms(
    ("1,000 images", "memory", "parameters"), ("seconds_per_1000_images", "megabytes", "parameters"), "for 1,000 images"
)
"""Time from file to feature; additional memory; weights below the head."""
TRAINED = CostTerms(
    ("whole run", "features", "head"), ("seconds_of_a_run", "feature_megabytes", "head_parameters"), "for a whole run"
)
"""Time for features of all views and training; disk space of the features; weights of the head."""


@dataclass(frozen=True)
class CandidateScore:
    """A candidate with its score for every image, in the same order for all candidates."""

    name: str
    probe: ScoredOutputs
    cost: Cost


@dataclass(frozen=True)
class Place:
    """One line of the ranking.

    Attributes:
        name: Name of the candidate.
        score: Accuracy, label accuracy or R², with its interval.
        cost: Its cost.
        is_behind: Whether the first of the ranking is significantly better (95%).
    """

    name: str
    score: Interval
    cost: Cost
    is_behind: bool


@dataclass(frozen=True)
class Ranking:
    """Candidates by descending score; `advised` is the cheapest of those that are not behind."""

    task: str
    num_images: int
    places: tuple[Place, ...]
    advised: str
    terms: CostTerms

    @property
    def quantity(self) -> str:
        """What the scores are, in words."""
        return QUANTITIES[find_task(self.task).score_name]

    @property
    def sentences(self) -> list[str]:
        """The conclusions from the ranking."""
        return [*self._conclusions, *([_OF_A_PROBE[self.task]] if self.task in _OF_A_PROBE else [])]

    @property
    def _conclusions(self) -> list[str]:
        first, level = self.places[0], [place.name for place in self.places if not place.is_behind]
        score = first.score.in_brief(_TWO_DIGITS)
        if len(self.places) == 1:
            return [f"{first.name} reaches {score}."]
        if len(level) == 1:
            return [f"{first.name} is ahead of all others: {self.quantity} {score}."]
        text = f"{join_names(level)} do not differ significantly on {self.num_images:,} images."
        if self.advised == first.name:
            return [text, f"{first.name} has both the highest score, {score}, and the lowest cost."]
        cheapest = next(place for place in self.places if place.name == self.advised)
        return [
            text,
            f"Use {cheapest.name}: {cheapest.score.in_brief(_TWO_DIGITS)} in {cheapest.cost.seconds:.1f} s "
            f"{self.terms.per}, against {score} in {first.cost.seconds:.1f} s with {first.name}.",
        ]

    def table(self) -> tuple[str, tuple[str, ...], list[tuple[str, ...]]]:
        """Return a title, titles of columns, and rows."""
        rows: list[tuple[str, ...]] = [
            (
                place.name,
                format_fraction(place.score.value),
                f"{place.score.low:z.3f} to {place.score.high:z.3f}",
                "behind" if place.is_behind else "level" if number else "first",
                f"{place.cost.seconds:.1f} s",
                "-" if place.cost.megabytes is None else f"{place.cost.megabytes:,.0f} MB",
                _format_count(place.cost.num_parameters),
            )
            for number, place in enumerate(self.places)
        ]
        return ("Compared", ("candidate", self.quantity, "95% interval", "rank", *self.terms.columns), rows)

    def to_payload(self) -> dict[str, Any]:
        """Return plain numbers, lists and dicts, fit for JSON."""
        seconds, megabytes, parameters = self.terms.keys
        return {
            "task": self.task,
            "images": self.num_images,
            "advised": self.advised,
            "candidates": [
                {
                    "name": place.name,
                    "value": place.score.value,
                    "low": place.score.low,
                    "high": place.score.high,
                    "is_behind": place.is_behind,
                    seconds: round(place.cost.seconds, 3),
                    megabytes: None if place.cost.megabytes is None else round(place.cost.megabytes, 1),
                    parameters: place.cost.num_parameters,
                }
                for place in self.places
            ],
        }


def rank_candidates(task: str, candidates: Sequence[CandidateScore], terms: CostTerms) -> Ranking:
    """Rank candidates that predicted the same images.

    Args:
        task: One of TASKS.
        candidates: At least one; their names differ.
        terms: The meaning of their costs.
    """
    ordered = sorted(candidates, key=lambda candidate: (-candidate.probe.value, candidate.cost.seconds))
    first = ordered[0]
    places = tuple(
        Place(candidate.name, candidate.probe.score, candidate.cost, first.probe.is_better_than(candidate.probe))
        for candidate in ordered
    )
    cheapest = min((place for place in places if not place.is_behind), key=lambda place: place.cost.seconds)
    return Ranking(task, len(first.probe.each), places, cheapest.name, terms)


def _format_count(number: int) -> str:
    """Format a count as "2.3 M", or with all digits below 100,000."""
    return f"{number / 1e6:,.1f} M" if number >= 1e5 else f"{number:,}"


def join_names(names: Sequence[str]) -> str:
    """Return `a`, `a and b`, or `a, b and c`."""
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))
