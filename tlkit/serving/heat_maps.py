"""Heat maps of answers on their pictures, without Keras: the head is small enough for numpy."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tlkit.errors import TlkitError
from tlkit.explain.numpy_head import NumpyHead
from tlkit.explain.outputs import box_output, choose_outputs, name_output
from tlkit.explain.overlay import overlay_map
from tlkit.explain.records import place_map
from tlkit.models.predictor import Predictor
from tlkit.tasks import find_task

HeadWeights = Mapping[str, NDArray[np.float32]]


class HeatMaps:
    """Explains answers of a model; thread-safe.

    Args:
        predictor: The model.
        read_weights: Reads the weights of its head; called when the first map is asked for.
    """

    def __init__(self, predictor: Predictor, read_weights: Callable[[], HeadWeights]) -> None:
        self._predictor = predictor
        self._read_weights = read_weights
        self._lock = threading.Lock()
        self._head: NumpyHead | None = None
        self.problem = ""

    def draw(
        self, pixels: NDArray[np.uint8], row: NDArray[np.float32], picture: Image.Image, upright_size: tuple[int, int]
    ) -> list[tuple[str, bytes]]:
        """Return a map for each class or label that is predicted, or for the value, and for the box.

        Args:
            pixels: The network's input, uint8 (height, width, 3), RGB, 0..255.
            row: As `Predictor.predict` gives it.
            picture: The upright picture that the maps are drawn on.
            upright_size: (height, width) of the whole picture in pixels.

        Returns:
            What is explained, and a PNG file of the size of the picture; empty if the model has no maps, or finds objects or masks.
        """
        spec = self._predictor.spec
        outputs = [] if find_task(spec.task).has_objects else choose_outputs(row, spec)
        if not outputs or not self._is_ready(pixels):
            return []
        assert self._head is not None
        maps = self._predictor.compute_maps(pixels[np.newaxis])
        first = spec.outputs.num_answers
        drawn = []
        for output in outputs:
            if output == box_output(spec):
                evidence = self._head.explain_box(maps, row[np.newaxis, first : first + 4])
            else:
                evidence = self._head.explain(maps, np.array([output]))
            placed = place_map(evidence[0], picture_size=upright_size, image_size=spec.image_size, fit=spec.fit)
            drawn.append((name_output(output, spec), _encode(overlay_map(np.asarray(picture), placed))))
        return drawn

    def _is_ready(self, pixels: NDArray[np.uint8]) -> bool:
        """Compile the network up to its map, once, and return whether it has one."""
        with self._lock:
            if self._head is None and not self.problem:
                try:
                    head = NumpyHead(self._predictor.spec, self._read_weights())
                    maps = self._predictor.compute_maps(pixels[np.newaxis])
                    head.explain(maps, np.zeros(1, np.int64))
                    self._head = head
                except TlkitError as error:
                    self.problem = error.found
            return self._head is not None


def _encode(picture: NDArray[Any]) -> bytes:
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "PNG")
    return file.getvalue()
