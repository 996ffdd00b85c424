"""The report of a run as a page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tlkit.reports.markup import (
    Html,
    Table,
    escape_text,
    render_details,
    render_list,
    render_picture,
    render_scrolled,
    render_table,
)
from tlkit.reports.page import Page, Section, write_page

REPORT_NAME = "report.html"
SWEEP_NAME = "learning-rate-{}.png"
"""File name of a stage's sweep figure, by the stage number."""
MAX_FILES_LISTED = 500
PICTURES = {
    "curves.png": (
        "Training history",
        "Score, loss and learning rate by epoch. The ring marks the epoch whose weights were kept. "
        "A validation line that falls behind the training line shows overfitting.",
    ),
    "confusion.png": (
        "Confusion matrix",
        "Each row is a true class, each column a predicted class. Blue is right, orange is wrong; "
        "the darker, the larger the fraction of the row.",
    ),
    "precision-recall.png": (
        "Precision and recall",
        "Each class from its surest boxes, at the left, to all of them. A box is right if it has an IoU of 0.5 or more "
        "with an object of its class that no surer box has found. AP50 is the area below the line.",
    ),
    "f1.png": (
        "F1 by threshold",
        "Towards the left more boxes are shown, and more of them are wrong; towards the right more objects are missed. "
        "The dots are the thresholds, which were chosen on the validation images.",
    ),
    "detection-mistakes.png": (
        "Kinds of mistakes",
        "Boxes that are shown but wrong, and objects that are missed. Wrong place: an IoU of 0.1 to 0.5 with an object of "
        "the class. Wrong class: an IoU of 0.5 or more with an object of another class. No object: an IoU below 0.1 with "
        "any object. At the right, all boxes count, even those that are not shown.",
    ),
    "sizes.png": (
        "Average precision by size",
        "By the area of the true box in pixels of the picture: small up to 32 × 32, large from 96 × 96.",
    ),
    "reliability.png": (
        "Calibration",
        "Each dot is an equal number of images, or the boxes of a tenth of the scores. Below the line the model is overconfident, above it underconfident.",
    ),
    "labels.png": (
        "Average precision by label",
        "The best label is at the top. Average precision measures how well a label's probabilities rank the images, "
        "independent of the threshold; precision and recall are measured at the label's threshold.",
    ),
    "predicted.png": (
        "Predicted against true values",
        "Each point is an image. On the dashed line the prediction is exact; within the band it is off by at most the "
        "mean absolute error. A cloud flatter than the line shows a bias towards the mean.",
    ),
    "views.png": (
        "What the network sees",
        "Training images as the network receives them. Check that the object is still visible and recognizable.",
    ),
}
SCORE_PICTURES = (
    "precision-recall.png",
    "f1.png",
    "detection-mistakes.png",
    "sizes.png",
    "reliability.png",
    "labels.png",
    "predicted.png",
)
"""Figures of scores that each stand in a section of their own, in the order of a page."""
SCORES = {
    "precision": "the fraction of predictions of this name that are right",
    "recall": "the fraction of {items} with this name that were found",
    "F1": "the harmonic mean of precision and recall",
    "AP": "how well the probabilities rank the images, independent of the threshold",
    "AP50": "the mean precision over all recalls, where a box is right from an IoU of 0.5 on",
    "AP50-95": "the mean of the same for an IoU of 0.5, 0.55 … 0.95",
    "IoU": "the overlap of predicted and true boxes; 1 is perfect",
    "threshold": "the probability from which on the {name} is {shown}",
    "mean absolute error": "the average error of the predictions",
    "mean of predicted - true": "positive if the predictions are too high, negative if they are too low",
}
"""Meaning of the columns of a score table."""
_OF_IMAGES = {"items": "images", "name": "label", "shown": "predicted"}
_OF_OBJECTS = {"items": "objects", "name": "box", "shown": "shown"}


