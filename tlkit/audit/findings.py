"""What an audit finds: one row per image and problem, and the figures about the data set as a whole.

Every detector returns findings in these terms, so that the page, the files and the console treat them alike.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tlkit.places.copies import show_path
from tlkit.reports.frames import Mark
from tlkit.reports.printed_table import write_csv

FINDINGS_FILE = "findings.csv"
KINDS = {
    "label": "probably mislabelled",
    "missing": "an object without a box, probably",
    "class": "a box of a wrong class, probably",
    "place": "a badly placed box, probably",
    "double": "an object with two boxes",
    "doubtful": "a box where nothing is found",
    "conflict": "copies with different labels",
    "copy": "copies of the same picture",
    "event": "taken in one burst or at one event",
    "outlier": "unlike all other images",
    "blank": "blank",
    "text": "nothing but text or line drawings",
    "dark": "very dark",
    "bright": "very bright",
    "blurred": "blurred",
    "tiny": "very small",
}
"""Each kind of finding with its description, in the order of a report."""
_COLUMNS = ("kind", "path", "split", "given", "suggested", "score", "group", "evidence", "others")
_SEPARATOR = "|"


@dataclass(frozen=True, slots=True)
class Finding:
    """A problem with one image.

    Attributes:
        kind: One of KINDS.
        path: Path of the image; absolute.
        split: Its split, one of `tlkit.data.manifest.SPLITS`.
        given: Its answer in the data set, as text.
        suggested: The answer that its features suggest, as text; empty if there is none.
        score: 0..1; findings of one kind with higher scores come first.
        group: Number of the group that the image belongs to (of copies, or of an event); None without one.
        evidence: One short sentence that says why it was found.
        others: Paths of other images that show it: the copies of a copy, the nearest images of a mislabelled one.
        marks: Boxes to draw into its picture, the ones in question first.
    """

    kind: str
    path: Path
    split: str
    given: str
    suggested: str = ""
    score: float = 0.0
    group: int | None = None
    evidence: str = ""
    others: tuple[Path, ...] = ()
    marks: tuple[Mark, ...] = ()


@dataclass(frozen=True, slots=True)
class Estimate:
    """An estimated number of images, with the bounds of its 95% interval."""

    number: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"about {self.number:,.0f} ({self.low:,.0f} to {self.high:,.0f})"

    def to_payload(self) -> dict[str, float]:
        """Return the three numbers by name."""
        return {"number": round(self.number, 1), "low": round(self.low, 1), "high": round(self.high, 1)}


@dataclass(frozen=True, slots=True)
class ClassPair:
    """Two classes that the features hardly tell apart.

    Attributes:
        first: A class.
        second: Another.
        accuracy: Fraction of their images whose held-out prediction prefers the right one of the two, each class
            counting half; 0.5 is chance.
        num_images: Number of images of both.
    """

    first: str
    second: str
    accuracy: float
    num_images: int


@dataclass(frozen=True)
class Audit:
    """Everything that an audit found.

    Attributes:
        num_images: Number of images looked at.
        findings: All problems.
        wrong_labels: Estimated number of wrong labels; None if it was not estimated.
        confusable: Pairs of classes that are hard to tell apart, the hardest first.
        notices: Remarks about the data set or about what was not looked at, one sentence each.
        num_judged: Number of labels judged; with several labels, their number times that of the images.
        judged: What was judged, in the plural: labels, or the classes of boxes.
    """

    num_images: int
    findings: tuple[Finding, ...] = ()
    wrong_labels: Estimate | None = None
    confusable: tuple[ClassPair, ...] = ()
    notices: tuple[str, ...] = ()
    num_judged: int = 0
    judged: str = "labels"

    def counts(self) -> dict[str, int]:
        """Return the number of images per kind, in the order of KINDS, without kinds that were not found."""
        counted = Counter(kind for kind, _ in {(finding.kind, finding.path) for finding in self.findings})
        return {kind: counted[kind] for kind in KINDS if counted[kind]}

    def of_kind(self, *kinds: str) -> list[Finding]:
        """Return the findings of some kinds, the highest scores first."""
        return sort_findings(finding for finding in self.findings if finding.kind in kinds)

    def to_payload(self) -> dict[str, Any]:
        """Return the figures for `--json` and `summary.json`; the findings themselves are in `findings.csv`."""
        return {
            "images": self.num_images,
            "findings": self.counts(),
            "wrong_labels": self.wrong_labels.to_payload() if self.wrong_labels else None,
            "confusable": [
                {
                    "classes": [pair.first, pair.second],
                    "accuracy": round(pair.accuracy, 4),
                    "images": pair.num_images,
                }
                for pair in self.confusable
            ],
            "notices": list(self.notices),
        }


def sort_findings(findings: Iterable[Finding]) -> list[Finding]:
    """Sort by kind, in the order of KINDS, then by group where there is one, then by score and path.

    Groups are ordered by their highest score, and the images of a group stay together.
    """
    listed = list(findings)
    order = {kind: place for place, kind in enumerate(KINDS)}
    best: dict[tuple[str, int], float] = {}
    for each in listed:
        if each.group is not None:
            best[each.kind, each.group] = max(best.get((each.kind, each.group), 0.0), each.score)

    def key(each: Finding) -> tuple[Any, ...]:
        group = -1 if each.group is None else each.group
        return order[each.kind], -best.get((each.kind, group), each.score), group, -each.score, str(each.path)

    return sorted(listed, key=key)


def write_findings(path: Path, findings: Sequence[Finding], root: Path) -> None:
    """Write findings as CSV, sorted; paths below `root` are relative to it, and `others` are separated by |."""
    rows = [
        (
            each.kind,
            shorten_path(each.path, root),
            each.split,
            each.given,
            each.suggested,
            f"{each.score:.4f}",
            each.group,
            each.evidence,
            _SEPARATOR.join(shorten_path(other, root) for other in each.others),
        )
        for each in sort_findings(findings)
    ]
    write_csv(path, _COLUMNS, rows)


def shorten_path(path: Path, root: Path) -> str:
    """Return a path relative to the root, with slashes, if it lies below it; otherwise as it is."""
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else show_path(path)
