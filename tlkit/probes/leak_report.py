"""What is said of columns that know the answer: verdicts, sentences, tables, and rows for a figure.

The word for a column that gives the answer away stands nowhere but with such a column, so that a search finds it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from tlkit.metadata.columns import ALL_IMAGE_FACTS
from tlkit.metrics.intervals import Interval
from tlkit.outputs import QUANTITIES
from tlkit.probes.given_away import GivenAway
from tlkit.tasks import find_task
from tlkit.tasks.report import format_fraction

LEAKS, HELPS, REDUNDANT, HARMLESS = "leaks", "helps", "redundant", "harmless"
MAX_GROUPS_SHOWN = 12
_TWO_DIGITS = "{:z.2f}".format

Table = tuple[str, tuple[str, ...], Sequence[tuple[str, ...]]]
"""A title, titles of columns, and rows."""
ChartRow = tuple[str, float, float, float, str]
"""A label, a figure with the ends of its interval, and a verdict or an empty text."""


@dataclass(frozen=True)
class Known:
    """How much of the answer something explains.

    Attributes:
        explained: Brier's skill score, or R² of values: 0 for the base rates, 1 for always sure and right.
        score: How often it is right; None for values.
    """

    explained: Interval
    score: Interval | None


@dataclass(frozen=True)
class ColumnVerdict:
    """What a column of metadata knows of the answer.

    Attributes:
        name: Of the column; `image-size` for all facts of the image file together.
        same_as: Other names of the same fact.
        is_image_fact: Whether it is a fact of the image file rather than a column of a table.
        verdict: `leaks`, `helps`, `redundant` or `harmless`.
        alone: What the column explains by itself.
        given_away: The images whose answer it makes nearly certain, if there are enough.
        with_image: What the image's features and the column explain; None where images were not looked at.
        sentence: The verdict in words.
    """

    name: str
    same_as: tuple[str, ...]
    is_image_fact: bool
    verdict: str
    alone: Interval
    given_away: GivenAway | None
    with_image: Interval | None
    sentence: str = ""


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
        majority: Of the base rates, which name the most frequent answer, or of the mean value.
        columns: One for each fact, then `image-size` for all facts of the image file where there are several.
        table: Of all columns of the table together; None without any, likewise below.
        metadata: Of all columns and facts together.
        image: Of the image's features.
        image_and_metadata: Of the image's features with all metadata.
        groups: One for each grouping.
    """

    task: str
    num_images: int
    majority: Known
    columns: tuple[ColumnVerdict, ...]
    table: Known | None
    metadata: Known | None
    image: Known
    image_and_metadata: Known | None
    groups: tuple[GroupVerdict, ...]

    @property
    def leaking(self) -> tuple[ColumnVerdict, ...]:
        """The columns that give the answer away; see `pick_leaking`."""
        return pick_leaking(self.columns)

    @property
    def sentences(self) -> list[str]:
        """What the tables do not say: what their figures are, which columns are one fact, and what groups hide."""
        task = find_task(self.task)
        answer = f"the {task.answer_noun}"
        floor = "the base rates alone" if task.has_names else "always the mean"
        said = []
        if self.columns:
            said.append(f"explains: the part of {answer} that is known, 0 for {floor}, 1 for always sure and right.")
            said.append("adds: what it adds to the part that the image explains.")
        if any(column.given_away for column in self.columns):
            said.append(f"certain for: the part of the images of which it alone gives {answer} away.")
        if self.leaking:
            said.append(f"{LEAKS}: it alone tells much of {answer}; whether it may is for you to say.")
        said += [
            f"One fact under {1 + len(column.same_as)} names: {', '.join((column.name, *column.same_as))}."
            for column in self.columns
            if column.same_as
        ]
        return said + [group.sentence for group in self.groups]

    def to_payload(self) -> dict[str, Any]:
        """Return plain numbers, lists and dicts, fit for JSON."""
        return asdict(self)

    def tables(self) -> list[Table]:
        """Return the columns, what is known in all, and of each grouping the groups that fare worst."""
        found: list[Table] = []
        titles: tuple[str, ...]
        if self.columns:
            titles = ("column", "verdict", "explains", "95% interval", "certain for", "adds")
            found.append(("Columns", titles, [self._list_cells(column) for column in self.columns]))
        quantity = QUANTITIES[find_task(self.task).score_name]
        in_all = [
            (label, *_cells(known.explained), *([format_fraction(known.score.value)] if known.score else []))
            for label, known in self._list_known()
        ]
        titles = ("known", "explains", "95% interval", *([quantity] if find_task(self.task).has_names else []))
        found.append(("In all", titles, in_all))
        found += [_tabulate_groups(group, quantity) for group in self.groups]
        return found

    def chart(self) -> dict[str, Any]:
        """Return the arguments of the figure `draw_leaks` but for its path."""
        with_columns = [(f"image + {column.name}", column.with_image, column.verdict) for column in self.columns]
        if self._has_more_than_facts and self.image_and_metadata:
            with_columns.append(("image + all metadata", self.image_and_metadata.explained, ""))
        return {
            "alone": [_chart_row(column.name, column.alone, column.verdict) for column in self.columns],
            "together": [_chart_row(label, known.explained) for label, known in self._list_together()],
            "image": [
                _chart_row("image", self.image.explained),
                *(_chart_row(label, figure, verdict) for label, figure, verdict in with_columns if figure),
            ],
            "floor_name": "base rates" if find_task(self.task).has_names else "mean value",
            "quantity": f"part of the {find_task(self.task).answer_noun} that is explained, 95% interval",
        }

    def _list_cells(self, column: ColumnVerdict) -> tuple[str, ...]:
        certain = format_fraction(column.given_away.share) if column.given_away else "-"
        added = f"{column.with_image.value - self.image.explained.value:+z.3f}" if column.with_image else "-"
        return (column.name, column.verdict, *_cells(column.alone), certain, added)

    @property
    def _has_more_than_facts(self) -> bool:
        """Whether all metadata together are more than a column that is shown by itself."""
        return len(self.columns) > 1 and self.table is not None

    def _list_together(self) -> list[tuple[str, Known]]:
        if not self._has_more_than_facts:
            return []
        has_facts = any(column.is_image_fact for column in self.columns)
        known = [("all columns of the table", self.table), ("all metadata", self.metadata if has_facts else None)]
        return [(label, each) for label, each in known if each]

    def _list_known(self) -> list[tuple[str, Known]]:
        known = [("the base rates" if find_task(self.task).has_names else "the mean value", self.majority)]
        known += self._list_together()
        known.append(("the image", self.image))
        if self.image_and_metadata and self._has_more_than_facts:
            known.append(("the image and all metadata", self.image_and_metadata))
        return known


