"""Predict image files one by one: read, compute, describe."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tlkit.data.image_file import ImageFile
from tlkit.data.images import UnusableImage
from tlkit.data.metadata_source import MetadataSource
from tlkit.data.sources import OUTPUT_MARKER
from tlkit.data.views import PICTURE_ITSELF, ViewPlan
from tlkit.features.extract import Loaded, LoadFailure
from tlkit.inference.answering import answer_items
from tlkit.inference.mask_files import MaskFolder, paint_mask
from tlkit.inference.picture_masks import recover_picture_mask
from tlkit.inference.predictions import make_prediction, write_caption
from tlkit.inference.scoring import (
    count_files,
    reasons,
    recover,
    recover_detections,
    render_views,
    split_rows,
)
from tlkit.models.predictor import Predictor
from tlkit.models.spec import BundleSpec
from tlkit.outputs import Box
from tlkit.places.copies import show_path
from tlkit.reports.console import Console
from tlkit.reports.output_folder import make_output_folder
from tlkit.reports.sorting import SortedFolders
from tlkit.tasks import find_task
from tlkit.tasks.found_objects import BACKGROUND
from tlkit.tasks.predictions import UNCERTAIN, UNKNOWN, Prediction

if TYPE_CHECKING:
    from tlkit.inference.previews import Previews
    from tlkit.reports.frames import Mark
    from tlkit.reports.overlays import OverlayFolder


OVERLAYS = "overlays"
SORTED_IMAGES = "sorted images"
CLASS, FLAG = "class", "flag"


class PredictionCopies:
    """Writes overlays, sorted copies and masks. A failure gives a warning and affects nothing else.

    Args:
        overlay: Folder for overlays; None for none.
        sort_into: Folder for sorted copies; None for none.
        spec: The model's description.
        console: Prints warnings.
        masks_out: Folder for masks; None for none.

    Attributes:
        num_failures: Number of images with a prediction but without overlay or copy.
    """

    def __init__(
        self,
        overlay: Path | None,
        sort_into: Path | None,
        spec: BundleSpec,
        console: Console,
        masks_out: Path | None = None,
    ) -> None:
        self.num_failures = 0
        self._masks = MaskFolder(masks_out, spec) if masks_out else None
        self._spec = spec
        self._places = {answer: place for place, answer in enumerate(_list_answers(spec))}
        self._console = console
        self._previews: Previews | None = None
        self._overlays: OverlayFolder | None = None
        self._sorted: SortedFolders | None = None
        if overlay:
            from tlkit.inference.previews import Previews
            from tlkit.reports.overlays import OverlayFolder

            self._previews = Previews(spec.grey)
            make_output_folder(overlay, kind=OVERLAYS, marker=OUTPUT_MARKER)
            self._overlays = OverlayFolder(overlay)
        if sort_into:
            make_output_folder(sort_into, kind=SORTED_IMAGES, marker=OUTPUT_MARKER)
            self._sorted = SortedFolders(sort_into, [name for _, name in _list_answers(spec)])

    @property
    def make_preview(self) -> MakePreview | None:
        """What makes previews for overlays; None without overlays."""
        return self._previews.make if self._previews else None

    def write(self, file: PredictedFile, *, min_probability: float | None) -> None:
        """Write the overlay and the copy of an image, if requested and if it has a prediction."""
        if self._previews and isinstance(file.preview, Image.Image) and file.prediction.upright_size:
            self._previews.release(file.prediction.upright_size)
        if file.prediction.error:
            return
        failures = []
        for make in (self._draw, self._sort):
            try:
                make(file, min_probability)
            except (UnusableImage, OSError) as error:
                failures.append(str((isinstance(error, OSError) and error.strerror) or error))
        if failures:
            self.num_failures += 1
            if self.num_failures == 1:
                self._console.warn(f"{file.path} has its row, but could not be copied: {failures[0]}.")

    def warn_of_failures(self) -> None:
        """Warn of the number of images that could not be copied, if more than one."""
        if self.num_failures > 1:
            self._console.warn(f"{count_files(self.num_failures)} have their rows, but could not be copied.")

    def _draw(self, file: PredictedFile, min_probability: float | None) -> None:
        if isinstance(file.preview, UnusableImage):
            raise file.preview
        if self._overlays and self._previews:
            preview = file.preview or self._previews.read(file.path)
            preview = paint_mask(preview, file.prediction, self._spec)
            caption = write_caption(file.prediction, self._spec, min_probability=min_probability)
            self._overlays.write(file.path, preview, caption, _list_marks(file.prediction, self._spec))

    def _sort(self, file: PredictedFile, _: float | None) -> None:
        if self._masks:
            self._masks.write(file.path, file.prediction)
        if self._sorted:
            for answer in _find_answers(file.prediction):
                self._sorted.copy(file.path, self._places[answer])


def _list_answers(spec: BundleSpec) -> list[tuple[str, str]]:
    """Return the folders for sorted images; a class with the name of a flag gets the name first."""
    return [*((CLASS, name) for name in spec.class_names), *((FLAG, flag) for flag in (UNKNOWN, UNCERTAIN, BACKGROUND))]


def _find_answers(prediction: Prediction) -> list[tuple[str, str]]:
    """Return the folders of an image: that of its flag or class, or those of the classes of its objects."""
    if prediction.flag:
        return [(FLAG, prediction.flag)]
    if prediction.objects is None:
        return [(CLASS, prediction.ranked[0][0])]
    names = dict.fromkeys(each.class_name for each in prediction.objects)
    return [(CLASS, name) for name in names] or [(FLAG, BACKGROUND)]


def _list_marks(prediction: Prediction, spec: BundleSpec) -> list[Mark]:
    """Return the box, or the objects with their classes and scores, as they are drawn."""
    from tlkit.reports.frames import COLOURS, Mark, choose_colour

    if prediction.upright_size is None:
        return []
    height, width = prediction.upright_size

    def in_fractions(box: Box) -> Box:
        left, top, right, bottom = box
        return left / width, top / height, right / width, bottom / height

    if prediction.box is not None:
        return [Mark(in_fractions(prediction.box), COLOURS[0])]
    return [
        Mark(
            in_fractions(each.box),
            choose_colour(spec.class_names.index(each.class_name)),
            each.class_name,
            f"{each.score:.0%}",
        )
        for each in prediction.objects or ()
    ]


Preview = Image.Image | UnusableImage | None
MakePreview = Callable[[ImageFile], Image.Image | None]


@dataclass(frozen=True)
class _Note:
    """What is known of a file that was loaded."""

    upright_size: tuple[int, int]
    preview: Preview
    texts: tuple[str, ...]


@dataclass(frozen=True)
class PredictedFile:
    """A file with its prediction.

    Attributes:
        path: The file.
        prediction: The prediction, or the reason why there is none.
        preview: The result of `make_preview`, or its error; None without previews.
    """

    path: Path
    prediction: Prediction
    preview: Preview


def predict_files(
    classifier: Predictor,
    paths: Iterable[Path | str],
    metadata: MetadataSource,
    *,
    top_k: int,
    spec: BundleSpec | None = None,
    views: ViewPlan = PICTURE_ITSELF,
    make_preview: MakePreview | None = None,
) -> Iterator[PredictedFile]:
    """Yield the prediction of each file, in order; an unreadable file has an error instead.

    Each file is read once, and decoded once per scale, for the network and the preview.

    Args:
        classifier: The model.
        paths: The files; an empty string is an empty line of standard input.
        metadata: The metadata of each file.
        top_k: Number of ranked classes or labels.
        spec: The model's description, perhaps with other thresholds; None for its own.
        views: The views to average over.
        make_preview: Makes previews, in the loading threads.
    """
    spec = spec or classifier.spec
    load = FileLoader(spec, metadata, views, make_preview)
    for item, row, note in answer_items(classifier, paths, load, num_views=views.num_views, locate=_locate):
        if note:
            metadata.count(note.texts)
        upright_size, preview = (note.upright_size, note.preview) if note else (None, None)
        prediction = describe_row(show_path(item), upright_size, row, spec, top_k=top_k)
        yield PredictedFile(Path(item), prediction, preview)


@dataclass(frozen=True, eq=False)
class FileLoader:
    """Loads image files as input of a model; without previews, it can be sent to other processes.

    Attributes:
        spec: Description of the model.
        metadata: The metadata of each file.
        views: The views of each image.
        make_preview: Makes previews.
    """

    spec: BundleSpec
    metadata: MetadataSource
    views: ViewPlan
    make_preview: MakePreview | None = None

    def __call__(self, item: Path | str) -> Loaded[_Note]:
        """Return pixels and metadata of each view; raises `LoadFailure` where the file cannot be used."""
        if not item:
            raise LoadFailure("an empty line instead of a path")
        path = Path(item)
        with reasons():
            image = ImageFile.read(path, self.spec.grey)
            views_of_it = render_views(image, self.spec, self.views)
            texts = self.metadata.find(path, image)
        if texts is None:
            raise LoadFailure(f"no row for it in {self.metadata.table_name}")
        encoded = self.spec.metadata.encode([texts])[0]
        preview: Preview = None
        if self.make_preview is not None:
            try:
                preview = self.make_preview(image)
            except UnusableImage as unusable:  # an image may be too large for a preview but fine for the network
                preview = unusable
        return Loaded([(pixels, encoded) for pixels in views_of_it], _Note(image.upright_size, preview, texts))


def _locate(item: Path | str) -> tuple[Path, str | None] | None:
    return (Path(item), None) if item else None


def describe_row(
    name: str,
    upright_size: tuple[int, int] | None,
    row: NDArray[np.float32] | LoadFailure,
    spec: BundleSpec,
    *,
    top_k: int,
) -> Prediction:
    """Convert a model's row for an image to a prediction; without a row, the prediction has an error.

    Args:
        name: Name of the image.
        upright_size: (height, width) in pixels of the upright image; None without a row.
        row: Row of `Predictor.predict`, or the reason why there is none.
        spec: The model's description.
        top_k: Number of ranked classes or labels.
    """
    task, box, draw_mask = find_task(spec.task), None, None
    try:
        if isinstance(row, LoadFailure):
            raise row
        if not np.isfinite(row).all():
            raise LoadFailure("the model's output is not finite")
        outputs = split_rows(row[np.newaxis], spec)
        answers: NDArray[Any] = outputs.answers
        if outputs.boxes is not None and upright_size is not None:
            box = recover(outputs.boxes[0], upright_size, spec)
        if task.has_masks and upright_size is not None:
            draw_mask = partial(recover_picture_mask, outputs.answers[0], upright_size, spec)
            answers = draw_mask()[np.newaxis]
        elif task.has_objects and upright_size is not None:
            answers = recover_detections(answers, [upright_size], spec)
    except LoadFailure as failure:
        empty: Any = {"areas": {}} if task.has_masks else {"objects": ()} if task.lists_objects else {}
        return Prediction(name, error=failure.reason, upright_size=upright_size, **empty)
    distance = None if outputs.distances is None else outputs.distances[0]
    prediction = make_prediction(name, answers[0], box, distance, spec, top_k=top_k)
    return dataclasses.replace(prediction, upright_size=upright_size, draw_mask=draw_mask)
