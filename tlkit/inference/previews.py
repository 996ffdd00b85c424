"""Previews for overlays, made while a file is open for its prediction, in bounded memory."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from tlkit.data.image_file import ImageFile
from tlkit.outputs import GreyRange
from tlkit.reports.overlays import LONGEST_EDGE_PX, SHORTEST_WIDTH_PX, TARGET_PX, resize_for_reading

MAX_WAITING_BYTES = 2**27
_BYTES_PER_PIXEL = 4


class Previews:
    """Makes previews in the loading threads, within a memory budget.

    If the budget is used up, no preview is made, and the file is read again for its overlay.

    Args:
        grey: The model's ranges for grey of more than 8 bits.
        max_bytes: Memory budget of all waiting previews.
    """

    def __init__(self, grey: Sequence[GreyRange], max_bytes: int = MAX_WAITING_BYTES) -> None:
        self._grey = grey
        self._num_free = max_bytes
        self._lock = threading.Lock()

    def make(self, image: ImageFile) -> Image.Image | None:
        """Return the preview of a file, or None if the budget is used up.

        Raises:
            UnusableImage: The image cannot be decoded.
        """
        num_bytes = _count_bytes(image.upright_size)
        with self._lock:
            if num_bytes > self._num_free:
                return None
            self._num_free -= num_bytes
        try:
            return _render(image)
        except BaseException:
            self.release(image.upright_size)
            raise

    def read(self, path: Path) -> Image.Image:
        """Return the preview of a file that got none in `make`.

        Raises:
            UnusableImage: The file cannot be read or decoded.
        """
        return _render(ImageFile.read(path, self._grey))

    def release(self, upright_size: tuple[int, int]) -> None:
        """Return a preview's memory to the budget."""
        with self._lock:
            self._num_free += _count_bytes(upright_size)


def _render(image: ImageFile) -> Image.Image:
    return resize_for_reading(image.decode(TARGET_PX))


def _count_bytes(upright_size: tuple[int, int]) -> int:
    """Return the maximum size of a preview: large images are reduced, tiny ones enlarged."""
    scale = min(1.0, LONGEST_EDGE_PX / max(upright_size))
    height, width = (max(1, round(edge * scale)) for edge in upright_size)
    return _BYTES_PER_PIXEL * max(height * width, SHORTEST_WIDTH_PX**2)
