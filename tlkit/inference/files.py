"""Predictions for image files, one by one: read, computed, put into words."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tlkit.data.image_file import ImageFile
from tlkit.data.images import UnusableImage
from tlkit.data.metadata_source import MetadataSource
from tlkit.data.views import PICTURE_ITSELF, ViewPlan
from tlkit.features.extract import Loaded, LoadFailure
from tlkit.inference.predictions import make_prediction
from tlkit.inference.scoring import answer_items, reasons, recover, render_views, split_rows
from tlkit.models.predictor import Predictor
from tlkit.models.spec import BundleSpec
from tlkit.tasks.predictions import Prediction

Preview = Image.Image | UnusableImage | None
MakePreview = Callable[[ImageFile], Image.Image | None]
_Note = tuple[tuple[int, int], Preview]


@dataclass(frozen=True)
class PredictedFile:
    """A file with its prediction.

    Attributes:
        path: The file.
        prediction: What the model says, or why it cannot.
        upright_size: (height, width) in pixels of the upright picture; None where the file gives none.
        preview: What `make_preview` returned, or why it could not make one; None without it.
    """

    path: Path
    prediction: Prediction
    upright_size: tuple[int, int] | None
    preview: Preview


def predict_files(
    classifier: Predictor,
    paths: Iterable[Path | str],
    metadata: MetadataSource,
    *,
    top_k: int,
    views: ViewPlan = PICTURE_ITSELF,
    make_preview: MakePreview | None = None,
) -> Iterator[PredictedFile]:
    """Yield the prediction of each file, in order; a file that gives no picture has an error instead of an answer.

    A file is read once, and each scale of it that is wanted, for the network and the preview, is decoded once.

    Args:
        classifier: The model.
        paths: The files; an empty one is an empty line of standard input.
        metadata: Tells those of each file.
        top_k: Classes or labels that are ranked.
        views: The views whose answers are averaged.
        make_preview: Makes previews in the threads that load.
    """
    spec = classifier.spec

    def load(item: Path | str) -> Loaded[_Note]:
        if not item:
            raise LoadFailure("an empty line instead of a path")
        path = Path(item)
        with reasons():
            image = ImageFile.read(path, spec.grey)
            views_of_it = render_views(image, spec, views)
            texts = metadata.find(path, image)
        if texts is None:
            raise LoadFailure(f"no row for it in {metadata.table_name}")
        encoded = spec.metadata.encode([texts])[0]
        return Loaded([(pixels, encoded) for pixels in views_of_it], _note(image, make_preview))

    for item, row, note in answer_items(classifier, paths, load, num_views=views.num_views):
        upright_size, preview = note or (None, None)
        prediction = describe_row(str(item), upright_size, row, spec, top_k=top_k)
        yield PredictedFile(Path(item), prediction, upright_size, preview)


def _note(image: ImageFile, make_preview: MakePreview | None) -> _Note:
    preview: Preview = None
    if make_preview is not None:
        try:
            preview = make_preview(image)
        except UnusableImage as unusable:  # a picture may be too large for a preview, and fine for the network
            preview = unusable
    return image.upright_size, preview


def describe_row(
    name: str,
    upright_size: tuple[int, int] | None,
    row: NDArray[np.float32] | LoadFailure,
    spec: BundleSpec,
    *,
    top_k: int,
) -> Prediction:
    """Return what a model's row says of an image; where there is none to tell of, an error instead of an answer.

    Args:
        name: What the image is called.
        upright_size: (height, width) in pixels of the upright picture; None where there is no row.
        row: As `Predictor.predict` gives it, or why there is none.
        spec: The model's.
        top_k: Classes or labels that are ranked.
    """
    try:
        if isinstance(row, LoadFailure):
            raise row
        if not np.isfinite(row).all():
            raise LoadFailure("the model's output is not finite")
        outputs = split_rows(row[np.newaxis], spec)
        box = None
        if outputs.boxes is not None and upright_size is not None:
            box = recover(outputs.boxes[0], upright_size, spec)
    except LoadFailure as failure:
        return Prediction(name, error=failure.reason)
    distance = None if outputs.distances is None else outputs.distances[0]
    return make_prediction(name, outputs.answers[0], box, distance, spec, top_k=top_k)
