"""The report of a leak test: verdicts, sentences, tables, and rows for a figure.

The word "leaks" is used only for leaking columns, so that a search finds them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from tlkit.metadata.columns import ALL_IMAGE_FACTS
from tlkit.metrics.intervals import Interval
from tlkit.outputs import QUANTITIES
from tlkit.probes.certain_images import CertainImages
from tlkit.tasks import find_task
from tlkit.tasks.report import format_fraction

LEAKS, HELPS, REDUNDANT, HARMLESS = "leaks", "helps", "redundant", "harmless"
MAX_GROUPS_SHOWN = 12
_TWO_DIGITS = "{:z.2f}".format

Table = tuple[str, tuple[str, ...], Sequence[tuple[str, ...]]]
"""A title, titles of columns, and rows."""
ChartRow = tuple[str, float, float, float, str]
"""Label, value with the ends of its interval, and a verdict or an empty string."""


@dataclass(frozen=True)
class Known:
    """How much of the target is explained.

    Attributes:
        explained: The Brier skill score, or R² for values: 0 for the base rates, 1 for certain and right predictions.
        score: The accuracy; None for values.
    """

    explained: Interval
    score: Interval | None


@dataclass(frozen=True)
class ColumnVerdict:
    """The verdict on a metadata column.

    Attributes:
        name: Name of the column; `image-size` for all facts about the image file together.
        same_as: Other names of the same fact.
        is_image_fact: Whether it is a fact about the image file rather than a table column.
        verdict: `leaks`, `helps`, `redundant` or `harmless`.
        alone: How much the column explains by itself.
        certain_images: The images whose target it makes nearly certain, if there are enough.
        with_image: How much the image's features and the column explain; None if images were not used.
        sentence: The verdict in words.
    """

    name: str
    same_as: tuple[str, ...]
    is_image_fact: bool
    verdict: str
    alone: Interval
    certain_images: CertainImages | None
    with_image: Interval | None
    sentence: str = ""


@dataclass(frozen=True)
class GroupScore:
    """The score of a group when it is held out; `score` is None if R² is undefined."""

    name: str
    num_images: int
    score: float | None


@dataclass(frozen=True)
class GroupVerdict:
    """The effect of holding out whole groups on the score of the image's features.

    Attributes:
        name: Name of the grouping, such as "boat".
        mixed: Score with images of each group on both sides.
        held_out: Score with whole groups held out. Both intervals are over images: with few groups, the score on a new
            group is less certain than that.
        falls: Whether the difference is significant.
        scores: The score of each group, worst first.
        sentence: The verdict in words.
    """

    name: str
    mixed: Interval
    held_out: Interval
    falls: bool
    scores: tuple[GroupScore, ...]
    sentence: str


@dataclass(frozen=True)
class LeakReport:
    """How well the target is predicted from metadata, from the image, and from both.

    Attributes:
        task: One of TASKS.
        num_images: Number of images.
        majority: The baseline: the base rates, or the mean value.
        columns: One per fact, then `image-size` for all facts about the image file if there are several.
        table: All columns of the table together; None without any, likewise below.
        metadata: All columns and facts together.
        image: The image's features.
        image_and_metadata: The image's features with all metadata.
        groups: One verdict per grouping.
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
        """The leaking columns; see `pick_leaking`."""
        return pick_leaking(self.columns)

    @property
    def sentences(self) -> list[str]:
        """Return explanations of the tables: what the values mean, which columns are one fact, and what groups hide."""
        task = find_task(self.task)
        answer = f"the {task.answer_noun}"
        floor = "the base rates alone" if task.has_names else "always the mean"
        sentences = []
        if self.columns:
            sentences.append(
                f"explains: the fraction of {answer} that is predicted, 0 for {floor}, 1 for certain and right "
                "predictions."
            )
            sentences.append("adds: how much it adds to what the image explains.")
        if any(column.certain_images for column in self.columns):
            sentences.append(f"certain for: the fraction of the images for which it alone reveals {answer}.")
        if self.leaking:
            sentences.append(f"{LEAKS}: it alone predicts much of {answer}; decide whether the model may use it.")
        sentences += [
            f"The same fact under {1 + len(column.same_as)} names: {', '.join((column.name, *column.same_as))}."
            for column in self.columns
            if column.same_as
        ]
        return sentences + [group.sentence for group in self.groups]

    def to_payload(self) -> dict[str, Any]:
        """Return plain numbers, lists and dicts, fit for JSON."""
        return asdict(self)

    def tables(self) -> list[Table]:
        """Return tables of the columns, of the combined scores, and of the worst groups of each grouping."""
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
        """Return the arguments of the figure `draw_leaks` except its path."""
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
            "quantity": f"explained fraction of the {find_task(self.task).answer_noun}, 95% interval",
        }

    def _list_cells(self, column: ColumnVerdict) -> tuple[str, ...]:
        certain = format_fraction(column.certain_images.share) if column.certain_images else "-"
        added = f"{column.with_image.value - self.image.explained.value:+z.3f}" if column.with_image else "-"
        return (column.name, column.verdict, *_cells(column.alone), certain, added)

    @property
    def _has_more_than_facts(self) -> bool:
        """Whether all metadata together are more than a column that is shown separately."""
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
    """Return the leaking columns; `image-size` only if no single fact about the image file leaks."""
    leaking = [column for column in columns if column.verdict == LEAKS]
    single = any(column.is_image_fact and column.name != ALL_IMAGE_FACTS for column in leaking)
    return tuple(column for column in leaking if column.name != ALL_IMAGE_FACTS or not single)


