"""The mistakes of a scored set as sheets of a page and as the picture files of a folder."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tlkit.inference.scoring import Scores
from tlkit.models.spec import BundleSpec
from tlkit.reports.confusion_table import render_confusion
from tlkit.reports.console import Console
from tlkit.reports.markup import Cell, Link, Table
from tlkit.reports.page import Section
from tlkit.reports.run_page import render_picture_section, render_table_section
from tlkit.reports.sheet import Facets, Sheet, render_sheet, values_of
from tlkit.reports.sorting import fold_name, number_name, safe_name
from tlkit.reports.thumbnails import PictureBudget
from tlkit.runs.heat_maps import HeatMaps
from tlkit.runs.mistake_tiles import IMAGES, OUTCOME, TileMaker, describe_number
from tlkit.runs.mistakes import MAX_OF_A_COMMON, Mistakes, choose_mistakes
from tlkit.tasks.detection_verdicts import DetectionVerdicts
from tlkit.tasks.verdicts import ClassVerdicts

MISTAKES_FOLDER = "mistakes"
FILE_PATTERN = "[0-9][0-9][0-9]-*.jpg"
"""Matches the files that `write_mistake_files` writes into the folder."""
MAX_FILES = 60
MAX_LISTED = 50
_MAX_NAME = 120
BOXES = "worst-boxes"
HEAT_MAP_NOTE = (
    " Heat maps show what speaks for the predicted class, the wrong label or a higher value (orange), and what speaks "
    "against it (blue)."
)
OBJECTS_NOTE = (
    " Shown boxes are solid, with their scores and, if wrong, what is wrong about them: class, place, twice, no object. "
    "True ones are dashed; a missed object has its name. Each class has its colour."
)


@dataclass(frozen=True)
class MistakeSheets:
    """What a report shows of the images behind its scores.

    Attributes:
        sections: The sections with pictures.
        shown: The facets of each tile, by the anchor of its sheet.
        mistakes: What was chosen.
    """

    sections: tuple[Section, ...]
    shown: Mapping[str, Sequence[Facets]]
    mistakes: Mistakes

    def link_scores(self, table: Table) -> Table:
        """Return a report's score table with its numbers linked to the images behind them."""
        columns, rows = table
        verdicts = self.mistakes.verdicts
        return columns, [
            (
                row[0],
                *(
                    self._link(
                        BOXES if column == "IoU" else IMAGES,
                        str(cell),
                        verdicts.find_behind(column, str(row[0])),
                        f"{column} of {row[0]}",
                    )
                    for column, cell in zip(columns[1:], row[1:], strict=True)
                ),
            )
            for row in rows
        ]

    def link_counts(self, table: Table, split: str) -> Table:
        """Return a table of images per class and split with the counts of one split linked."""
        columns, rows = table
        place = columns.index(split) if split in columns else None
        return columns, [
            tuple(
                self._link(IMAGES, str(cell), self._find_named(str(row[0])), f"{split} images, {row[0]}")
                if number == place and cell != "0"
                else cell
                for number, cell in enumerate(row)
            )
            for row in rows
        ]

    def list_sections(self, folder: Path) -> list[Section]:
        """Return the confusions, linked, and the sections with pictures.

        Args:
            folder: Holds confusion.png, which stands in for a matrix that does not fit onto a page.
        """
        confusion = self.show_confusion()
        tables = [confusion] if confusion else [render_picture_section(folder, "confusion.png"), self._list_common()]
        return [*(section for section in tables if section), *self.sections]

    def _list_common(self) -> Section | None:
        """Return the most frequent mistakes as a table of links; None if there are none."""
        common = self.mistakes.verdicts.list_common_mistakes()
        rows = [(each.title, self._link(IMAGES, f"{len(each.rows):,}", each.facets, each.title)) for each in common]
        note = "" if len(rows) <= MAX_LISTED else f"The first {MAX_LISTED} of {len(rows):,}."
        return render_table_section("Mistakes by frequency", note, (("mistake", "images"), rows[:MAX_LISTED]))

    def _find_named(self, name: str) -> Mapping[str, str]:
        """Return the facets of the images of a class or label; those of all images for other names."""
        return self.mistakes.verdicts.find_behind("images", name)

    def show_confusion(self) -> Section | None:
        """Return the confusion matrix with linked counts, if there is one that fits onto a page."""
        verdicts = self.mistakes.verdicts
        if not isinstance(verdicts, ClassVerdicts):
            return None

        def link(true: str, predicted: str, count: int) -> Cell:
            meaning = f"{true} predicted as {predicted}"
            return self._link(IMAGES, f"{count:,}", {"true": true, "predicted": predicted}, meaning)

        return render_confusion(verdicts.count_confusions(), verdicts.class_names, link)

    def _link(self, anchor: str, text: str, facets: Mapping[str, str], meaning: str) -> Cell:
        """Return a link to the tiles with these facets, or the text if there are none."""
        is_there = any(
            all(value in values_of(tile, name) for name, value in facets.items()) for tile in self.shown.get(anchor, ())
        )
        return Link(text, anchor, facets, f"{text}: images, {meaning}") if is_there and text != "-" else text


