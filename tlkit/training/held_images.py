"""Images of a stage at the pixels, held in memory after the first epoch, as far as there is room.

What is held is what `ImageFile` decoded: a photo of 12 megapixels at a quarter of its size, from which every view is cut.
An image without views is held at the network's input size. The pixels are the same, held or not.
"""

from __future__ import annotations

import dataclasses
import threading

import numpy as np
from numpy.typing import NDArray

from tlkit.data.image_file import Decoded
from tlkit.data.manifest import ImageRecord
from tlkit.data.mosaics import TILE_FIT
from tlkit.data.views import View
from tlkit.inference.scoring import load_record
from tlkit.models.spec import BundleSpec
from tlkit.training.targets import ViewDrawer

_BYTES_PER_PIXEL = 4  # as Pillow stores RGB


class HeldImages:
    """Reads images, and holds the first ones: an epoch needs each of them once, so that none is worth more than others.

    Args:
        spec: Description of the model, with the size and the fit of its input.
        max_bytes: Memory for what is held.
    """

    def __init__(self, spec: BundleSpec, max_bytes: int) -> None:
        self._spec = spec
        self._max_bytes = self._left = max_bytes
        self._decoded: dict[str, Decoded] = {}
        self._inputs: dict[str, NDArray[np.uint8]] = {}
        self._lock = threading.Lock()

    def load(
        self,
        record: ImageRecord,
        view: View | None,
        *,
        image_size: tuple[int, int] | None = None,
        fit: str | None = None,
    ) -> NDArray[np.uint8]:
        """Return a view of an image, or the image itself; any thread may call.

        Args:
            record: The image.
            view: The view; None for the image itself.
            image_size: (height, width) of a view, in pixels; None for that of the network's input.
            fit: How the view is fitted; None for the network's.

        Returns:
            uint8 (height, width, 3), RGB, 0..255; not to be changed.

        Raises:
            DataError: The file has changed since the manifest was made.
        """
        name = record.sha256
        with self._lock:
            decoded = self._decoded.get(name, {}).copy()
            if view is None and name in self._inputs:
                return self._inputs[name]
        spec = self._spec
        if image_size and fit:
            spec = dataclasses.replace(spec, image_size=image_size, fit=fit)
        pixels = load_record(record, spec, view, decoded)
        with self._lock:
            if view is None:
                if self._take(pixels.nbytes):
                    self._inputs[name] = pixels
                return pixels
            held = self._decoded.setdefault(name, {})
            for scale in decoded.keys() - held.keys():
                picture = decoded[scale].picture
                if self._take(_BYTES_PER_PIXEL * picture.width * picture.height):
                    held[scale] = decoded[scale]
        return pixels

    def load_view(self, views: ViewDrawer, image: int, index: int) -> NDArray[np.uint8]:
        """Return a view of an image as a stage learns it, by their numbers: perhaps a mosaic; as for `load`."""
        record, mosaic = views.records[image], views.draw_mosaic(image, index)
        if mosaic is None:
            return self.load(record, views.draw(image, index) if index else None)

        def load_tile(companion: int | None, view: View, size: tuple[int, int]) -> NDArray[np.uint8]:
            shown = record if companion is None else views.companions[companion]
            return self.load(shown, view, image_size=size, fit=TILE_FIT)

        return mosaic.render(self._spec.image_size, load_tile)

    def estimate_growth(self, num_images: int) -> int:
        """Return how many bytes more will be held once all images have been read, by what those so far take."""
        with self._lock:
            used, num_held = self._max_bytes - self._left, len(self._decoded) + len(self._inputs)
        return min(self._left, used * max(0, num_images - num_held) // max(1, num_held))

    def _take(self, num_bytes: int) -> bool:
        """Take bytes of what is left, if they are there."""
        if num_bytes > self._left:
            return False
        self._left -= num_bytes
        return True
