"""Give a trained model the images of a manifest or of a folder, always by the same way.

Training's last validation, `tlkit evaluate` and `tlkit predict` all come through here, with the same model run by the
same engine in batches of the same size, so that their numbers for the same image agree to the last bit.
`tlkit evaluate` and `tlkit predict` can do so with several views of each image, and average what the model says of them.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from tlkit.data.box_views import recover_box
from tlkit.data.images import CHANGED, UnusableImage, load_image, read_content
from tlkit.data.manifest import ImageRecord, SkippedFile
from tlkit.data.views import PICTURE_ITSELF, View, ViewPlan
from tlkit.errors import DataError
from tlkit.features.extract import Loaded, LoadFailure, run_batches
from tlkit.models.answers import to_values
from tlkit.models.predictor import Predictor
from tlkit.models.spec import BundleSpec
from tlkit.outputs import Box

Item = TypeVar("Item")


@dataclass(frozen=True, eq=False)
class Scores:
    """What a model says about images.

    Attributes:
        records: The images, one for each row of the others.
        answers: float32 (n, num_answers): probabilities, 0..1; float64 (n, 1) where values are learnt, in their unit.
        boxes: In pixels of the upright pictures; None if the model has learnt none.
        failures: Images that have become unusable since they were checked.
        distances: float32 (n,), 0..1: how unlike the training images each is; None if the model does not measure it.
    """

    records: tuple[ImageRecord, ...]
    answers: NDArray[np.floating[Any]]
    boxes: tuple[Box, ...] | None
    failures: tuple[SkippedFile, ...]
    distances: NDArray[np.float32] | None = None

    def take(self, places: Sequence[int]) -> Scores:
        """Return the scores of some of the images, by their places."""
        return Scores(
            tuple(self.records[place] for place in places),
            self.answers[list(places)],
            None if self.boxes is None else tuple(self.boxes[place] for place in places),
            (),
            None if self.distances is None else self.distances[list(places)],
        )

    def pair_boxes(self) -> tuple[list[ImageRecord], list[Box], list[Box]]:
        """Return the images that have a true box, their true boxes, and the predicted ones."""
        if self.boxes is None:
            return [], [], []
        pairs = [(record, box) for record, box in zip(self.records, self.boxes, strict=True) if record.box is not None]
        return (
            [record for record, _ in pairs],
            [record.box for record, _ in pairs if record.box],
            [box for _, box in pairs],
        )


def score_records(
    classifier: Predictor,
    records: Sequence[ImageRecord],
    *,
    views: ViewPlan = PICTURE_ITSELF,
    advance: Callable[[int], None] | None = None,
) -> Scores:
    """Compute what the model says of images, reading each file anew; metadata are those of the records.

    Args:
        classifier: The model.
        records: The images, whose paths can be opened from here.
        views: The views whose answers are averaged: see `answer_items`.
        advance: Called with the number of images done since the last call.
    """
    spec = classifier.spec
    scored: list[ImageRecord] = []
    failures: list[SkippedFile] = []
    rows = [np.empty((0, spec.row_width), np.float32)]

    def load(record: ImageRecord, index: int) -> Loaded:
        pixels = load_pixels(record.path, spec, expected_sha256=record.sha256, view=views.draw(record.sha256, index))
        return pixels, spec.metadata.encode([record.metadata])[0]

    for record, row in answer_items(classifier, records, load, num_views=views.num_views):
        if isinstance(row, LoadFailure):
            failures.append(SkippedFile(record.path, row.reason))
        else:
            scored.append(record)
            rows.append(row[np.newaxis])
        if advance:
            advance(1)
    said = split_rows(np.concatenate(rows), spec)
    boxes = None
    if said.boxes is not None:
        sizes = [(record.height, record.width) for record in scored]
        boxes = tuple(map(recover, said.boxes, sizes, [spec] * len(sizes)))
    return Scores(tuple(scored), said.answers, boxes, tuple(failures), said.distances)


def answer_items(
    classifier: Predictor, items: Iterable[Item], load: Callable[[Item, int], Loaded], *, num_views: int
) -> Iterator[tuple[Item, NDArray[np.float32] | LoadFailure]]:
    """Yield each item with the model's row for it, in order; or with the reason why it cannot be loaded.

    A row of several views holds the mean of their answers: of probabilities, or of values on the scale on which they
    were learnt. Box and distance are those of view 0, the picture itself; with one view the row is the model's own, to
    the bit. Every view counts as an image in a batch, so that views cost what as many pictures would.

    Args:
        classifier: The model.
        items: What to answer. Any number, also none.
        load: Given an item and the number of a view, returns pixels and metadata, or raises `LoadFailure`.
        num_views: Views of each item, 1 or more.
    """
    wanted = ((number, item, index) for number, item in enumerate(items) for index in range(num_views))
    found: list[NDArray[np.float32] | LoadFailure] = []
    for batch in run_batches(
        wanted,
        lambda view: load(view[1], view[2]),
        classifier.predict,
        batch_size=classifier.batch_size,
        num_parallel=classifier.num_parallel,
    ):
        told: list[tuple[tuple[int, Item, int], NDArray[np.float32] | LoadFailure]] = [
            *zip(batch.items, batch.outputs, strict=True),
            *((view, LoadFailure(reason)) for view, reason in batch.failures),
        ]
        for (_, item, index), row in sorted(told, key=lambda pair: (pair[0][0], pair[0][2])):
            found.append(row)
            if index == num_views - 1:
                yield item, _average(found, classifier.spec)
                found = []


def _average(rows: Sequence[NDArray[np.float32] | LoadFailure], spec: BundleSpec) -> NDArray[np.float32] | LoadFailure:
    """Return the row of view 0 with the mean answer of all views, or the first view's failure."""
    good = []
    for row in rows:
        if isinstance(row, LoadFailure):
            return row
        good.append(row)
    if len(good) == 1:
        return good[0]
    num_answers = spec.outputs.num_answers
    answers = np.stack([row[:num_answers] for row in good])
    return np.concatenate([answers.mean(axis=0), good[0][num_answers:]])


