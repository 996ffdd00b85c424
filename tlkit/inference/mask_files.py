"""Predicted masks: as PNG files that `--masks` reads, and as colours over a picture."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tlkit.data.sources import OUTPUT_MARKER
from tlkit.files import write_text, written_aside
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
        mask = prediction.mask
        assert mask is not None, "masks are written by models that draw them"
        name = number_name(f"{source.stem}.png", self._taken)
        self._taken.add(fold_name(name))
        with written_aside(self._folder / name, is_flushed=False) as file:
            make_mask_picture(mask, len(self._spec.class_names)).save(file, format="PNG")


def list_colours(num_classes: int) -> list[tuple[int, int, int]]:
    """Return the colours of background, which is black, and of the classes, RGB, 0..255."""
    return [(0, 0, 0), *map(choose_colour, range(num_classes))]


def make_mask_picture(mask: NDArray[np.uint8], num_classes: int) -> Image.Image:
    """Return a mask as a picture of mode P: its values are those of the mask, its palette has the colours of the classes.

    Args:
        mask: uint8 (height, width): 0 for background, class + 1, or 255, which is white.
        num_classes: Number of classes without background.
    """
    height, width = mask.shape
    picture = Image.frombytes("P", (width, height), mask.tobytes())
    palette = np.full((256, 3), 255, np.uint8)
    palette[: num_classes + 1] = list_colours(num_classes)
    picture.putpalette(palette.tobytes())
    return picture


def encode_mask(prediction: Prediction, num_classes: int, *, max_edge_px: int) -> bytes:
    """Return the mask of a prediction as a PNG file, with the numbers that `make_mask_picture` gives.

    What is background, and what the model did not see, is transparent.

    Args:
        prediction: It has a mask.
        num_classes: Number of classes without background.
        max_edge_px: The picture is no longer or wider; a smaller upright picture keeps its size.
    """
    assert prediction.draw_mask is not None, "the model draws masks"
    assert prediction.upright_size is not None, "a mask has a picture"
    scale = min(1.0, max_edge_px / max(prediction.upright_size))
    height, width = (max(1, round(edge * scale)) for edge in prediction.upright_size)
    opaque = bytes([0, *[255] * num_classes, *[0] * (255 - num_classes)])
    file = io.BytesIO()
    picture = make_mask_picture(prediction.draw_mask((height, width)), num_classes)
    picture.save(file, format="PNG", transparency=opaque)
    return file.getvalue()


def paint_mask(picture: Image.Image, prediction: Prediction, spec: BundleSpec) -> Image.Image:
    """Return a copy of a picture with the colour of each class over its places.

    Args:
        picture: RGB, the upright picture at any size.
        prediction: Its prediction; without a mask the picture is returned as it is.
        spec: The model's description.
    """
    if prediction.draw_mask is None:
        return picture
    mask = prediction.draw_mask((picture.height, picture.width))
    colours = np.zeros((256, 3), np.float32)
    colours[: len(spec.class_names) + 1] = list_colours(len(spec.class_names))
    painted = np.asarray(picture, np.float32)
    is_painted = ((mask != 0) & (mask != IGNORED))[..., None]
    mixed = np.where(is_painted, painted * (1 - _TINT) + colours[mask] * _TINT, painted)
    return Image.fromarray(mixed.round().astype(np.uint8))
