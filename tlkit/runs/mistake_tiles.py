"""The tiles of a report's sheets of images: each file is opened once for all that is shown of it."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tlkit.data.image_file import ImageFile
from tlkit.data.images import UnusableImage
from tlkit.explain.overlay import overlay_map
from tlkit.files import written_aside
from tlkit.inference.scoring import Scores
from tlkit.models.spec import BundleSpec
from tlkit.places.copies import show_path
from tlkit.reports.captions import CaptionLine
from tlkit.reports.console import Console
from tlkit.reports.figures.canvas import RIGHT, WRONG
from tlkit.reports.frames import draw_box, draw_marks
from tlkit.reports.markup import Link
from tlkit.reports.overlays import JPEG_QUALITY, draw_overlay
from tlkit.reports.sheet import Group, Tile
from tlkit.reports.thumbnails import choose_edge_px, make_thumbnail
from tlkit.runs.heat_maps import HeatMaps
from tlkit.runs.mistakes import MAX_OF_A_COMMON, ChosenImages, Mistakes, find_unknown
from tlkit.tasks.detection_verdicts import DetectionVerdicts
from tlkit.tasks.verdicts import Verdict

IMAGES = "mistakes"
"""The anchor of the sheet with all images."""
OUTCOME, HEAT_MAP = "outcome", "heat map"
FILE_EDGE_PX, HEAT_MAP_EDGE_PX = 640, 320


class TileMaker:
    """Makes tiles, each image's once; a file that has become unreadable has none."""

    def __init__(self, scores: Scores, spec: BundleSpec, mistakes: Mistakes) -> None:
        self._scores = scores
        self._spec = spec
        self._mistakes = mistakes
        self._maps: Mapping[Path, NDArray[np.float32]] = {}
        self._unknown = set(find_unknown(scores, spec).tolist())
        self._tiles: dict[int, Tile] = {}

    def make_all(
        self,
        rows: Sequence[int],
        files: Mapping[int, Path],
        *,
        share: Callable[[int], int],
        console: Console,
        heat_maps: HeatMaps | None,
    ) -> None:
        """Read images and keep their tiles; write the pictures of some to files.

        Args:
            rows: The images.
            files: Where pictures are written, by image.
            share: Returns how many bytes each picture on the page may take, from how many pictures an image has.
            console: Shows progress.
            heat_maps: Makes the heat maps; None for none.
        """
        if heat_maps and rows and not self._spec.has_one_class:
            outputs = np.array([self._mistakes.verdicts.find_output(row) for row in rows], np.int64)
            self._maps = heat_maps.explain([self._scores.records[row] for row in rows], outputs)
        max_bytes = share(2 if self._maps else 1)
        with ThreadPoolExecutor(os.cpu_count()) as pool, console.progress("Drawing mistakes", len(rows)) as advance:
            for _ in pool.map(lambda row: self._make(row, max_bytes, files.get(row)), rows):
                advance(1)

    @property
    def has_maps(self) -> bool:
        """Whether there are heat maps."""
        return bool(self._maps)

    def _make(self, row: int, max_bytes: int, file: Path | None) -> None:
        """Read an image, keep its tile, and write its picture to a file if there is to be one."""
        verdict = self._mistakes.verdicts.describe(row)
        lines = [*verdict.lines, *self._list_remarks(row)]
        try:
            picture = self._read(row)
        except UnusableImage:  # it was scored a moment ago; a picture of it is not worth a failure
            return
        heat_map = self._draw_heat_map(row, picture)
        if file is not None:
            with written_aside(file, is_flushed=False) as out:
                caption = [CaptionLine(line, is_bright=place == 0) for place, line in enumerate(lines)]
                pair = _place_side_by_side(picture, heat_map) if heat_map else picture
                draw_overlay(pair, caption).save(out, format="JPEG", quality=JPEG_QUALITY)
        thumbnail = make_thumbnail(picture, edge_px=choose_edge_px(max_bytes), max_bytes=max_bytes)
        tile = self._describe(row, verdict, lines, thumbnail)
        layers = (
            {HEAT_MAP: make_thumbnail(heat_map, edge_px=choose_edge_px(max_bytes), max_bytes=max_bytes)}
            if heat_map
            else {}
        )
        self._tiles[row] = dataclasses.replace(tile, layers=layers)

    def group(self, chosen: ChosenImages) -> Group:
        """Return some images as a group of tiles, which says how many there are."""
        tiles = [dataclasses.replace(tile, tone=chosen.tone) for tile in self._take(chosen.rows)]
        if chosen is self._mistakes.boxes:
            ious = self._mistakes.ious
            rows = [row for row in chosen.rows if row in self._tiles]
            tiles = [
                dataclasses.replace(tile, badge=f"IoU {ious[row]:.2f}") for tile, row in zip(tiles, rows, strict=True)
            ]
        return Group(chosen.title, tiles, describe_number(chosen))

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
        if isinstance(self._mistakes.verdicts, DetectionVerdicts):
            picture = draw_marks(picture, self._mistakes.verdicts.list_marks(row, (record.height, record.width)))
        if self._scores.boxes is not None:
            line_px = max(2, round(max(picture.size) / 128))
            for box, colour in ((record.box, RIGHT), (self._scores.boxes[row], WRONG)):
                if box is not None:
                    left, top, right, bottom = box
                    width, height = record.width, record.height
                    fractions = (left / width, top / height, right / width, bottom / height)
                    picture = draw_box(picture, fractions, colour, line_px=line_px)
        return picture

    def _draw_heat_map(self, row: int, picture: Image.Image) -> Image.Image | None:
        """Return the evidence on a copy of the picture of at most 320 pixels."""
        evidence = self._maps.get(self._scores.records[row].path)
        if evidence is None:
            return None
        small = picture.copy()
        small.thumbnail((HEAT_MAP_EDGE_PX, HEAT_MAP_EDGE_PX), Image.Resampling.BILINEAR)  # it turns grey, under colours
        return Image.fromarray(overlay_map(np.asarray(small), evidence))

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
        return Tile(thumbnail, path.name, lines, verdict.badge, facets=facets, search=show_path(path))


def _place_side_by_side(picture: Image.Image, heat_map: Image.Image) -> Image.Image:
    pair = Image.new("RGB", (2 * picture.width, picture.height))
    pair.paste(picture, (0, 0))
    pair.paste(heat_map.resize(picture.size, Image.Resampling.BICUBIC), (picture.width, 0))
    return pair


def describe_number(chosen: ChosenImages) -> str:
    """Return how many of them are shown, and where the others are."""
    if len(chosen.rows) == chosen.num_images:
        return f"{chosen.num_images:,} image{'s' * (chosen.num_images != 1)}."
    return f"{len(chosen.rows):,} of {chosen.num_images:,} shown; all are in predictions.csv."