@dataclass(frozen=True, eq=False)
class Said:
    """A model's rows, taken apart.

    Attributes:
        answers: As in Scores.
        boxes: float32 (n, 4): cx, cy, w, h in fractions of the input; None if the model has learnt none.
        distances: As in Scores.
    """

    answers: NDArray[np.floating[Any]]
    boxes: NDArray[np.float32] | None
    distances: NDArray[np.float32] | None


def split_rows(rows: NDArray[np.float32], spec: BundleSpec) -> Said:
    """Take apart what `Predictor.predict` says: float32 (n, row_width)."""
    num_answers = spec.outputs.num_answers
    return Said(
        answers=_express_answers(rows[:, :num_answers], spec),
        boxes=rows[:, num_answers : num_answers + 4] if spec.has_box else None,
        distances=rows[:, -1] if spec.measures_distance else None,
    )


def _express_answers(answers: NDArray[np.float32], spec: BundleSpec) -> NDArray[np.floating[Any]]:
    """Return a model's answers as people want them: probabilities as they are, values in their own unit."""
    return answers if spec.target is None else to_values(spec.target, answers)


def recover(fractions: NDArray[np.float32], picture_size: tuple[int, int], spec: BundleSpec) -> Box:
    """Return a predicted box in pixels of the upright picture, whose size is (height, width)."""
    return recover_box(fractions, picture_size=picture_size, image_size=spec.image_size, fit=spec.fit)


def load_pixels(
    path: Path, spec: BundleSpec, *, expected_sha256: str | None = None, view: View | None = None
) -> NDArray[np.uint8]:
    """Read an image file as the model wants it.

    Args:
        path: The file.
        spec: The model's, for image size and fit.
        expected_sha256: Hash that the file's bytes had when they were checked, if they were.
        view: The augmentation to show it in; None for the picture itself.

    Returns:
        uint8 (height, width, 3), RGB, 0..255.

    Raises:
        LoadFailure: The file gives no picture, or other bytes than expected.
    """
    return _show(_read(path, expected_sha256), spec, view)


def load_view(path: Path, spec: BundleSpec, views: ViewPlan, index: int) -> NDArray[np.uint8]:
    """Read an image file in the view number `index`, which is drawn by its content, as the model wants it.

    Returns:
        As `load_pixels`, for index 0 the very same.

    Raises:
        LoadFailure: The file gives no picture.
    """
    content = _read(path)
    return _show(content, spec, views.draw(sha256(content).hexdigest(), index) if index else None)


def _read(path: Path, expected_sha256: str | None = None) -> bytes:
    with reasons():
        content = read_content(path)
    if expected_sha256 is not None and sha256(content).hexdigest() != expected_sha256:
        raise LoadFailure(CHANGED)
    return content


def _show(content: bytes, spec: BundleSpec, view: View | None) -> NDArray[np.uint8]:
    with reasons():
        return load_image(content, image_size=spec.image_size, fit=spec.fit, view=view, grey=spec.grey)


@contextlib.contextmanager
def reasons() -> Iterator[None]:
    """Turn what makes a file unusable into what `run_batches` expects."""
    try:
        yield
    except UnusableImage as unusable:
        raise LoadFailure(unusable.reason) from unusable


def count_files(number: int) -> str:
    """Return "1 file", "2 files" and so on."""
    return f"{number:,} file{'' if number == 1 else 's'}"


def load_record(record: ImageRecord, spec: BundleSpec, view: View | None = None) -> NDArray[np.uint8]:
    """Read an image of a manifest that a run cannot do without.

    Returns:
        uint8 (height, width, 3), RGB, 0..255.

    Raises:
        DataError: The file is no longer what it was when the manifest was made.
    """
    try:
        return load_pixels(record.path, spec, expected_sha256=record.sha256, view=view)
    except LoadFailure as failure:
        raise DataError(
            f"{record.path}: {failure.reason}.",
            expected="the images to stay as they were when the run began",
            fix="put the file back and go on with --resume; nothing that was trained is lost.",
        ) from failure