@dataclass(frozen=True)
class RunPage:
    """The content of a run's report. Tables without rows are left out.

    Attributes:
        title: Name of the run.
        facts: The key figures by name: "validation accuracy": "0.861 (0.82 to 0.89)".
        class_table: Column titles and rows of cells: images per class and split.
        stage_table: The same, for the training stages and their scores.
        score_table: The same, for the scores per class, label or range of values.
        more_tables: Further tables of scores, with their titles.
        recipe: The resolved recipe, as TOML.
        origin: Where the figures come from, by name: data, backbone, boundary, command, date, versions.
        seen: Sections with the confusions and the images behind the scores.
        skipped: (path, reason) of each file that could not be used.
        notices: Notices about the data, one sentence each.
        caution: A caveat about the figures.
    """

    title: str
    facts: Mapping[str, str]
    class_table: Table
    stage_table: Table
    score_table: Table
    recipe: str
    origin: Mapping[str, str] = field(default_factory=dict)
    more_tables: Sequence[tuple[str, Table]] = ()
    seen: Sequence[Section] = ()
    skipped: Sequence[tuple[str, str]] = ()
    notices: Sequence[str] = ()
    caution: str = ""


def write_report(folder: Path, page: RunPage) -> Path:
    """Write `report.html` into a run's folder and return its path.

    Existing figures named in PICTURES are included.
    """
    sections = [
        render_score_section(page.score_table),
        *(render_table_section(title, "", table) for title, table in page.more_tables),
        *page.seen,
        render_table_section("Images", "Number of images per class and split.", page.class_table),
        _render_notices(page.notices),
        render_table_section(
            "Stages", "Each stage starts from the best weights of the previous one.", page.stage_table
        ),
        render_picture_section(folder, "curves.png"),
        *_render_sweeps(folder),
        *(render_picture_section(folder, name) for name in SCORE_PICTURES),
        render_picture_section(folder, "views.png"),
        render_skipped_section(page.skipped),
        _render_recipe(page.recipe),
    ]  # fmt: skip
    return write_page(
        folder / REPORT_NAME,
        Page(
            title=page.title,
            subtitle="Report of a tlkit run.",
            sections=[section for section in sections if section],
            facts=page.facts,
            origin=page.origin,
            caution=page.caution,
        ),
    )


def render_table_section(title: str, note: str, table: Table) -> Section | None:
    """Return a table as a section; None without rows."""
    return Section(title, render_table(table, label=title), note) if table[1] else None


def render_score_section(table: Table) -> Section | None:
    """Return the scores per class, label or range of values, with the meaning of the columns; None without rows."""
    columns, rows = table
    if not rows:
        return None
    words = _OF_OBJECTS if "objects" in columns else _OF_IMAGES
    notes = [f"{name[0].upper()}{name[1:]}: {SCORES[name].format(**words)}." for name in columns if name in SCORES]
    return render_table_section(f"Scores by {columns[0]}", " ".join(notes), table)


def render_picture_section(folder: Path, name: str) -> Section | None:
    """Return one of PICTURES as a section; None if the folder does not have it."""
    path = folder / name
    if not path.is_file():
        return None
    title, note = PICTURES[name]
    return Section(title, render_picture(path, title), note)


def render_skipped_section(skipped: Sequence[tuple[str, str]]) -> Section | None:
    """Return the files that could not be used, at most 500; None if there are none."""
    if not skipped:
        return None
    note = "These files were not used, for the reasons given."
    if len(skipped) > MAX_FILES_LISTED:
        note += f" The first {MAX_FILES_LISTED} are listed here, all of them in skipped.csv."
    table = render_table((("file", "reason"), skipped[:MAX_FILES_LISTED]), label="Files skipped")
    title = f"Files skipped: {len(skipped):,}"
    return Section(title, render_details("show the files", table), note, anchor="files-skipped")


def _render_sweeps(folder: Path) -> list[Section]:
    """Return a section for each stage with a learning rate sweep."""
    first, last = SWEEP_NAME.split("{}")
    found = folder.glob(SWEEP_NAME.format("*"))
    numbers = sorted(int(path.name.removeprefix(first).removesuffix(last)) for path in found)
    note = (
        "Training loss while the learning rate grows from step to step, before the stage starts. "
        "Where the loss is flat the rate is too small; where it rises again it is too large."
    )
    titles = {number: f"Learning rate sweep of stage {number}" for number in numbers}
    return [
        Section(title, render_picture(folder / SWEEP_NAME.format(number), title), note)
        for number, title in titles.items()
    ]


def _render_notices(notices: Sequence[str]) -> Section | None:
    if not notices:
        return None
    return Section("Notices about the data", render_list(notices), "Found while reading it.")


def _render_recipe(recipe: str) -> Section:
    body = render_scrolled(Html(f"<pre>{escape_text(recipe)}</pre>"), label="Recipe")
    return Section("Recipe", body, "All settings of this run. `tlkit run` repeats it from recipe.toml.")
