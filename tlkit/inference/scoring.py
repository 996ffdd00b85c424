"""Run a trained model on images, always in the same way.

The final validation of a training, `tlkit evaluate` and `tlkit predict` use this with the same engine and batch size,
so their results for an image are bitwise equal. `tlkit evaluate` and `tlkit predict` can average over several views of
each image.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tlkit.data.box_views import recover_box, recover_objects
from tlkit.data.image_file import Decoded, ImageFile, SourceImage
from tlkit.data.images import UnusableImage
from tlkit.data.manifest import ImageRecord, SkippedFile
from tlkit.data.views import PICTURE_ITSELF, View, ViewPlan
from tlkit.detection.decoding import MAX_DETECTIONS, NUM_DETECTION_VALUES
from tlkit.errors import DataError
from tlkit.features.extract import Loaded, LoadFailure
from tlkit.inference.answering import answer_items
from tlkit.inference.evidence import EvidenceCollector, Explain
from tlkit.inference.picture_masks import recover_picture_mask, stack_masks
from tlkit.inference.rows import Method
from tlkit.models.predictor import Predictor, to_values
from tlkit.models.spec import BundleSpec
from tlkit.outputs import Box
from tlkit.tasks import find_task

MAX_FLOAT16 = 65504.0
"""The largest feature that is kept."""
MAX_EXPLAINED = 2000


@dataclass(frozen=True, eq=False)
class Scores:
    """A model's predictions for images.

    Attributes:
        records: The images, one per row.
        answers: float32 (n, num_answers) probabilities, 0..1; float64 (n, 1) values in their own unit; or objects,
            float32 (n, 100, 6): left, top, right, bottom in pixels of the upright image, score and class, the best
            first, zeros where there are fewer; or masks of them, uint8 (n, PLACES, PLACES): see `read_mask`.
        boxes: In pixels of the upright images; None if the model predicts none.
        failures: Images that have become unusable since they were checked.
        distances: Distance from the training images, float32 (n,), 0..1; None if the model does not measure it.
        features: Pooled features, float16 (n, channels), if they were asked for.
        explained: The output that the evidence speaks for, int64 (n,), if evidence was asked for.
        evidence: Maps of evidence, float32 (n, h, w), over the network's input, if they were asked for.
    """

    records: tuple[ImageRecord, ...]
    answers: NDArray[Any]
    boxes: tuple[Box, ...] | None
    failures: tuple[SkippedFile, ...]
    distances: NDArray[np.float32] | None = None
    features: NDArray[np.float16] | None = None
    explained: NDArray[np.int64] | None = None
    evidence: NDArray[np.float32] | None = None

    def take(self, places: Sequence[int]) -> Scores:
        """Return the scores of some of the images, by index."""

        def pick(values: NDArray[Any] | None) -> Any:
            return None if values is None else values[list(places)]

        return Scores(
            tuple(self.records[place] for place in places),
            pick(self.answers),
            None if self.boxes is None else tuple(self.boxes[place] for place in places),
            (),
            *map(pick, (self.distances, self.features, self.explained, self.evidence)),
        )

    def pair_boxes(self) -> tuple[list[ImageRecord], list[Box], list[Box]]:
        """Return the images with a true box, their true boxes, and the predicted boxes."""
        if self.boxes is None:
            return [], [], []
        pairs = [(record, box) for record, box in zip(self.records, self.boxes, strict=True) if record.box is not None]
        return (
            [record for record, _ in pairs],
            [record.box for record, _ in pairs if record.box],
            [box for _, box in pairs],
        )


@dataclass(frozen=True, eq=False)
class RecordLoader:
    """Loads the images of a manifest as input of a model; it can be sent to other processes if it alters nothing.

    Attributes:
        spec: Description of the model.
        views: The views of each image.
        alter: Changes the network's input, uint8 (height, width, 3), of each view.
    """

    spec: BundleSpec
    views: ViewPlan
    alter: Callable[[NDArray[np.uint8]], NDArray[np.uint8]] | None = None

    def __call__(self, record: ImageRecord) -> Loaded[None]:
        """Return pixels and metadata of each view; raises `LoadFailure` where the image cannot be used."""
        with reasons():
            image = ImageFile.read(record.path, self.spec.grey, expected_sha256=record.sha256)
            metadata = self.spec.metadata.encode([record.metadata])[0]
            rendered = render_views(image, self.spec, self.views)
            return Loaded([(self.alter(pixels) if self.alter else pixels, metadata) for pixels in rendered])


def score_records(
    classifier: Predictor,
    records: Sequence[ImageRecord],
    *,
    views: ViewPlan = PICTURE_ITSELF,
    with_features: bool = False,
    alter: Callable[[NDArray[np.uint8]], NDArray[np.uint8]] | None = None,
    advance: Callable[[int], None] | None = None,
    explain: Explain | None = None,
) -> Scores:
    """Read images and compute the model's predictions; metadata come from the records.

    Args:
        classifier: The model.
        records: The images.
        views: The views to average over; see `answer_items`.
        with_features: Whether to return the pooled features, too, from the same pass of the network.
        alter: Changes the network's input, uint8 (height, width, 3), of each view.
        advance: Called with the number of images since the last call.
        explain: Gives the evidence for an answer of each image, from the same pass of the network; see `choose_answer`.
            There is none with several views, or of more than 2,000 images, of which a report shows few.
    """
    spec, width = classifier.spec, classifier.spec.row_width
    scored: list[ImageRecord] = []
    failures: list[SkippedFile] = []
    rows = [np.empty((0, spec.row_width), np.float32)]
    features: list[NDArray[np.float16]] = []
    method: Method = "predict_with_features" if with_features else "predict"
    collector = None
    has_objects, has_masks = find_task(spec.task).has_objects, find_task(spec.task).has_masks
    masks, num_answers = list[NDArray[np.uint8]](), spec.outputs.num_row_values
    if explain and not has_objects and classifier.map_shape and views.num_views == 1 and len(records) <= MAX_EXPLAINED:
        collector = EvidenceCollector(spec, classifier.map_shape, explain)
        method = "predict_with_maps"
    num_values = math.prod(classifier.map_shape or ()) if collector else 0
    load = RecordLoader(spec, views, alter)
    for record, row, _ in answer_items(
        classifier, records, load, num_views=views.num_views, method=method, locate=_locate
    ):
        if isinstance(row, LoadFailure):
            failures.append(SkippedFile(record.path, row.reason))
        else:
            scored.append(record)
            end = len(row) - num_values
            if has_masks:  # probabilities of all images would not fit into memory
                masks.append(recover_picture_mask(row[:num_answers], (record.height, record.width), spec))
            rows.append(row[np.newaxis, num_answers if has_masks else 0 : width])
            if with_features:
                features.append(np.clip(row[width:end], -MAX_FLOAT16, MAX_FLOAT16).astype(np.float16))
            if collector:
                collector.add(record, row[:width], row[end:])
        if advance:
            advance(1)
    if has_masks:
        distances = np.concatenate(rows[1:])[:, 0] if masks and spec.measures_distance else None
        pooled = np.stack(features) if features else None
        return Scores(tuple(scored), stack_masks(masks), None, tuple(failures), distances, pooled)
    outputs = split_rows(np.concatenate(rows), spec)
    sizes = [(record.height, record.width) for record in scored]
    boxes = None
    if outputs.boxes is not None:
        boxes = tuple(map(recover, outputs.boxes, sizes, [spec] * len(sizes)))
    return Scores(
        tuple(scored),
        recover_detections(outputs.answers, sizes, spec) if has_objects else outputs.answers,
        boxes,
        tuple(failures),
        outputs.distances,
        np.stack(features) if features else None,
        *(collector.finish() if collector else (None, None)),
    )


def _locate(record: ImageRecord) -> tuple[Path, str | None]:
    return record.path, record.sha256


def render_views(image: SourceImage, spec: BundleSpec, views: ViewPlan) -> list[NDArray[np.uint8]]:
    """Return each view of an image as model input: uint8 (image_size, image_size, 3), RGB, 0..255.

    Raises:
        UnusableImage: It cannot be decoded.
    """
    drawn = [views.draw(image.sha256, index) if index else None for index in range(views.num_views)]
    return [_render(image, spec, view) for view in drawn]


@dataclass(frozen=True, eq=False)
class SplitOutputs:
    """The parts of a model's rows.

    Attributes:
        answers: As in Scores; but objects float32 (n, 600), with edges as fractions of the input.
        boxes: float32 (n, 4): cx, cy, w, h as fractions of the input; None if the model predicts none.
        distances: As in Scores.
    """

    answers: NDArray[np.floating[Any]]
    boxes: NDArray[np.float32] | None
    distances: NDArray[np.float32] | None


def split_rows(rows: NDArray[np.float32], spec: BundleSpec) -> SplitOutputs:
    """Split rows of `Predictor.predict`, float32 (n, row_width), into their parts."""
    num_answers = spec.outputs.num_row_values
    return SplitOutputs(
        answers=_express_answers(rows[:, :num_answers], spec),
        boxes=rows[:, num_answers : num_answers + 4] if spec.has_box else None,
        distances=rows[:, -1] if spec.measures_distance else None,
    )


def _express_answers(answers: NDArray[np.float32], spec: BundleSpec) -> NDArray[np.floating[Any]]:
    """Return probabilities as they are, and values in their own unit."""
    return answers if spec.target is None else to_values(spec.target, answers)


def recover(fractions: NDArray[np.float32], picture_size: tuple[int, int], spec: BundleSpec) -> Box:
    """Return a predicted box in pixels of the upright image, whose size is (height, width)."""
    return recover_box(fractions, picture_size=picture_size, image_size=spec.image_size, fit=spec.fit)


def recover_detections(
    rows: NDArray[np.floating[Any]], picture_sizes: Sequence[tuple[int, int]], spec: BundleSpec
) -> NDArray[np.float32]:
    """Return detected objects in pixels of the upright images, clipped to them: float32 (n, 100, 6), as in `Scores`.

    Args:
        rows: From `split_rows`, float32 (n, 600).
        picture_sizes: (height, width) of each upright image.
        spec: The model's description.
    """
    fit, image_size = spec.fit, spec.image_size
    detections = [
        recover_objects(row, picture_size=size, image_size=image_size, fit=fit)
        for row, size in zip(rows.reshape(len(rows), -1, NUM_DETECTION_VALUES), picture_sizes, strict=True)
    ]
    return np.stack(detections) if detections else np.zeros((0, MAX_DETECTIONS, NUM_DETECTION_VALUES), np.float32)


def _render(image: SourceImage, spec: BundleSpec, view: View | None) -> NDArray[np.uint8]:
    return image.render(image_size=spec.image_size, fit=spec.fit, view=view)


@contextlib.contextmanager
def reasons() -> Iterator[None]:
    """Convert `UnusableImage` to `LoadFailure`."""
    try:
        yield
    except UnusableImage as unusable:
        raise LoadFailure(unusable.reason) from unusable


def count_files(number: int) -> str:
    """Return "1 file", "2 files" and so on."""
    return f"{number:,} file{'' if number == 1 else 's'}"


def read_usable(records: Iterable[ImageRecord], spec: BundleSpec) -> Iterator[tuple[ImageRecord, NDArray[np.uint8]]]:
    """Yield the images that are still as they were when their manifest was made, each with its record, in order.

    Each image is uint8 (height, width, 3), RGB, 0..255, of the model's size; it is read when it is asked for.
    """
    for record in records:
        try:
            image = load_record(record, spec)
        except DataError:
            continue
        yield record, image


def load_record(
    record: ImageRecord, spec: BundleSpec, view: View | None = None, decoded: Decoded | None = None
) -> NDArray[np.uint8]:
    """Read a required image of a manifest; see `load_record_views`."""
    return load_record_views(record, spec, (view,), decoded)[0]


def load_record_views(
    record: ImageRecord, spec: BundleSpec, views: Sequence[View | None], decoded: Decoded | None = None
) -> list[NDArray[np.uint8]]:
    """Read a required image of a manifest, and render some views.

    Args:
        record: The image.
        spec: Description of the model.
        views: The views; None is the image itself.
        decoded: What has been decoded of its file before; what is decoded now is added.

    Returns:
        Each uint8 (image_size, image_size, 3), RGB, 0..255.

    Raises:
        DataError: The file has changed since the manifest was made.
    """
    try:
        image = ImageFile.read(record.path, spec.grey, expected_sha256=record.sha256, decoded=decoded)
        return [_render(image, spec, view) for view in views]
    except UnusableImage as unusable:
        raise DataError(
            f"{record.path}: {unusable.reason}.",
            expected="images unchanged since the run began",
            fix="restore the file and continue with --resume; no training is lost.",
        ) from unusable
