"""Explain the images of a data set by their feature maps, without Keras where the model runs without it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tlkit.data.geometry import compute_frame
from tlkit.data.image_file import ImageFile
from tlkit.data.manifest import ImageRecord
from tlkit.data.views import PICTURE_ITSELF
from tlkit.explain.numpy_head import NumpyHead
from tlkit.features.extract import Loaded, run_batches
from tlkit.inference.scoring import reasons, render_views
from tlkit.models.predictor import Predictor
from tlkit.reports.console import Console

FINE_MAP_CELLS = 96
"""Cells along an edge of a map that is placed on its picture, so that the edge of what the network saw is sharp."""


@dataclass(frozen=True, eq=False)
class ExplainedRecords:
    """Evidence for one answer of each image.

    Attributes:
        records: The images that could be read, one for each row of the others.
        maps: float32 (n, h, w), over the network's input.
        targets: The answer that is explained, int64 (n,).
    """

    records: tuple[ImageRecord, ...]
    maps: NDArray[np.float32]
    targets: NDArray[np.int64]


def explain_records(
    predictor: Predictor, head: NumpyHead, records: Sequence[ImageRecord], targets: NDArray[np.int64], console: Console
) -> ExplainedRecords:
    """Explain one answer of each image, by the method `auto`.

    Each image goes through the network once more. Memory holds the results, and the feature maps of a few batches.

    Args:
        predictor: The model.
        head: Its head.
        records: The images; each is shown as it is, whatever its split.
        targets: The class or label of each, 0 for a value: int64 (n,).
        console: Shows progress.

    Raises:
        BundleError: The weights of the head are not those of such a model.
        NumericsError: The model has no feature map.
    """
    spec = predictor.spec

    def load(place: int) -> Loaded[None]:
        with reasons():
            record = records[place]
            image = ImageFile.read(record.path, spec.grey, expected_sha256=record.sha256)
            return Loaded([(pixels, targets[place]) for pixels in render_views(image, spec, PICTURE_ITSELF)])

    def explain(pixels: NDArray[np.uint8], chosen: NDArray[np.int64]) -> NDArray[np.float32]:
        return head.explain(predictor.compute_maps(pixels), chosen)

    found: list[int] = []
    maps: list[NDArray[np.float32]] = []
    with console.progress("Explaining", len(records)) as advance:
        for results in run_batches(
            range(len(records)), load, explain, batch_size=predictor.batch_size, num_parallel=predictor.num_parallel
        ):
            for result in results:
                if result.failure is None:
                    found.append(result.item)
                    maps += result.outputs
            advance(len(results))
    stacked = np.stack(maps) if maps else np.zeros((0, 1, 1), np.float32)
    return ExplainedRecords(tuple(records[place] for place in found), stacked, targets[found])


def place_map(
    evidence: NDArray[np.floating[Any]], *, picture_size: tuple[int, int], image_size: tuple[int, int], fit: str
) -> NDArray[np.float32]:
    """Return a map of the network's input as a map of the whole upright picture.

    Args:
        evidence: float (h, w), over the input.
        picture_size: (height, width) of the upright picture, in pixels.
        image_size: (height, width) of the input, in pixels.
        fit: How the picture was brought to that size.

    Returns:
        float32 (96, 96) over the picture, or the map itself where both areas are the same. What the network did not see
        is NaN.
    """
    left, top, right, bottom = compute_frame(picture_size, image_size, fit)
    height, width = picture_size
    if (left, top, right, bottom) == (0.0, 0.0, float(width), float(height)):
        return evidence.astype(np.float32)
    middles = (np.arange(FINE_MAP_CELLS) + 0.5) / FINE_MAP_CELLS
    down, across = (middles * height - top) / (bottom - top), (middles * width - left) / (right - left)
    placed = _interpolate(_interpolate(evidence.astype(np.float32), down).T, across).T
    placed[(down < 0) | (down > 1)] = np.nan
    placed[:, (across < 0) | (across > 1)] = np.nan
    return placed


def _interpolate(rows: NDArray[np.float32], fractions: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return rows between rows (n, m) at places 0..1 along the first axis: float32 (k, m)."""
    places = np.clip(fractions * len(rows) - 0.5, 0, len(rows) - 1)
    low = np.minimum(places.astype(int), max(0, len(rows) - 2))
    share = (places - low).astype(np.float32)[:, np.newaxis]
    high = np.minimum(low + 1, len(rows) - 1)
    between: NDArray[np.float32] = rows[low] * (1 - share) + rows[high] * share
    return between
