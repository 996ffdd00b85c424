"""An image that is read once: its hash, its facts, and the pixels of the network's input all come from the same bytes.

Precompute, training, prediction and evaluation all call `render`, so an image gives the same pixels everywhere: decode,
rotate by EXIF, RGB over white, one antialiased bilinear resample with the recorded fit.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tlkit.data.deep_grey import choose_scale, measure_grey
from tlkit.data.images import (
    DecodedImage,
    ImageFacts,
    Scale,
    UnusableImage,
    check_image,
    decode_image,
    explain,
    read_content,
    read_orientation,
    turn_upright,
)
from tlkit.data.pixel_modes import convert_to_rgb
from tlkit.data.views import View
from tlkit.outputs import GreyRange

CHANGED = "changed since it was checked"

Decoded = dict[Scale, DecodedImage]
"""What has been decoded of a file so far."""


class SourceImage(ABC):
    """An image that can be rendered for a network."""

    @property
    @abstractmethod
    def sha256(self) -> str:
        """The hash that seeds its views, in hexadecimal digits."""

    @property
    @abstractmethod
    def upright_size(self) -> tuple[int, int]:
        """The upright (height, width) of the whole image, in pixels."""

    @abstractmethod
    def decode(self, target: tuple[int, int] | None = None) -> Image.Image:
        """Return the upright RGB picture, whole or reduced to at least twice `target`, a (height, width).

        Raises:
            UnusableImage: The image cannot be decoded.
        """

    def render(self, *, image_size: tuple[int, int], fit: str, view: View | None = None) -> NDArray[np.uint8]:
        """Return the pixels of the network's input.

        Args:
            image_size: (height, width) of the result, in pixels.
            fit: `squash` stretches the whole image, `crop` takes its largest centred part with the result's aspect
                ratio, and `pad` adds bars of neutral grey.
            view: An augmentation, or None for the image itself.

        Returns:
            uint8 array (height, width, 3), RGB, 0..255.

        Raises:
            UnusableImage: The image cannot be decoded.
            SettingError: `fit` is unknown.
        """
        view = view or View()
        left, top, right, bottom = view.crop
        height, width = image_size
        picture = self.decode((math.ceil(height / (bottom - top)), math.ceil(width / (right - left))))
        return np.array(view.render(picture, image_size=image_size, fit=fit))


class ImageFile(SourceImage):
    """The content of an image file; each scale of it is decoded at most once.

    Args:
        content: The file's bytes.
        grey: The data set's ranges for grey of more than 8 bits; see `decode_image`.
        decoded: What has been decoded of it with these ranges so far; further scales are added.
    """

    def __init__(self, content: bytes, grey: Sequence[GreyRange] = (), decoded: Decoded | None = None) -> None:
        self.content = content
        self._grey = grey
        self._decoded = {} if decoded is None else decoded

    @classmethod
    def read(
        cls,
        path: Path,
        grey: Sequence[GreyRange] = (),
        *,
        expected_sha256: str | None = None,
        decoded: Decoded | None = None,
    ) -> Self:
        """Read a file.

        Args:
            path: The file.
            grey: As above.
            expected_sha256: The hash of the bytes when the file was checked, if it was.
            decoded: As above.

        Raises:
            UnusableImage: The file cannot be read, or has changed.
        """
        image = cls(read_content(path), grey, decoded)
        if expected_sha256 is not None and image.sha256 != expected_sha256:
            raise UnusableImage(CHANGED)
        return image

    @cached_property
    def sha256(self) -> str:
        """The hash of the bytes."""
        return sha256(self.content).hexdigest()

    @property
    def facts(self) -> ImageFacts:
        """Facts of the whole image, from any scale that has been decoded, or else from the cheapest.

        Raises:
            UnusableImage: The bytes cannot be decoded.
        """
        return next((decoded.facts for decoded in self._decoded.values()), None) or check_image(self.content)

    @property
    def upright_size(self) -> tuple[int, int]:
        """The upright (height, width) of the whole image, in pixels."""
        facts = self.facts
        return facts.height, facts.width

    def decode(self, target: tuple[int, int] | None = None) -> Image.Image:
        """Return the upright RGB picture; see `decode_image`."""
        return decode_image(self.content, target=target, grey=self._grey, known=self._decoded).picture


class OpenImage(SourceImage):
    """An open Pillow image.

    Args:
        picture: The image, in any mode.
        grey: As in `ImageFile`.
    """

    def __init__(self, picture: Image.Image, grey: Sequence[GreyRange] = ()) -> None:
        self._picture = picture
        self._grey = grey

    @cached_property
    def sha256(self) -> str:
        """The hash of the pixels."""
        return sha256(self._picture.tobytes()).hexdigest()

    @property
    def upright_size(self) -> tuple[int, int]:
        """The upright (height, width), in pixels."""
        width, height = self._picture.size
        return (width, height) if read_orientation(self._picture) >= 5 else (height, width)

    def decode(self, target: tuple[int, int] | None = None) -> Image.Image:
        """Return the whole upright RGB picture."""
        return self._upright

    @cached_property
    def _upright(self) -> Image.Image:
        try:
            self._picture.load()
            measured = measure_grey(self._picture)
            rgb = convert_to_rgb(self._picture, None if measured is None else choose_scale(measured, self._grey))
            return turn_upright(rgb, read_orientation(self._picture))
        except Exception as error:  # on damaged bytes Pillow raises any exception
            raise UnusableImage(explain(b"", error)) from error
