"""Report on a data set's boxes: how many there are, and what was wrong with them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from tlkit.data.boxes import BoxLabel, Complaint


@dataclass
class BoxReport:
    """Counts boxes and images, and collects complaints."""

    num_boxes: int = 0
    num_images_without: int = 0
    num_images_with_one: int = 0
    num_images_with_several: int = 0
    complaints: list[Complaint] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    """Decisions about how to read the boxes, one sentence each."""

    def add_image(self, boxes: Sequence[BoxLabel]) -> None:
        """Count an image and its valid boxes."""
        self.num_boxes += len(boxes)
        self.num_images_without += len(boxes) == 0
        self.num_images_with_one += len(boxes) == 1
        self.num_images_with_several += len(boxes) > 1

    def add_complaints(self, complaints: Iterable[Complaint]) -> None:
        """Add what was fixed or left out."""
        self.complaints += complaints

    def sentences(self, *, of_own_class: bool = False) -> tuple[str, ...]:
        """Return notices for the user: the counts, the remarks, and one sentence for each kind of complaint.

        Args:
            of_own_class: Only boxes of the image's own class are used.
        """
        several, without = self.num_images_with_several, self.num_images_without
        clauses = [f"{_count(self.num_boxes, 'box')} on {_count(self.num_images_with_one + several, 'image')}"]
        if several:
            own = " of the image's own class" if of_own_class else ""
            clauses.append(f"{_count(several, 'image')} {_have(several)} more than one; the largest{own} is used")
        if without:
            clauses.append(f"{_count(without, 'image')} {_have(without)} none")
        return "; ".join(clauses) + ".", *self.remarks, *self.describe_complaints()

    def describe_complaints(self) -> tuple[str, ...]:
        """Return one sentence for each kind of complaint: the count and the first file."""
        by_kind: dict[str, list[Complaint]] = {}
        for complaint in self.complaints:
            by_kind.setdefault(complaint.kind, []).append(complaint)
        return tuple(f"{len(found):,} × {kind}, e.g. {found[0].path}." for kind, found in by_kind.items())


def _count(number: int, noun: str) -> str:
    plural = f"{noun}es" if noun.endswith("x") else f"{noun}s"
    return f"{number:,} {noun if number == 1 else plural}"


def _have(number: int) -> str:
    return "has" if number == 1 else "have"
