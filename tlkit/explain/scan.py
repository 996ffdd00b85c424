"""Which class a model sees at each place of a large picture: windows cut out one by one, or all in one pass."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tlkit.data.windows import WindowGrid
from tlkit.features.extract import LoadFailure
from tlkit.inference.scoring import split_rows
from tlkit.inference.tiles import WindowPlan, compute_windows
from tlkit.models.predictor import Predictor

if TYPE_CHECKING:
    from tlkit.explain.one_pass import OnePass
    from tlkit.models.classifier import Classifier

NUM_COMPARED = 64
"""Windows that are cut out to compare one pass with them."""


@dataclass(frozen=True, eq=False)
class Scan:
    """The answers of a model at the places of a picture.

    Attributes:
        edge_px: Edge of the window at each place, in pixels of the picture.
        down: Middle of each row of windows, float64 (rows,), in pixels of the picture.
        across: Middle of each column of windows, float64 (columns,).
        labels: The most probable class or label, int32 (rows, columns); 0 for a value.
        strongest: Its probability, 0..1, or the value, float32 (rows, columns).
        chosen: The probability of the class that is asked for, float32 (rows, columns); None if none is.
    """

    edge_px: float
    down: NDArray[np.float64]
    across: NDArray[np.float64]
    labels: NDArray[np.int32]
    strongest: NDArray[np.float32]
    chosen: NDArray[np.float32] | None

    @property
    def shown(self) -> NDArray[np.float32]:
        """What is asked for at each place."""
        return self.strongest if self.chosen is None else self.chosen

    def find_window(self, row: int, column: int) -> tuple[int, int, int, int]:
        """Return left, top, right, bottom of the window at a place, in pixels of the picture."""
        half = self.edge_px / 2
        middle = self.across[column], self.down[row]
        left, top, right, bottom = middle[0] - half, middle[1] - half, middle[0] + half, middle[1] + half
        return round(left), round(top), round(right), round(bottom)


@dataclass(frozen=True)
class Difference:
    """How answers of one pass differ from those for windows that are cut out.

    Attributes:
        num_windows: Windows that are compared, spread evenly.
        same: In how many of them the most probable class is the same, 0..1; 1 for a value.
        mean: The mean over the windows of the largest difference of an answer.
    """

    num_windows: int
    same: float
    mean: float


class _Places:
    """Collects answers row by row, in flat memory however many classes there are."""

    def __init__(self, shape: tuple[int, int], chosen: int | None) -> None:
        self.labels = np.zeros(shape, np.int32)
        self.strongest = np.zeros(shape, np.float32)
        self.chosen = None if chosen is None else np.zeros(shape, np.float32)
        self._column = chosen

    def put(self, start: int, answers: NDArray[np.floating[Any]]) -> None:
        """Add answers, float (n, num_answers), of the places from number `start` on."""
        places = slice(start, start + len(answers))
        labels = answers.argmax(axis=1)
        self.labels.reshape(-1)[places] = labels
        self.strongest.reshape(-1)[places] = answers[np.arange(len(answers)), labels]
        if self.chosen is not None:
            self.chosen.reshape(-1)[places] = answers[:, self._column]


def scan_windows(
    predictor: Predictor,
    picture: Image.Image,
    grid: WindowGrid,
    picture_size: tuple[int, int],
    *,
    chosen: int | None,
    advance: Callable[[int], None],
) -> Scan:
    """Scan a picture by giving each window to the model by itself.

    Args:
        predictor: The model; it takes no metadata.
        picture: The upright RGB picture, whole or reduced.
        grid: Its windows.
        picture_size: (height, width) of the whole picture, in pixels.
        chosen: Class that is asked for, if any.
        advance: Called with the number of windows that are done.
    """
    places = _Places((len(grid.tops), len(grid.lefts)), chosen)
    for number, (_, row) in enumerate(compute_windows(predictor, picture, grid, picture_size)):
        assert not isinstance(row, LoadFailure), "the picture is decoded"
        places.put(number, split_rows(row[np.newaxis], predictor.spec).answers)
        advance(1)
    down, across = (np.array(starts) + grid.edge_px / 2 for starts in (grid.tops, grid.lefts))
    return Scan(grid.edge_px, down, across, places.labels, places.strongest, places.chosen)


def scan_in_one_pass(
    classifier: Classifier,
    one_pass: OnePass,
    picture: Image.Image,
    plan: WindowPlan,
    picture_size: tuple[int, int],
    *,
    chosen: int | None,
    advance: Callable[[int], None],
) -> tuple[Scan, Difference]:
    """Scan a picture by the map of the whole, and compare some places with windows that are cut out.

    Args:
        classifier: The model.
        one_pass: The same, for pictures of any size.
        picture: As for `scan_windows`.
        plan: How large windows are.
        picture_size: As for `scan_windows`.
        chosen: As for `scan_windows`.
        advance: As for `scan_windows`.
    """
    from tlkit.explain.one_pass import ScaledPicture

    spec = classifier.spec
    edge_px = min(plan.window_px, *picture_size)
    scale = spec.image_size[0] / edge_px
    height, width = (max(spec.image_size[0], round(length * scale)) for length in picture_size)
    scaled = ScaledPicture(picture, height, width)
    shape = one_pass.count_places(scaled)
    places = _Places(shape, chosen)
    sample = np.unique(np.linspace(0, shape[0] * shape[1] - 1, NUM_COMPARED).round().astype(int))
    sampled, num_done = [], 0
    for answers in one_pass.scan(scaled):
        rows = split_rows(answers.reshape(-1, answers.shape[-1]), spec).answers
        places.put(num_done, rows)
        here = sample[(sample >= num_done) & (sample < num_done + len(rows))] - num_done
        sampled.append(rows[here])
        num_done += len(rows)
        advance(len(rows))
    starts = [(int(place) // shape[1] * one_pass.step_px, int(place) % shape[1] * one_pass.step_px) for place in sample]
    cut = np.stack([scaled.read(top, left, *spec.image_size) for top, left in starts])
    difference = _compare(np.concatenate(sampled), split_rows(_predict(classifier, cut), spec).answers)
    down, across = (
        (np.arange(number) * one_pass.step_px + spec.image_size[0] / 2) / length * whole
        for number, length, whole in zip(shape, (height, width), picture_size, strict=True)
    )
    return Scan(edge_px, down, across, places.labels, places.strongest, places.chosen), difference


def _predict(classifier: Classifier, windows: NDArray[np.uint8]) -> NDArray[np.float32]:
    return np.concatenate(list(_predict_batches(classifier, windows)))


def _predict_batches(classifier: Classifier, windows: NDArray[np.uint8]) -> Iterator[NDArray[np.float32]]:
    for start in range(0, len(windows), classifier.batch_size):
        yield classifier.predict(windows[start : start + classifier.batch_size])


def _compare(answers: NDArray[np.floating[Any]], expected: NDArray[np.floating[Any]]) -> Difference:
    same = np.mean(answers.argmax(axis=1) == expected.argmax(axis=1))
    return Difference(len(answers), float(same), float(np.abs(answers - expected).max(axis=1).mean()))
