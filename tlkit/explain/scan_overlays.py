"""Draw a scan over its picture: the heat map of a class, or each place in the colour of its class."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tlkit.explain.overlay import overlay_map
from tlkit.explain.scan import Scan
from tlkit.inference.tile_overlays import LONGEST_OVERLAY_PX, NUM_DEVIATIONS, STRONGEST, WEAKEST
from tlkit.models.predictor import to_deviations
from tlkit.models.spec import BundleSpec
from tlkit.outputs import format_value
from tlkit.reports.captions import Caption, CaptionLine, format_percent
from tlkit.reports.frames import choose_colour
from tlkit.tasks import find_task

MAX_CLASSES = 12
"""Classes in a caption."""


def draw_scan(picture: Image.Image, scan: Scan, picture_size: tuple[int, int], spec: BundleSpec) -> Image.Image:
    """Return a picture, reduced to at most 4,000 px, with a scan over it.

    The heat map of a class has full colour for a probability of 1, and that of a value for two standard deviations from
    the mean of the training images. Without a class, each place has the colour of the most probable one, or of the label
    above its threshold. Places further out than the outermost windows look like those.

    Args:
        picture: The upright RGB picture, whole or reduced.
        scan: Its scan.
        picture_size: (height, width) of the whole picture, in pixels.
        spec: The model's description.
    """
    scale = min(1.0, LONGEST_OVERLAY_PX / max(picture.size))
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    reduced = picture.resize(size, Image.Resampling.LANCZOS, reducing_gap=2.0)
    down = (np.arange(size[1]) + 0.5) / size[1] * picture_size[0]
    across = (np.arange(size[0]) + 0.5) / size[0] * picture_size[1]
    if scan.chosen is not None or spec.target is not None:
        evidence = scan.shown if spec.target is None else to_deviations(spec.target, scan.shown) / NUM_DEVIATIONS
        return Image.fromarray(overlay_map(np.asarray(reduced), spread(evidence, scan, down, across), strongest=1.0))
    opacity = WEAKEST + (STRONGEST - WEAKEST) * scan.strongest
    if spec.thresholds:
        opacity = np.where(scan.strongest >= np.array(spec.thresholds, np.float32)[scan.labels], opacity, 0)
    mask = Image.fromarray((255 * spread(opacity, scan, down, across)).round().astype(np.uint8))
    palette = np.array([choose_colour(place) for place in range(len(spec.class_names))], np.uint8)
    nearest = scan.labels[np.ix_(_find_nearest(scan.down, down), _find_nearest(scan.across, across))]
    return Image.composite(Image.fromarray(palette[nearest]), reduced, mask)


def spread(
    values: NDArray[np.floating], scan: Scan, down: NDArray[np.float64], across: NDArray[np.float64]
) -> NDArray[np.float32]:
    """Return values at the middles of windows, float (rows, columns), between them: float32 (len(down), len(across)).

    Args:
        values: One for each place of `scan`.
        scan: Says where they are.
        down: Rows that are asked for, in pixels of the picture.
        across: Columns that are asked for.
    """
    tall = _interpolate(values.astype(np.float32), scan.down, down)
    return np.ascontiguousarray(_interpolate(tall.T, scan.across, across).T)


def _interpolate(
    rows: NDArray[np.float32], places: NDArray[np.float64], asked: NDArray[np.float64]
) -> NDArray[np.float32]:
    """Return rows between rows (n, m) that are at some places: float32 (len(asked), m)."""
    position = np.interp(asked, places, np.arange(len(places)))
    low = np.minimum(position.astype(int), max(0, len(places) - 2))
    share = (position - low).astype(np.float32)[:, np.newaxis]
    found: NDArray[np.float32] = rows[low] * (1 - share) + rows[np.minimum(low + 1, len(rows) - 1)] * share
    return found


def _find_nearest(places: NDArray[np.float64], asked: NDArray[np.float64]) -> NDArray[np.intp]:
    return np.rint(np.interp(asked, places, np.arange(len(places)))).astype(np.intp)


def write_scan_caption(scan: Scan, spec: BundleSpec, chosen: int | None) -> Caption:
    """Return what a scan shows, in lines."""
    row, column = np.unravel_index(int(scan.shown.argmax()), scan.shown.shape)
    left, top, *_ = scan.find_window(int(row), int(column))
    strongest = float(scan.shown.max())
    if spec.target is not None:
        low, middle = float(scan.shown.min()), float(np.median(scan.shown))
        line = CaptionLine(spec.target.name, f"{format_value(low)} to {format_value(strongest)}", is_bright=True)
        return [line, CaptionLine("median", format_value(middle))]
    if chosen is not None:
        return [
            CaptionLine(spec.class_names[chosen], format_percent(strongest), strongest, is_bright=True),
            CaptionLine(f"most probable at {left:,}, {top:,}"),
        ]
    counts = count_places(scan, spec)
    ranked = sorted(counts.items(), key=lambda each: -each[1])[:MAX_CLASSES]
    names = {name: place for place, name in enumerate(spec.class_names)}
    return [
        CaptionLine(
            name, format_percent(share), share, is_bright=rank == 0, has_dot=True, colour=choose_colour(names[name])
        )
        for rank, (name, share) in enumerate(ranked)
    ] or [CaptionLine("nothing found", is_bright=True)]


def count_places(scan: Scan, spec: BundleSpec) -> dict[str, float]:
    """Return the share of the places, 0..1, at which each class is the most probable, or each label above its threshold."""
    if not find_task(spec.task).has_names:
        return {}
    labels = scan.labels
    if spec.thresholds:
        labels = labels[scan.strongest >= np.array(spec.thresholds, np.float32)[labels]]
    numbers = np.bincount(labels.reshape(-1), minlength=len(spec.class_names))
    return {
        name: float(number) / scan.labels.size for name, number in zip(spec.class_names, numbers, strict=True) if number
    }
