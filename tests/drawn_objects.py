"""Rectangles on pictures, and a detector that finds them by their colour, without a network."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from tlkit.data.images import LOADER_VERSION
from tlkit.models.spec import BundleSpec
from tlkit.outputs import DETECTION
from tlkit.recipes import HeadSettings

SPEC = BundleSpec(
    "tiny",
    (64, 64),
    "pad",
    LOADER_VERSION,
    "avg",
    HeadSettings(kind="linear"),
    ("red", "white"),
    task=DETECTION,
    thresholds=(0.5, 0.5),
    unknown_above=0.5,
)
CORNERS = ("left", "top", "right", "bottom")


class Detector:
    """Finds the red and the white rectangle on the input, and a red one in its upper left corner that is not sure."""

    spec = SPEC
    engine = "colours"
    batch_size = 2
    num_parallel = 1
    map_shape = None

    def predict(self, images: NDArray[np.uint8], metadata: NDArray[np.float32] | None = None) -> NDArray[np.float32]:
        """Return 100 detections, in fractions of the input, and the distance; a white rectangle alone is far."""
        rows = np.zeros((len(images), 601), np.float32)
        for row, image in zip(rows, images, strict=True):
            detections = row[:600].reshape(100, 6)
            is_red = (image[..., 0] > 128) & (image[..., 1] < 128)
            is_white = (image > 128).all(axis=2)
            found = [
                (*self._enclose(mask), score, label)
                for label, (mask, score) in enumerate(((is_red, 0.9), (is_white, 0.8)))
                if mask.any()
            ]
            found.append((0, 0, 0.3, 0.3, 0.25, 0))
            detections[: len(found)] = found
            row[600] = 0.75 if is_white.any() and not is_red.any() else 0.25
        return rows

    def compute_features(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the mean colour."""
        means: NDArray[np.float32] = images.astype(np.float32).mean(axis=(1, 2))
        return means

    def compute_maps(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Not asked for where there is no `map_shape`."""
        raise NotImplementedError

    def predict_with_maps(
        self, images: NDArray[np.uint8], metadata: NDArray[np.float32] | None = None
    ) -> NDArray[np.float32]:
        """Likewise."""
        raise NotImplementedError

    def predict_for_comparison(
        self, images: NDArray[np.uint8], metadata: NDArray[np.float32] | None = None
    ) -> NDArray[np.float32]:
        """Likewise."""
        raise NotImplementedError

    def predict_with_features(
        self, images: NDArray[np.uint8], metadata: NDArray[np.float32] | None = None
    ) -> NDArray[np.float32]:
        """Return both."""
        return np.concatenate([self.predict(images, metadata), self.compute_features(images)], axis=1)

    @staticmethod
    def _enclose(mask: NDArray[np.bool_]) -> tuple[float, ...]:
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        edges = columns[0], rows[0], columns[-1] + 1, rows[-1] + 1
        return tuple(edge / size for edge, size in zip(edges, mask.shape[::-1] * 2, strict=True))


def draw_objects(path: Path, rectangles: dict[str, tuple[int, int, int, int]], orientation: int = 1) -> None:
    """Draw rectangles at left, top, right, bottom on a black picture of 128 x 96 pixels."""
    picture = Image.new("RGB", (128, 96))
    for colour, (left, top, right, bottom) in rectangles.items():
        ImageDraw.Draw(picture).rectangle((left, top, right - 1, bottom - 1), fill=colour)
    path.parent.mkdir(parents=True, exist_ok=True)
    exif = Image.Exif()
    exif[0x0112] = orientation
    picture.save(path, exif=exif)
