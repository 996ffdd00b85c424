"""The mistakes of a scored set as sheets of a page and as the picture files of a folder.

Each file is opened once for all that is shown of it.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from tlkit.data.image_file import ImageFile
from tlkit.data.images import UnusableImage
from tlkit.files import written_aside
from tlkit.inference.scoring import Scores
from tlkit.models.spec import BundleSpec
from tlkit.reports.captions import CaptionLine
from tlkit.reports.confusion_table import render_confusion
from tlkit.reports.console import Console
from tlkit.reports.figures.canvas import RIGHT, WRONG
from tlkit.reports.markup import Cell, Link, Table
from tlkit.reports.overlays import JPEG_QUALITY, draw_box, draw_overlay
from tlkit.reports.page import Section
from tlkit.reports.sheet import Facets, Group, Sheet, Tile, render_sheet, values_of
from tlkit.reports.sorting import fold_name, number_name, safe_name
from tlkit.reports.thumbnails import PictureBudget, make_thumbnail
from tlkit.runs.mistakes import MAX_OF_A_COMMON, ChosenImages, Mistakes, choose_mistakes, find_unknown
from tlkit.tasks.verdicts import ClassVerdicts, Verdict

MISTAKES_FOLDER = "mistakes"
FILE_PATTERN = "[0-9][0-9][0-9]-*.jpg"
"""Matches the files that `write_mistake_files` writes into the folder."""
MAX_FILES = 60
FILE_EDGE_PX = 640
BOX_LINE_PX = 5
_MAX_NAME = 120
IMAGES, BOXES = "mistakes", "worst-boxes"
OUTCOME = "outcome"


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
    scores: Scores, spec: BundleSpec, folder: Path, *, budget: PictureBudget, console: Console
) -> MistakeSheets:
    """Read the images to look at, write the worst into `mistakes/`, and return the sheets.

    Args:
        scores: Of at least one image.
        spec: The model's.
        folder: Where `mistakes/` goes; files of an earlier one are replaced.
        budget: Bytes for the pictures of the page.
        console: Shows progress.

    Raises:
        OSError: A file cannot be written.
    """
    mistakes = choose_mistakes(scores, spec)
    maker = TileMaker(scores, spec, mistakes)
    placed = [*(row for group in (*mistakes.groups, mistakes.boxes) for row in group.rows)]
    placed += [row for each in mistakes.common for row in each.rows[:MAX_OF_A_COMMON]]
    rows = sorted(set(placed))
    max_bytes = budget.share(len(placed))
    files = _name_files(mistakes, scores, folder / MISTAKES_FOLDER)
    with ThreadPoolExecutor(os.cpu_count()) as pool, console.progress("Drawing mistakes", len(rows)) as advance:
        for _ in pool.map(lambda row: maker.make(row, max_bytes, files.get(row)), rows):
            advance(1)
    groups = [maker.group(group) for group in mistakes.groups]
    images = Sheet(
        IMAGES,
        "Images behind the scores",
        groups,
        _describe_choice(mistakes, scores),
        {OUTCOME: "Outcome", **mistakes.verdicts.facets},
    )
    strips = Sheet("common-mistakes", "Most frequent mistakes", maker.list_strips(), is_strip=True, has_search=False)
    boxes = Sheet(
        BOXES,
        "Worst boxes",
        [dataclasses.replace(maker.group(mistakes.boxes), title="", note="")],
        "The true box is blue, the predicted one orange. IoU is the area that both share, as a fraction of the area that "
        f"they cover together. {_describe_number(mistakes.boxes)}",
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


class TileMaker:
    """Makes tiles, each image's once; a file that has become unreadable has none."""

    def __init__(self, scores: Scores, spec: BundleSpec, mistakes: Mistakes) -> None:
        self._scores = scores
        self._spec = spec
        self._mistakes = mistakes
        self._unknown = set(find_unknown(scores, spec).tolist())
        self._tiles: dict[int, Tile] = {}

    def make(self, row: int, max_bytes: int, file: Path | None) -> None:
        """Read an image, keep its tile, and write its picture to a file if there is to be one."""
        verdict = self._mistakes.verdicts.describe(row)
        lines = [*verdict.lines, *self._list_remarks(row)]
        try:
            picture = self._read(row)
        except UnusableImage:  # it was scored a moment ago; a picture of it is not worth a failure
            return
        if file is not None:
            with written_aside(file, is_flushed=False) as out:
                caption = [CaptionLine(line, is_bright=place == 0) for place, line in enumerate(lines)]
                draw_overlay(picture, caption).save(out, format="JPEG", quality=JPEG_QUALITY)
        self._tiles[row] = self._describe(row, verdict, lines, make_thumbnail(picture, max_bytes=max_bytes))

    def group(self, chosen: ChosenImages) -> Group:
        """Return some images as a group of tiles, which says how many there are."""
        tiles = [dataclasses.replace(tile, tone=chosen.tone) for tile in self._take(chosen.rows)]
        if chosen is self._mistakes.boxes:
            ious = self._mistakes.ious
            rows = [row for row in chosen.rows if row in self._tiles]
            tiles = [
                dataclasses.replace(tile, badge=f"IoU {ious[row]:.2f}") for tile, row in zip(tiles, rows, strict=True)
            ]
        return Group(chosen.title, tiles, _describe_number(chosen))

    def list_strips(self) -> list[Group]:
        """Return the common mistakes, each as a strip of pictures with a link to all that are shown of it."""
        strips = []
        for each in self._mistakes.common:
            tiles = [
                dataclasses.replace(tile, facets={}, tone="wrong") for tile in self._take(each.rows[:MAX_OF_A_COMMON])
            ]
            number = len(each.rows)
            link = Link(
                f"{number:,} image{'s' * (number > 1)}", IMAGES, each.facets, f"{number:,} images: {each.title}"
            )
            strips.append(Group(each.title, tiles, link=link))
        return strips

    def _take(self, rows: Sequence[int]) -> list[Tile]:
        return [self._tiles[row] for row in rows if row in self._tiles]

    def _read(self, row: int) -> Image.Image:
        """Return the upright picture, small, with its boxes."""
        record = self._scores.records[row]
        image = ImageFile.read(record.path, self._spec.grey)
        picture = image.decode((FILE_EDGE_PX // 2, FILE_EDGE_PX // 2))
        picture.thumbnail((FILE_EDGE_PX, FILE_EDGE_PX), Image.Resampling.LANCZOS, reducing_gap=3.0)
        if self._scores.boxes is not None:
            for box, colour in ((record.box, RIGHT), (self._scores.boxes[row], WRONG)):
                if box is not None:
                    left, top, right, bottom = box
                    width, height = record.width, record.height
                    fractions = (left / width, top / height, right / width, bottom / height)
                    picture = draw_box(picture, fractions, colour, line_px=BOX_LINE_PX)
        return picture

    def _list_remarks(self, row: int) -> list[str]:
        remarks = []
        if row in self._mistakes.ious:
            remarks.append(f"IoU {self._mistakes.ious[row]:.2f}")
        if row in self._unknown:
            remarks.append("unlike the training images")
        return remarks

    def _describe(self, row: int, verdict: Verdict, lines: Sequence[str], thumbnail: bytes) -> Tile:
        verdicts, path = self._mistakes.verdicts, self._scores.records[row].path
        outcomes = [] if verdicts.is_right is None else ["right" if verdicts.is_right[row] else "wrong"]
        if row in self._unknown:
            outcomes.append("unknown")
        facets = {**verdict.facets, OUTCOME: outcomes}
        return Tile(thumbnail, path.name, lines, verdict.badge, facets=facets, search=str(path))


def _describe_choice(mistakes: Mistakes, scores: Scores) -> str:
    shown = sum(len(group.rows) for group in mistakes.groups)
    total = len(scores.records)
    number = f"All {total:,} images are here." if shown == total else f"{shown:,} of {total:,} images are here."
    return f"{number} Numbers in the tables above that are links lead to them; click a picture to enlarge it."


def _describe_number(chosen: ChosenImages) -> str:
    if len(chosen.rows) == chosen.num_images:
        return f"{chosen.num_images:,} image{'s' * (chosen.num_images != 1)}."
    return f"{len(chosen.rows):,} of {chosen.num_images:,} shown; all are in predictions.csv."


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