def pick_leaking(columns: Sequence[ColumnVerdict]) -> tuple[ColumnVerdict, ...]:
    """Return the columns that give the answer away: `image-size` only where no single fact of the image file does."""
    leaking = [column for column in columns if column.verdict == LEAKS]
    single = any(column.is_image_fact and column.name != ALL_IMAGE_FACTS for column in leaking)
    return tuple(column for column in leaking if column.name != ALL_IMAGE_FACTS or not single)


def describe_column(task: str, column: ColumnVerdict, image: Interval | None) -> str:
    """Return a verdict in words; `image` is what the image's features explain, if images were looked at.

    Examples:
        >>> camera = ColumnVerdict("camera", (), False, "leaks", Interval(0.75, 0.69, 0.8), None, None)
        >>> describe_column("classification", camera, None)
        'camera leaks: it alone explains 0.75 (0.69 to 0.80) of the class.'
    """
    name = column.name
    names = f"{name} (also {', '.join(column.same_as)})" if column.same_as else name
    says = "all facts of the image file together explain" if name == ALL_IMAGE_FACTS else "it alone explains"
    knows = f"{says} {column.alone.in_brief(_TWO_DIGITS)} of the {find_task(task).answer_noun}"
    if column.given_away:
        knows += f", {_describe_given_away(task, column.given_away)}"
    if column.verdict == LEAKS:
        return f"{names} leaks: {knows}."
    if image is None or column.with_image is None:
        return f"{names}: {knows}."
    change = f"{image.value:z.3f} without it, {column.with_image.value:z.3f} with it"
    if column.verdict == HELPS:
        return f"{names} helps: it adds to what the image explains ({change})."
    return f"{names} is {column.verdict}: {knows}, and adds nothing to the image ({change})."


def _describe_given_away(task: str, given_away: GivenAway) -> str:
    part = f"for {given_away.share:.2f} of the images"
    score = given_away.score.in_brief(_TWO_DIGITS)
    if not find_task(task).has_names:
        return f"and {part}, those that have a value there, {score}"
    return f"and {part} it is right on {score}, where the base rate is {given_away.base_rate:.2f}"


def describe_groups(
    task: str, name: str, *, mixed: Interval, held_out: Interval, falls: bool, num_unknown: int, num_classes: int
) -> str:
    """Return what holding out whole groups does, in words; `num_unknown` classes are then learnt from no image."""
    article = "an" if name[:1].lower() in set("aeiou") else "a"
    begin = f"With {article} {name} held out whole, {QUANTITIES[find_task(task).score_name]}"
    if falls:
        text = f"{begin} falls from {mixed.value:z.2f} to {held_out.value:z.2f}: part of what is learnt is the {name}."
    else:
        text = f"{begin} stays: {mixed.value:z.2f} and {held_out.value:z.2f}."
    if num_unknown:
        lie = "lies" if num_unknown == 1 else "lie"
        text += f" {num_unknown} of {num_classes} classes {lie} wholly in what is held out, and cannot be told then."
    return text


def _tabulate_groups(group: GroupVerdict, quantity: str) -> Table:
    rows = [
        (score.name, str(score.num_images), format_fraction(score.score)) for score in group.scores[:MAX_GROUPS_SHOWN]
    ]
    rest = group.scores[MAX_GROUPS_SHOWN:]
    if rest:
        rows.append((f"… {len(rest)} more", str(sum(score.num_images for score in rest)), "-"))
    return (f"Held out whole: {group.name}", (group.name, "images", quantity), rows)


def _cells(score: Interval) -> tuple[str, str]:
    return (f"{score.value:z.3f}", f"{score.low:z.3f} to {score.high:z.3f}")


def _chart_row(label: str, score: Interval, verdict: str = "") -> ChartRow:
    return (label, score.value, score.low, score.high, verdict)
