"""Predictions for image files, one by one: read, computed, put into words."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tlkit.data.images import read_content, read_upright_size
from tlkit.data.metadata_source import MetadataSource
from tlkit.data.views import PICTURE_ITSELF, ViewPlan
from tlkit.features.extract import Loaded, LoadFailure
from tlkit.inference.predictions import make_prediction
from tlkit.inference.scoring import answer_items, load_view, reasons, recover, split_rows
from tlkit.models.predictor import Predictor
from tlkit.models.spec import BundleSpec
from tlkit.tasks.predictions import Prediction


def predict_files(
    classifier: Predictor,
    paths: Iterable[Path | str],
    metadata: MetadataSource,
    *,
    top_k: int,
    views: ViewPlan = PICTURE_ITSELF,
) -> Iterator[tuple[Path, Prediction]]:
    """Yield each path with its prediction, in order; a file that gives no picture has an error instead of an answer."""
    spec = classifier.spec

    def load(item: Path | str, index: int) -> Loaded:
        if not item:
            raise LoadFailure("an empty line, no path")
        path = Path(item)
        pixels = load_view(path, spec, views, index)
        with reasons():
            texts = metadata.find(path, counts=index == 0)
        if texts is None:
            raise LoadFailure(f"no row of it in {metadata.table_name}")
        return pixels, spec.metadata.encode([texts])[0]

    for item, row in answer_items(classifier, paths, load, num_views=views.num_views):
        path = Path(item)
        yield path, describe_row(str(item), partial(read_size, path), row, spec, top_k=top_k)


def describe_row(
    name: str,
    read_size: Callable[[], tuple[int, int]],
    row: NDArray[np.float32] | LoadFailure,
    spec: BundleSpec,
    *,
    top_k: int,
) -> Prediction:
    """Return what a model's row says of an image; where there is none to tell of, an error instead of an answer.

    Args:
        name: What the image is called.
        read_size: Returns the (height, width) of the upright picture, or raises `LoadFailure`; only called where boxes
            are learnt.
        row: As `Predictor.predict` gives it, or why there is none.
        spec: The model's.
        top_k: Classes or labels that are ranked.
    """
    try:
        if isinstance(row, LoadFailure):
            raise row
        if not np.isfinite(row).all():
            raise LoadFailure("the model's answer is not a number")
        outputs = split_rows(row[np.newaxis], spec)
        box = None if outputs.boxes is None else recover(outputs.boxes[0], read_size(), spec)
    except LoadFailure as failure:
        return Prediction(name, error=failure.reason)
    distance = None if outputs.distances is None else outputs.distances[0]
    return make_prediction(name, outputs.answers[0], box, distance, spec, top_k=top_k)


def read_size(path: Path) -> tuple[int, int]:
    """Return the (height, width) of the upright picture in a file.

    Raises:
        LoadFailure: The file gives no picture.
    """
    with reasons():
        return read_upright_size(read_content(path))
