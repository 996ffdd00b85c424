"""The model behind the server: one image in, one prediction out, the same as `tlkit predict` gives for its file."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tlkit.data.image_file import ImageFile
from tlkit.data.images import UnusableImage
from tlkit.data.metadata_source import describe_facts
from tlkit.data.views import PICTURE_ITSELF
from tlkit.features.extract import LoadFailure
from tlkit.inference.files import describe_row
from tlkit.inference.mask_files import encode_mask
from tlkit.inference.predictions import limit_scores
from tlkit.inference.scoring import render_views
from tlkit.inference.tally import describe_prediction
from tlkit.metadata.columns import IMAGE_FACTS, texts_of
from tlkit.metadata.encoding import CategoryColumn
from tlkit.metadata.oddities import OddValues
from tlkit.models.predictor import Predictor
from tlkit.reports.markup import make_data_url
from tlkit.serving.uploads import Upload, list_missing_columns
from tlkit.tasks.predictions import Prediction

MASK_PX = 1024
"""The longer edge of masks: networks draw them at some dozens of cells, so that larger ones hold no more."""


@dataclass(frozen=True, eq=False)
class AnsweredImage:
    """An image with its prediction.

    Attributes:
        prediction: The prediction, or why there is none.
        image: The file; None if it cannot be read.
        pixels: The network's input, uint8 (height, width, 3), RGB, 0..255; None if it cannot be read.
        row: As `Predictor.predict_with_features` gives it; None if it cannot be read.
        mask: The mask, a PNG file, if the model draws masks; see `MASK_PX`.
    """

    prediction: Prediction
    image: ImageFile | None = None
    pixels: NDArray[np.uint8] | None = None
    row: NDArray[np.float32] | None = None
    mask: bytes | None = None

    def describe(self) -> dict[str, Any]:
        """Return the prediction as a row of JSON, as `tlkit predict` gives it, and the mask as a `data:` address."""
        row = describe_prediction(self.prediction)
        return row | {"mask": make_data_url(self.mask)} if self.mask else row


class ServedModel:
    """A model that many threads ask at once.

    Args:
        predictor: The model.
    """

    def __init__(self, predictor: Predictor) -> None:
        # A batch of one: another image of the same batch would only make the client wait.
        predictor.batch_size = 1
        self.predictor = predictor
        self.spec = predictor.spec
        self._turns = threading.Semaphore(predictor.num_parallel)

    def predict(self, upload: Upload, *, top_k: int, min_score: float | None = None) -> AnsweredImage:
        """Predict an image; thread-safe.

        Args:
            upload: The image and its metadata; a column without a value is missing.
            top_k: Number of ranked classes or labels, at least 1.
            min_score: Objects with lower scores, 0..1, are left out; None for the model's thresholds.
        """
        spec = limit_scores(self.spec, min_score)
        image = ImageFile(upload.content, self.spec.grey)
        try:
            pixels = render_views(image, self.spec, PICTURE_ITSELF)[0]
            encoded = self.spec.metadata.encode([self._find_texts(upload, image)])
        except UnusableImage as unusable:
            failure = LoadFailure(unusable.reason)
            return AnsweredImage(describe_row(upload.name, None, failure, spec, top_k=top_k))
        with self._turns:
            row = self.predictor.predict_with_features(pixels[np.newaxis], encoded)[0]
        prediction = describe_row(upload.name, image.upright_size, row[: spec.row_width], spec, top_k=top_k)
        mask = None
        if prediction.draw_mask:
            mask = encode_mask(prediction, len(spec.class_names), max_edge_px=MASK_PX)
        return AnsweredImage(prediction, image, pixels, row, mask)

    def describe_metadata(self, uploads: Sequence[Upload]) -> list[str]:
        """Return sentences about metadata that are missing, or that training never saw."""
        if not self.spec.metadata.names:
            return []
        notices = [
            f"{name}: no value for some images, which counts as missing."
            for name in list_missing_columns(uploads, self.spec)
        ]
        odd = OddValues(self.spec.metadata)
        for upload in uploads:
            odd.add(texts_of(upload.metadata, self.spec.metadata.names))
        return [*notices, *odd.describe()]

    def describe_columns(self) -> list[dict[str, Any]]:
        """Return the metadata columns that a client can give."""
        columns: list[dict[str, Any]] = []
        for column in self.spec.metadata.columns:
            if column.name in IMAGE_FACTS:
                continue
            if isinstance(column, CategoryColumn):
                columns.append({"name": column.name, "kind": "category", "values": list(column.values)})
            else:
                columns.append({"name": column.name, "kind": "number", "low": column.low, "high": column.high})
        return columns

    def _find_texts(self, upload: Upload, image: ImageFile) -> tuple[str, ...]:
        values = dict(upload.metadata)
        if any(name in IMAGE_FACTS for name in self.spec.metadata.names):
            values |= describe_facts(image.facts, num_bytes=len(image.content))
        return texts_of(values, self.spec.metadata.names)