def describe_column(task: str, column: ColumnVerdict, image: Interval | None) -> str:
    """Return a verdict in words; `image` is what the image's features explain, if images were used.

    Examples:
        >>> camera = ColumnVerdict("camera", (), False, "leaks", Interval(0.75, 0.69, 0.8), None, None)
        >>> describe_column("classification", camera, None)
        'camera leaks: it alone explains 0.75 (0.69 to 0.80) of the class.'
    """
    name = column.name
    names = f"{name} (also {', '.join(column.same_as)})" if column.same_as else name
    says = "all facts about the image file together explain" if name == ALL_IMAGE_FACTS else "it alone explains"
    knows = f"{says} {column.alone.in_brief(_TWO_DIGITS)} of the {find_task(task).answer_noun}"
    if column.certain_images:
        knows += f", {_describe_certain_images(task, column.certain_images)}"
    if column.verdict == LEAKS:
        return f"{names} leaks: {knows}."
    if image is None or column.with_image is None:
        return f"{names}: {knows}."
    change = f"{image.value:z.3f} without it, {column.with_image.value:z.3f} with it"
    if column.verdict == HELPS:
        return f"{names} helps: it adds to what the image explains ({change})."
    return f"{names} is {column.verdict}: {knows}, and adds nothing to the image ({change})."


def _describe_certain_images(task: str, certain_images: CertainImages) -> str:
    part = f"for {certain_images.share:.2f} of the images"
    score = certain_images.score.in_brief(_TWO_DIGITS)
    if not find_task(task).has_names:
        return f"and {part}, those that have a value, {score}"
    return f"and {part} its accuracy is {score}, against a base rate of {certain_images.base_rate:.2f}"


def describe_groups(
    task: str, name: str, *, mixed: Interval, held_out: Interval, falls: bool, num_unknown: int, num_classes: int
) -> str:
    """Describe the effect of holding out whole groups; `num_unknown` classes then have no training image."""
    article = "an" if name[:1].lower() in set("aeiou") else "a"
    begin = f"With {article} whole {name} held out, {QUANTITIES[find_task(task).score_name]}"
    if falls:
        text = f"{begin} falls from {mixed.value:z.2f} to {held_out.value:z.2f}: the model partly learns the {name}."
    else:
        text = f"{begin} does not change significantly: {mixed.value:z.2f} and {held_out.value:z.2f}."
    if num_unknown:
        occur = "occurs" if num_unknown == 1 else "occur"
        text += (
            f" {num_unknown} of {num_classes} classes {occur} only in a held-out group, and cannot be predicted there."
        )
    return text


def _tabulate_groups(group: GroupVerdict, quantity: str) -> Table:
    rows = [
        (score.name, str(score.num_images), format_fraction(score.score)) for score in group.scores[:MAX_GROUPS_SHOWN]
    ]
    rest = group.scores[MAX_GROUPS_SHOWN:]
    if rest:
        rows.append((f"… {len(rest)} more", str(sum(score.num_images for score in rest)), "-"))
    return (f"Held-out groups: {group.name}", (group.name, "images", quantity), rows)


def _cells(score: Interval) -> tuple[str, str]:
    return (f"{score.value:z.3f}", f"{score.low:z.3f} to {score.high:z.3f}")


def _chart_row(label: str, score: Interval, verdict: str = "") -> ChartRow:
    return (label, score.value, score.low, score.high, verdict)
