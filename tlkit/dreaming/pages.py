"""The folder of dreams: each picture as a PNG, and a page that shows how they grew."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tlkit.dreaming.painting import Frame
from tlkit.dreaming.robustness import CHANGES, COLUMNS, DISTANCES, MANY_STEPS, RobustnessStudy
from tlkit.files import written_aside
from tlkit.outputs import format_value
from tlkit.reports.figures.robustness import draw_robustness
from tlkit.reports.markup import join_html, render_picture, render_table
from tlkit.reports.page import Page, Section, write_page
from tlkit.reports.sheet import Group, Sheet, Tile, render_sheet
from tlkit.reports.sorting import fold_name, number_name
from tlkit.reports.thumbnails import PictureBudget, make_thumbnail

PAGE_NAME = "dreams.html"
ROBUSTNESS_FIGURE = "robustness.png"
MAGNIFIED = 16
"""How many times a change is enlarged, so that it can be seen."""
_THUMBNAIL_PX = 320
_MAX_TILES = 200


@dataclass
class DreamFolder:
    """Collects pictures in a folder.

    Attributes:
        path: An existing folder; PNG files of earlier dreams are removed.
    """

    path: Path
    _groups: list[Group] = field(default_factory=list)
    _sections: list[Section] = field(default_factory=list)
    _taken: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        for old in self.path.glob("*.png"):
            old.unlink()

    def choose_path(self, name: str) -> Path:
        """Return a free path for a picture of that name."""
        kept = "".join(letter if letter.isalnum() or letter in "-_" else "-" for letter in name)
        chosen = number_name(f"{kept}.png", self._taken)
        self._taken.add(fold_name(chosen))
        return self.path / chosen

    def save(self, path: Path, picture: NDArray[np.uint8]) -> None:
        """Write a picture, uint8 (height, width, 3); one that is there is replaced at once.

        Raises:
            OSError: The disk does not take it.
        """
        with written_aside(path, is_flushed=False) as file:
            Image.fromarray(picture).save(file, format="PNG")

    def add_growth(
        self, title: str, path: Path, frames: Sequence[Frame], given: Mapping[str, NDArray[np.uint8]]
    ) -> None:
        """Add a picture to the page: what it was made from, and how it grew.

        Args:
            title: What it is.
            path: Its file.
            frames: How it grew; the last one is the picture.
            given: Pictures that it was made from, by name.
        """
        tiles = [Tile(_shrink(picture), name) for name, picture in given.items()]
        for frame in frames:
            lines = [f"loss {format_value(round(frame.loss, 4))}"]
            tiles.append(Tile(_shrink(frame.picture), f"{frame.step} steps", lines))
        self._groups.append(Group(title, tiles, f"The last one is {path.name}."))

    def add_comparison(
        self, title: str, before: NDArray[np.uint8], after: NDArray[np.uint8], captions: tuple[str, str], badge: str
    ) -> None:
        """Add a picture before and after a change, with the change enlarged; uint8 (height, width, 3) each."""
        changes = magnify_change(before, after)
        tiles = [
            Tile(_shrink(before), "before", [captions[0]]),
            Tile(_shrink(after), "after", [captions[1]], badge=badge, tone="wrong"),
            Tile(_shrink(changes), f"the change, {MAGNIFIED} times enlarged"),
        ]
        self._groups.append(Group(title, tiles))

    def add_robustness(self, study: RobustnessStudy, class_names: Sequence[str]) -> None:
        """Add the figures of a robustness study, with examples."""
        lines = {
            change: [
                (each.accuracy.value, each.accuracy.low, each.accuracy.high)
                for each in study.figures
                if each.change == change
            ]
            for change in CHANGES
        }
        draw_robustness(self.path / ROBUSTNESS_FIGURE, DISTANCES, lines, study.clean.value)
        body = [
            render_picture(self.path / ROBUSTNESS_FIGURE, "Accuracy over the largest change of a colour"),
            render_table((COLUMNS, study.list_rows()), label="Accuracy under changes"),
        ]
        note = (
            f"Each colour of each pixel changes by at most so many of 255. Accuracy on {study.num_images:,} held-out images, "
            "with 95% intervals. Models that were not trained against it are turned by changes that nobody sees; noise of the "
            "same size tells how much of that is due to its direction."
        )
        self._sections.append(Section("Robustness", join_html(body), note))
        for example in study.examples:
            before, after = (class_names[number] for number in example.classes)
            self.add_comparison(
                example.record.path.name,
                example.before,
                example.after,
                (f"predicted: {before}", f"predicted: {after}"),
                f"{example.distance}/255",
            )

    def write_page(self, title: str, subtitle: str, facts: Mapping[str, str], origin: Mapping[str, str]) -> Path:
        """Write the page and return its path."""
        note = f"Those that were fooled by {MANY_STEPS}, at the smallest change." if self._sections else ""
        heading = "Examples" if self._sections else "Pictures"
        sheet = render_sheet(Sheet("pictures", heading, self._groups, note, is_strip=True, has_search=False))
        sections = [*self._sections, *([sheet] if sheet else [])]
        return write_page(self.path / PAGE_NAME, Page(title, subtitle, sections, facts, origin))


def magnify_change(before: NDArray[np.uint8], after: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the difference of two pictures, 16 times enlarged around grey, uint8 (height, width, 3)."""
    change = 128 + MAGNIFIED * (after.astype(np.int16) - before)
    magnified: NDArray[np.uint8] = np.clip(change, 0, 255).astype(np.uint8)
    return magnified


def _shrink(picture: NDArray[Any]) -> bytes:
    budget = PictureBudget().share(_MAX_TILES)
    return make_thumbnail(picture, edge_px=_THUMBNAIL_PX, max_bytes=budget)