def show_mistakes(
    scores: Scores,
    spec: BundleSpec,
    folder: Path,
    *,
    budget: PictureBudget,
    console: Console,
    heat_maps: HeatMaps | None = None,
) -> MistakeSheets:
    """Read the images to look at, write the worst into `mistakes/`, and return the sheets.

    Args:
        scores: Of at least one image.
        spec: The model's.
        folder: Where `mistakes/` goes; files of an earlier one are replaced.
        budget: Bytes for the pictures of the page.
        console: Shows progress.
        heat_maps: Makes the heat maps; None for none.

    Raises:
        OSError: A file cannot be written.
    """
    mistakes = choose_mistakes(scores, spec)
    placed = [*(row for group in (*mistakes.groups, mistakes.boxes) for row in group.rows)]
    placed += [row for each in mistakes.common for row in each.rows[:MAX_OF_A_COMMON]]
    rows = sorted(set(placed))
    maker = TileMaker(scores, spec, mistakes)
    files = _name_files(mistakes, scores, folder / MISTAKES_FOLDER)
    maker.make_all(
        rows, files, share=lambda number: budget.share(number * len(placed)), console=console, heat_maps=heat_maps
    )
    groups = [maker.group(group) for group in mistakes.groups]
    images = Sheet(
        IMAGES,
        "Images behind the scores",
        groups,
        _describe_choice(mistakes, scores)
        + (HEAT_MAP_NOTE if maker.has_maps else "")
        + (OBJECTS_NOTE if isinstance(mistakes.verdicts, DetectionVerdicts) else ""),
        {OUTCOME: "Outcome", **mistakes.verdicts.facets},
    )
    strips = Sheet("common-mistakes", "Most frequent mistakes", maker.list_strips(), is_strip=True, has_search=False)
    boxes = Sheet(
        BOXES,
        "Worst boxes",
        [dataclasses.replace(maker.group(mistakes.boxes), title="", note="")],
        "The true box is blue, the predicted one orange. IoU is the area that both share, as a fraction of the area that "
        f"they cover together. {describe_number(mistakes.boxes)}",
        mistakes.verdicts.facets,
    )
    sheets = [sheet for sheet in (strips, images, boxes) if any(group.tiles for group in sheet.groups)]
    shown = {sheet.anchor: [tile.facets for group in sheet.groups for tile in group.tiles] for sheet in sheets}
    sections = tuple(section for sheet in sheets if (section := render_sheet(sheet)))
    return MistakeSheets(sections, shown, mistakes)


def clear_mistakes(folder: Path) -> None:
    """Remove the pictures that an earlier report has left in `mistakes/`, and the folder if it is then empty."""
    place = folder / MISTAKES_FOLDER
    for path in place.glob(FILE_PATTERN):
        path.unlink(missing_ok=True)
    if place.is_dir() and not any(place.iterdir()):
        place.rmdir()


def _describe_choice(mistakes: Mistakes, scores: Scores) -> str:
    shown = sum(len(group.rows) for group in mistakes.groups)
    total = len(scores.records)
    number = f"All {total:,} images are here." if shown == total else f"{shown:,} of {total:,} images are here."
    return f"{number} Numbers in the tables above that are links lead to them; click a picture to enlarge it."


def _name_files(mistakes: Mistakes, scores: Scores, folder: Path) -> dict[int, Path]:
    """Return where each picture of the folder goes: "001-true-cat-as-dog-IMG_1.jpg"."""
    taken: set[str] = set()
    paths = {}
    for rank, row in enumerate(mistakes.files[:MAX_FILES], start=1):
        name = f"{mistakes.verdicts.describe(row).name} {scores.records[row].path.stem}".replace(" ", "-")
        unique = number_name(f"{rank:03d}-{safe_name(name[:_MAX_NAME])}.jpg", taken)
        taken.add(fold_name(unique))
        paths[row] = folder / unique
    return paths
