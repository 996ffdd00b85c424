"""Draw the predictions of windows onto a copy of a large picture, each window in the colour of its class."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from tlkit.data.sources import OUTPUT_MARKER
from tlkit.data.windows import Corners
from tlkit.inference.files import OVERLAYS
from tlkit.inference.tally import PredictionTally
from tlkit.inference.tiles import TiledPicture
from tlkit.models.predictor import to_deviations
from tlkit.models.spec import BundleSpec
from tlkit.outputs import format_value
from tlkit.reports.captions import Caption, CaptionLine
from tlkit.reports.frames import Colour, choose_colour
from tlkit.reports.output_folder import make_output_folder
from tlkit.reports.overlays import OverlayFolder
from tlkit.tasks import find_task
from tlkit.tasks.predictions import UNCERTAIN, UNKNOWN, Prediction

LONGEST_OVERLAY_PX = 4000
MAX_CAPTION_CLASSES = 12
WEAKEST, STRONGEST = 0.15, 0.6
"""Opacity of a window's colour for a probability of 0 and of 1."""
HIGH, LOW = choose_colour(1), choose_colour(0)
"""Orange and blue: values above and below the mean of the training images."""
NUM_DEVIATIONS = 2
"""A value so many standard deviations from the mean has the full colour."""


class TileOverlays:
    """A folder of overlays, one JPEG for each picture, at most 4,000 px long.

    Args:
        folder: The folder; it is made.
        spec: The model's description.
        step_px: Pixels from a window to the next one; as much of it is coloured.
    """

    def __init__(self, folder: Path, spec: BundleSpec, step_px: int) -> None:
        make_output_folder(folder, kind=OVERLAYS, marker=OUTPUT_MARKER)
        self._folder = OverlayFolder(folder, LONGEST_OVERLAY_PX)
        self._spec = spec
        self._step_px = step_px

    def write(self, tiled: TiledPicture, tally: PredictionTally) -> None:
        """Write the overlay of a picture, if it could be read.

        Raises:
            OSError: The disk does not take it.
        """
        if tiled.picture is None or tiled.upright_size is None:
            return
        drawn = tint_windows(tiled, self._spec, self._step_px)
        self._folder.write(tiled.path, drawn, write_counts(tally, self._spec))


def tint_windows(tiled: TiledPicture, spec: BundleSpec, step_px: int) -> Image.Image:
    """Return a picture, reduced to at most 4,000 px, with each window in the colour of its answer.

    The more probable a class, the stronger its colour. Windows that are unknown, uncertain, or without a label have
    none. Of windows that overlap, the middle is coloured.

    Args:
        tiled: A picture that could be read.
        spec: The model's description.
        step_px: Pixels from a window to the next one.
    """
    assert tiled.picture is not None
    assert tiled.upright_size is not None
    scale = min(1.0, LONGEST_OVERLAY_PX / max(tiled.picture.size))
    size = (max(1, round(tiled.picture.width * scale)), max(1, round(tiled.picture.height * scale)))
    picture = tiled.picture.resize(size, Image.Resampling.LANCZOS, reducing_gap=2.0)
    colours, opacity = Image.new("RGB", size), Image.new("L", size)
    pens = ImageDraw.Draw(colours), ImageDraw.Draw(opacity)
    across, down = size[0] / tiled.upright_size[1], size[1] / tiled.upright_size[0]
    for prediction in tiled.predictions:
        tint = _choose_tint(prediction, spec)
        if tint is None or prediction.box is None:
            continue
        left, top, right, bottom = _find_middle(tuple(map(int, prediction.box)), step_px)  # type: ignore[arg-type]
        # One pixel stays free between windows.
        corners = (round(left * across), round(top * down), round(right * across) - 2, round(bottom * down) - 2)
        if corners[0] <= corners[2] and corners[1] <= corners[3]:
            pens[0].rectangle(corners, fill=tint[0])
            pens[1].rectangle(corners, fill=round(255 * tint[1]))
    return Image.composite(colours, picture, opacity)


def _find_middle(corners: Corners, step_px: int) -> Corners:
    left, top, right, bottom = corners
    margin = max(0, (right - left - step_px) // 2)
    return left + margin, top + margin, right - margin, bottom - margin


def _choose_tint(prediction: Prediction, spec: BundleSpec) -> tuple[Colour, float] | None:
    """Return the colour of an answer and its opacity, 0..1."""
    if prediction.error or prediction.flag:
        return None
    if prediction.value is not None:
        assert spec.target is not None
        deviation = float(to_deviations(spec.target, np.array(prediction.value))) / NUM_DEVIATIONS
        return (HIGH if deviation > 0 else LOW), STRONGEST * min(1.0, abs(deviation))
    name, probability = prediction.ranked[0]
    if prediction.labels is not None and name not in prediction.labels:
        return None
    return choose_colour(spec.class_names.index(name)), WEAKEST + (STRONGEST - WEAKEST) * probability


def write_counts(tally: PredictionTally, spec: BundleSpec) -> Caption:
    """Return how many windows have each answer, the most frequent first, as a caption."""
    counts = count_answers(tally, spec)
    if not find_task(spec.task).has_names:
        return [CaptionLine(name, format_value(value), is_bright=name == "median") for name, value in counts.items()]
    ranked = sorted(((count, name) for name, count in counts.items() if count), key=lambda each: -each[0])
    places = {name: place for place, name in enumerate(spec.class_names)}
    lines = [
        CaptionLine(
            name,
            f"{count:,.0f}",
            count / max(1, tally.num_images),
            is_bright=rank == 0,
            has_dot=name in places,
            colour=choose_colour(places[name]) if name in places else None,
        )
        for rank, (count, name) in enumerate(ranked)
    ]
    num_left = len(lines) - MAX_CAPTION_CLASSES
    if num_left > 0:
        lines = [*lines[:MAX_CAPTION_CLASSES], CaptionLine(f"and {num_left:,} more")]
    return lines or [CaptionLine("nothing found", is_bright=True)]


def count_answers(tally: PredictionTally, spec: BundleSpec) -> dict[str, float]:
    """Return the windows of each class or label and of each flag, or the lowest, median and highest value."""
    counts = tally.describe(with_uncertain=True)
    answers: dict[str, float | None] = counts[find_task(spec.task).nouns[1]]
    known = {name: value for name, value in answers.items() if value is not None}
    if not find_task(spec.task).has_names:
        return known
    return known | {f"({flag})": counts[flag] for flag in (UNKNOWN, UNCERTAIN)}
