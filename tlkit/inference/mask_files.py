"""Predicted masks: as PNG files that `--masks` reads, and as colours over a picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tlkit.data.sources import OUTPUT_MARKER
from tlkit.files import write_text, written_aside
from tlkit.inference.picture_masks import recover_picture_mask
from tlkit.models.spec import BundleSpec
from tlkit.reports.frames import choose_colour
from tlkit.reports.output_folder import make_output_folder
from tlkit.reports.sorting import fold_name, number_name
from tlkit.segmentation.confusion import IGNORED
from tlkit.tasks.predictions import Prediction

MASKS = "masks"
CLASSES_FILE = "classes.txt"
_TINT = 0.5


class MaskFolder:
    """A folder of masks, one PNG per image, never overwriting another; `classes.txt` names the numbers.

    Args:
        folder: The folder; it is made.
        spec: The model's description.
    """

    def __init__(self, folder: Path, spec: BundleSpec) -> None:
        self._folder = folder
        self._spec = spec
        self._taken: set[str] = set()
        make_output_folder(folder, kind=MASKS, marker=OUTPUT_MARKER)
        write_text(folder / CLASSES_FILE, "".join(f"{name}\n" for name in ("background", *spec.class_names)))

    def write(self, source: Path, prediction: Prediction) -> None:
        """Write the mask of one image, of the size of its upright picture.

        Args:
            source: The image file; only its name is used.
            prediction: Its prediction, with the probabilities.
        """
        assert prediction.upright_size is not None
        name = number_name(f"{source.stem}.png", self._taken)
        self._taken.add(fold_name(name))
        mask = _draw(prediction, self._spec, prediction.upright_size)
        height, width = mask.shape
        picture = Image.frombytes("P", (width, height), mask.tobytes())
        colours = [(0, 0, 0), *(choose_colour(place) for place in range(len(self._spec.class_names)))]
        palette = np.full((256, 3), 255, np.uint8)
        palette[: len(colours)] = colours
        picture.putpalette(palette.tobytes())
        with written_aside(self._folder / name, is_flushed=False) as file:
            picture.save(file, format="PNG")


def paint_mask(picture: Image.Image, prediction: Prediction, spec: BundleSpec) -> Image.Image:
    """Return a copy of a picture with the colour of each class over its places.

    Args:
        picture: RGB, the upright picture at any size.
        prediction: Its prediction; without probabilities the picture is returned as it is.
        spec: The model's description.
    """
    if prediction.cells is None:
        return picture
    mask = _draw(prediction, spec, (picture.height, picture.width))
    colours = np.zeros((256, 3), np.float32)
    for place in range(len(spec.class_names)):
        colours[place + 1] = choose_colour(place)
    painted = np.asarray(picture, np.float32)
    is_painted = ((mask != 0) & (mask != IGNORED))[..., None]
    mixed = np.where(is_painted, painted * (1 - _TINT) + colours[mask] * _TINT, painted)
    return Image.fromarray(mixed.round().astype(np.uint8))


def _draw(prediction: Prediction, spec: BundleSpec, mask_size: tuple[int, int]) -> NDArray[np.uint8]:
    assert prediction.cells is not None
    assert prediction.upright_size is not None
    return recover_picture_mask(prediction.cells, prediction.upright_size, spec, mask_size=mask_size)
