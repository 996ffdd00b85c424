"""Explain an answer to a client: the picture, heat maps on it, and the training photos that look most alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tlkit.data.images import UnusableImage
from tlkit.data.manifest import ImageRecord
from tlkit.models.spec import BundleSpec
from tlkit.outputs import LABEL_SEPARATOR
from tlkit.reports.markup import make_data_url
from tlkit.reports.thumbnails import make_thumbnail
from tlkit.runs.new_images import read_thumbnail
from tlkit.serving.heat_maps import HeatMaps
from tlkit.serving.model import AnsweredImage, ServedModel
from tlkit.serving.training_photos import TrainingPhotos
from tlkit.serving.uploads import Upload
from tlkit.tasks import find_task

PICTURE_PX = 480
"""The longer edge of pictures."""
PICTURE_BYTES, NEIGHBOUR_BYTES = 80_000, 8_000


@dataclass(frozen=True, eq=False)
class Explanation:
    """What speaks for an answer.

    Attributes:
        answered: The answer.
        picture: The upright picture, a JPEG file; None if the image cannot be read.
        maps: What is explained, each with a heat map on the picture, a PNG file.
        nearest: The nearest training photos, nearest first, each with its answer in words, its cosine and a JPEG file.
    """

    answered: AnsweredImage
    picture: bytes | None = None
    maps: tuple[tuple[str, bytes], ...] = ()
    nearest: tuple[tuple[ImageRecord, str, float, bytes], ...] = ()

    def describe(self) -> dict[str, Any]:
        """Return it as JSON; pictures are `data:` addresses."""
        image = self.answered.image
        return {
            "prediction": self.answered.describe(),
            "size": image.upright_size if image else None,
            "picture": make_data_url(self.picture) if self.picture else None,
            "explanations": [{"output": name, "map": make_data_url(content)} for name, content in self.maps],
            "nearest": [
                {
                    "name": record.path.name,
                    "answer": answer,
                    "cosine": round(cosine, 4),
                    "picture": make_data_url(content),
                }
                for record, answer, cosine, content in self.nearest
            ],
        }


@dataclass(frozen=True, eq=False)
class Explaining:
    """What explains answers; thread-safe.

    Attributes:
        model: The model.
        heat_maps: Draws its heat maps.
        photos: The training photos.
        num_neighbours: Number of training photos beside an answer.
    """

    model: ServedModel
    heat_maps: HeatMaps
    photos: TrainingPhotos
    num_neighbours: int

    def explain(self, upload: Upload, *, top_k: int, min_score: float | None = None) -> Explanation:
        """Predict an image and explain the answer.

        Args:
            upload: The image and its metadata.
            top_k: Number of ranked classes or labels, at least 1.
            min_score: Objects with lower scores, 0..1, are left out; None for the model's thresholds.
        """
        answered = self.model.predict(upload, top_k=top_k, min_score=min_score)
        image, pixels, row = answered.image, answered.pixels, answered.row
        if image is None or pixels is None or row is None:
            return Explanation(answered)
        try:
            picture = image.decode((PICTURE_PX, PICTURE_PX)).copy()
        except UnusableImage:  # too large to be shown, and not for the network
            return Explanation(answered)
        picture.thumbnail((PICTURE_PX, PICTURE_PX))
        spec = self.model.spec
        found = self.photos.find_nearest(row[spec.row_width :], self.num_neighbours)
        return Explanation(
            answered,
            make_thumbnail(picture, edge_px=PICTURE_PX, max_bytes=PICTURE_BYTES),
            tuple(self.heat_maps.draw(pixels, row[: spec.row_width], picture, image.upright_size)),
            _read_nearest(found, spec),
        )


def _read_nearest(
    found: Sequence[tuple[ImageRecord, float]], spec: BundleSpec
) -> tuple[tuple[ImageRecord, str, float, bytes], ...]:
    read = [(record, cosine, read_thumbnail(record.path, spec.grey, NEIGHBOUR_BYTES)) for record, cosine in found]
    return tuple(
        (record, _describe_answer(record.answer, spec), cosine, content)
        for record, cosine, content in read
        if content is not None
    )


def _describe_answer(answer: str, spec: BundleSpec) -> str:
    task = find_task(spec.task)
    return task.describe_answer(answer) if task.has_objects else answer.replace(LABEL_SEPARATOR, ", ")
