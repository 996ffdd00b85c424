"""Explain an answer to a client: the picture, heat maps on it, and the training photos that look most alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tlkit.data.images import UnusableImage
from tlkit.data.manifest import ImageRecord
from tlkit.inference.tally import describe_prediction
from tlkit.outputs import LABEL_SEPARATOR, GreyRange
from tlkit.reports.markup import make_data_url
from tlkit.reports.thumbnails import make_thumbnail
from tlkit.runs.new_images import read_thumbnail
from tlkit.serving.model import AnsweredImage, ServedModel
from tlkit.serving.training_photos import TrainingPhotos
from tlkit.serving.uploads import Upload

PICTURE_PX = 480
"""The longer edge of pictures."""
PICTURE_BYTES, NEIGHBOUR_BYTES = 80_000, 8_000


@dataclass(frozen=True, eq=False)
class Explanation:
    """What speaks for an answer.

    Attributes:
        answered: The answer.
        picture: The upright picture, a JPEG file; None if the image cannot be read.
        nearest: The nearest training photos, nearest first, each with its cosine and a JPEG file.
    """

    answered: AnsweredImage
    picture: bytes | None = None
    nearest: tuple[tuple[ImageRecord, float, bytes], ...] = ()

    def describe(self) -> dict[str, Any]:
        """Return it as JSON; pictures are `data:` addresses."""
        image = self.answered.image
        return {
            "prediction": describe_prediction(self.answered.prediction),
            "size": image.upright_size if image else None,
            "picture": make_data_url(self.picture) if self.picture else None,
            "nearest": [
                {
                    "name": record.path.name,
                    "answer": record.answer.replace(LABEL_SEPARATOR, ", "),
                    "cosine": round(cosine, 4),
                    "picture": make_data_url(content),
                }
                for record, cosine, content in self.nearest
            ],
        }


def explain_upload(
    model: ServedModel, photos: TrainingPhotos, upload: Upload, *, top_k: int, num_neighbours: int
) -> Explanation:
    """Predict an image and explain the answer; thread-safe.

    Args:
        model: The model.
        photos: The training photos.
        upload: The image and its metadata.
        top_k: Number of ranked classes or labels, at least 1.
        num_neighbours: Number of training photos.
    """
    answered = model.predict(upload, top_k=top_k)
    if answered.image is None or answered.features is None:
        return Explanation(answered)
    try:
        picture = answered.image.decode((PICTURE_PX, PICTURE_PX))
    except UnusableImage:  # too large to be shown, and not for the network
        return Explanation(answered)
    nearest = _read_nearest(photos.find_nearest(answered.features, num_neighbours), model.spec.grey)
    return Explanation(answered, make_thumbnail(picture, edge_px=PICTURE_PX, max_bytes=PICTURE_BYTES), nearest)


def _read_nearest(
    found: Sequence[tuple[ImageRecord, float]], grey: Sequence[GreyRange]
) -> tuple[tuple[ImageRecord, float, bytes], ...]:
    read = [(record, cosine, read_thumbnail(record.path, grey, NEIGHBOUR_BYTES)) for record, cosine in found]
    return tuple((record, cosine, content) for record, cosine, content in read if content is not None)
