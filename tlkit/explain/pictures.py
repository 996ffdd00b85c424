"""The pictures of an explained photo: the photo with what was found in it, and maps over it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tlkit.data.image_file import ImageFile
from tlkit.explain.overlay import draw_legend, overlay_map
from tlkit.explain.photos import Explanation, SceneMap
from tlkit.explain.records import place_map
from tlkit.explain.subjects import Subject
from tlkit.files import written_aside
from tlkit.inference.mask_files import paint_mask
from tlkit.inference.scoring import recover
from tlkit.models.spec import BundleSpec
from tlkit.reports.frames import Mark, choose_colour, draw_marks
from tlkit.tasks.predictions import Prediction

PICTURE_PX = 480
"""Longer edge of a photo and of its maps."""
GAP_PX = 8
MIN_LEGEND_PX = 80


@dataclass(frozen=True, eq=False)
class PhotoPainter:
    """Draws over a photo.

    Attributes:
        picture: The photo, upright, at the size of its maps.
        upright_size: (height, width) of the upright file, in pixels.
        spec: The model's.
    """

    picture: Image.Image
    upright_size: tuple[int, int]
    spec: BundleSpec

    def draw_found(self, prediction: Prediction, explanations: Sequence[Explanation]) -> NDArray[np.uint8]:
        """Return the photo with the objects that are explained, or with its mask: uint8 (height, width, 3)."""
        painted = paint_mask(self.picture, prediction, self.spec)
        return np.asarray(draw_marks(painted, self._mark([each.subject for each in explanations])))

    def draw_evidence(self, explanation: Explanation) -> NDArray[np.uint8]:
        """Return the photo with the evidence, and the object that it is for: uint8, like `draw_found`."""
        drawn = overlay_map(np.asarray(self.picture), self._place(explanation.evidence))
        marks = self._mark([explanation.subject])
        return np.asarray(draw_marks(Image.fromarray(drawn), marks)) if marks else drawn

    def draw_scene(self, scene: SceneMap) -> NDArray[np.uint8]:
        """Return the photo with what is said at every place, in full colour at 1: uint8, like `draw_found`."""
        return overlay_map(np.asarray(self.picture), self._place(scene.values), strongest=1.0)

    def _place(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        return place_map(values, picture_size=self.upright_size, image_size=self.spec.image_size, fit=self.spec.fit)

    def _mark(self, subjects: Sequence[Subject]) -> list[Mark]:
        """Return the frames of objects; what is not above its threshold is dashed."""
        height, width = self.upright_size
        marks = []
        for subject in subjects:
            if subject.box is None or subject.label is None or subject.score is None:
                continue
            left, top, right, bottom = subject.box
            centre_and_size = np.array([(left + right) / 2, (top + bottom) / 2, right - left, bottom - top], np.float32)
            left, top, right, bottom = recover(centre_and_size, self.upright_size, self.spec)
            marks.append(
                Mark(
                    (left / width, top / height, right / width, bottom / height),
                    choose_colour(subject.label),
                    subject.name,
                    f"{subject.score:.0%}",
                    is_dashed=not subject.is_found,
                )
            )
        return marks


def open_painter(image: ImageFile, spec: BundleSpec) -> PhotoPainter:
    """Return what draws over a photo.

    Raises:
        UnusableImage: It cannot be decoded.
    """
    picture = reduce_picture(image.decode((PICTURE_PX, PICTURE_PX)), PICTURE_PX)
    return PhotoPainter(picture, image.upright_size, spec)


def reduce_picture(picture: Image.Image, longest_px: int) -> Image.Image:
    """Return a picture with the longer edge at most so long, or a small one enlarged to half of that."""
    scale = longest_px / max(picture.size)
    if 1 <= scale <= 2:
        return picture
    scale = min(scale, longest_px / 2 / max(picture.size)) if scale > 2 else scale
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    return picture.resize(size, Image.Resampling.LANCZOS)


def write_side_by_side(
    path: Path, shown: NDArray[np.uint8], drawn: NDArray[np.uint8], *, has_legend: bool = True
) -> None:
    """Write a photo and a map of the same size side by side as PNG, with the legend of evidence below the map."""
    height, width = shown.shape[:2]
    legend = draw_legend(max(width, MIN_LEGEND_PX))
    sheet = Image.new("RGB", (width + GAP_PX + len(legend[0]), height + len(legend) * has_legend), "white")
    sheet.paste(Image.fromarray(shown), (0, 0))
    sheet.paste(Image.fromarray(drawn), (width + GAP_PX, 0))
    if has_legend:
        sheet.paste(Image.fromarray(legend), (width + GAP_PX, height))
    with written_aside(path, is_flushed=False) as file:
        sheet.save(file, format="PNG")
