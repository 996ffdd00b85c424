"""What is said of columns that know the answer: verdicts, sentences, tables, and rows for a figure.

The word for a column that gives the answer away stands nowhere but with such a column, so that a search finds it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from tlkit.evaluation.intervals import Interval
from tlkit.evaluation.report import format_fraction
from tlkit.metadata.columns import ALL_IMAGE_FACTS
from tlkit.outputs import CLASSIFICATION, MULTILABEL, REGRESSION

LEAKS, HELPS, REDUNDANT, HARMLESS = "leaks", "helps", "redundant", "harmless"
QUANTITIES = {CLASSIFICATION: "accuracy", MULTILABEL: "label accuracy", REGRESSION: "R²"}
MOST_GROUPS_SHOWN = 12
_TWO_DIGITS = "{:z.2f}".format

Table = tuple[str, tuple[str, ...], Sequence[tuple[str, ...]]]
"""A title, titles of columns, and rows."""
ChartRow = tuple[str, float, float, float, str]
"""A label, a score with the ends of its interval, and a verdict or an empty text."""


@dataclass(frozen=True)
class ColumnVerdict:
    """What a column of metadata knows of the answer.

    Attributes:
        name: Of the column; `image-size` for all facts of the image file together.
        is_image_fact: Whether it is a fact of the image file rather than a column of a table.
        verdict: `leaks`, `helps`, `redundant` or `harmless`.
        alone: Score of the column by itself.
        with_image: Score of the image's features and the column; None where images were not looked at.
        sentence: The verdict in words.
    """

    name: str
    is_image_fact: bool
    verdict: str
    alone: Interval
    with_image: Interval | None
    sentence: str


@dataclass(frozen=True)
class GroupScore:
    """How images of one group fare when the whole group is held out; `score` is None for an R² without any spread."""

    name: str
    num_images: int
    score: float | None


@dataclass(frozen=True)
class GroupVerdict:
    """What holding out whole groups does to the score of the image's features.

    Attributes:
        name: What groups are, such as "boat".
        mixed: Score where images of each group are on both sides.
        held_out: Score where groups are held out whole. Both intervals are over images: with few groups, what a new
            group brings is less certain than that.
        falls: Whether the difference is significant.
        scores: Of each group, the worst first.
        sentence: All of it in words.
    """

    name: str
    mixed: Interval
    held_out: Interval
    falls: bool
    scores: tuple[GroupScore, ...]
    sentence: str


@dataclass(frozen=True)
class LeakReport:
    """How well the answer is known without the image, with it, and with both.

    Attributes:
        task: One of TASKS.
        num_images: Images that were looked at.
        majority: Score of naming the most frequent answer, or the mean value.
        columns: One for each column, then `image-size` for all facts of the image file where there are several.
        table: Score of all columns of the table together; None without any, likewise below.
        metadata: Score of all columns and facts together.
        image: Score of the image's features.
        image_and_metadata: Score of the image's features with all metadata.
        groups: One for each grouping.
    """

    task: str
    num_images: int
    majority: Interval
    columns: tuple[ColumnVerdict, ...]
    table: Interval | None
    metadata: Interval | None
    image: Interval
    image_and_metadata: Interval | None
    groups: tuple[GroupVerdict, ...]

    @property
    def quantity(self) -> str:
        """What the scores are, in words."""
        return QUANTITIES[self.task]

    @property
    def leaking(self) -> tuple[ColumnVerdict, ...]:
        """The columns that give the answer away; see `pick_leaking`."""
        return pick_leaking(self.columns)

    @property
    def sentences(self) -> list[str]:
        """What was found: a sentence for each column but those that are harmless, which share one, and each grouping."""
        told = [column.sentence for column in self.columns if column.verdict != HARMLESS]
        harmless = [column.name for column in self.columns if column.verdict == HARMLESS]
        if harmless:
            told.append(f"Harmless, as they neither predict the answer nor add to the image: {', '.join(harmless)}.")
        return told + [group.sentence for group in self.groups]

    def to_payload(self) -> dict[str, Any]:
        """Return plain numbers, lists and dicts, fit for JSON."""
        return asdict(self)

    def tables(self) -> list[Table]:
        """Return the columns, what is known in all, and of each grouping the groups that fare worst."""
        found: list[Table] = []
        if self.columns:
            rows = [
                (column.name, column.verdict, *_cells(column.alone), _cells(column.with_image)[0])
                for column in self.columns
            ]
            found.append(("Columns", ("column", "verdict", "alone", "95% interval", "with the image"), rows))
        in_all = [(label, *_cells(score)) for label, score in self._scores_in_all()]
        found.append(("In all", ("known", self.quantity, "95% interval"), in_all))
        found += [_tabulate_groups(group, self.quantity) for group in self.groups]
        return found

    def chart(self) -> dict[str, Any]:
        """Return the arguments of the figure `draw_leaks` but for its path."""
        with_columns = [(f"image + {column.name}", column.with_image, column.verdict) for column in self.columns]
        if self._has_more_than_facts:
            with_columns.append(("image + all metadata", self.image_and_metadata, ""))
        return {
            "alone": [_chart_row(column.name, column.alone, column.verdict) for column in self.columns],
            "together": [_chart_row(label, score) for label, score in self._scores_together()],
            "image": [
                _chart_row("image", self.image),
                *(_chart_row(label, score, verdict) for label, score, verdict in with_columns if score),
            ],
            "majority": self.majority.value,
            "majority_name": "mean value" if self.task == REGRESSION else "majority",
            "quantity": self.quantity,
        }

    @property
    def _has_more_than_facts(self) -> bool:
        """Whether all metadata together are more than a column that is shown by itself."""
        return len(self.columns) > 1 and self.table is not None

    def _scores_together(self) -> list[tuple[str, Interval]]:
        if not self._has_more_than_facts:
            return []
        has_facts = any(column.is_image_fact for column in self.columns)
        scores = [("all columns of the table", self.table), ("all metadata", self.metadata if has_facts else None)]
        return [(label, score) for label, score in scores if score]

    def _scores_in_all(self) -> list[tuple[str, Interval]]:
        scores = [("the mean value" if self.task == REGRESSION else "the majority", self.majority)]
        scores += self._scores_together()
        scores.append(("the image", self.image))
        if self.image_and_metadata and self._has_more_than_facts:
            scores.append(("the image and all metadata", self.image_and_metadata))
        return scores


def pick_leaking(columns: Sequence[ColumnVerdict]) -> tuple[ColumnVerdict, ...]:
    """Return the columns that give the answer away: `image-size` only where no single fact of the image file does."""
    leaking = [column for column in columns if column.verdict == LEAKS]
    single = any(column.is_image_fact and column.name != ALL_IMAGE_FACTS for column in leaking)
    return tuple(column for column in leaking if column.name != ALL_IMAGE_FACTS or not single)


def tell_column(
    task: str,
    name: str,
    verdict: str,
    *,
    alone: Interval,
    majority: Interval,
    image: Interval | None = None,
    with_image: Interval | None = None,
) -> str:
    """Return a verdict in words.

    Example:
        >>> tell_column("classification", "camera", "leaks", alone=Interval(0.75, 0.69, 0.8), majority=Interval(0.61, 0.5, 0.7))
        'camera leaks: it alone is right on 0.75 (0.69 to 0.80) of the images, the majority class on 0.61.'
    """
    knows = _tell_alone(task, name, alone, majority)
    if verdict == LEAKS:
        return f"{name} leaks: {knows}."
    if image is None or with_image is None:
        return f"{name}: {knows}."
    quantity = QUANTITIES[task]
    if verdict == HELPS:
        return (
            f"{name} helps: beside the image it raises {quantity} from {image.value:z.2f} to {with_image.value:z.2f}."
        )
    adds = f"adds nothing to the image ({quantity} {image.value:z.2f} without it, {with_image.value:z.2f} with it)"
    if verdict == REDUNDANT:
        return f"{name} is redundant: {knows}, but it {adds}."
    return f"{name} is harmless: {knows}, and it {adds}."


def tell_groups(
    task: str, name: str, *, mixed: Interval, held_out: Interval, falls: bool, num_unknown: int, num_classes: int
) -> str:
    """Return what holding out whole groups does, in words; `num_unknown` classes are then learnt from no image."""
    article = "an" if name[:1].lower() in set("aeiou") else "a"
    begin = f"With {article} {name} held out whole, {QUANTITIES[task]}"
    if falls:
        text = f"{begin} falls from {mixed.value:z.2f} to {held_out.value:z.2f}: part of what is learnt is the {name}."
    else:
        text = f"{begin} stays: {mixed.value:z.2f} and {held_out.value:z.2f}."
    if num_unknown:
        text += f" {num_unknown} of {num_classes} classes lie wholly in what is held out, and cannot be told then."
    return text


def _tell_alone(task: str, name: str, alone: Interval, majority: Interval) -> str:
    subject = "all facts of the image file together" if name == ALL_IMAGE_FACTS else "it alone"
    interval = alone.in_brief(_TWO_DIGITS)
    if task == REGRESSION:
        verb = "reach" if name == ALL_IMAGE_FACTS else "reaches"
        return f"{subject} {verb} an R² of {interval}, the mean value {majority.value:z.2f}"
    verb = "are" if name == ALL_IMAGE_FACTS else "is"
    things, most = ("images", "the majority class") if task == CLASSIFICATION else ("labels", "the majority of each")
    return f"{subject} {verb} right on {interval} of the {things}, {most} on {majority.value:z.2f}"


def _tabulate_groups(group: GroupVerdict, quantity: str) -> Table:
    rows = [
        (score.name, str(score.num_images), format_fraction(score.score)) for score in group.scores[:MOST_GROUPS_SHOWN]
    ]
    rest = group.scores[MOST_GROUPS_SHOWN:]
    if rest:
        rows.append((f"… {len(rest)} more", str(sum(score.num_images for score in rest)), "-"))
    return (f"Held out whole: {group.name}", (group.name, "images", quantity), rows)


def _cells(score: Interval | None) -> tuple[str, str]:
    if score is None:
        return ("-", "-")
    return (format_fraction(score.value), f"{score.low:z.3f} to {score.high:z.3f}")


def _chart_row(label: str, score: Interval, verdict: str = "") -> ChartRow:
    return (label, score.value, score.low, score.high, verdict)
