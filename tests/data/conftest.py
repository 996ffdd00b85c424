"""Fixtures: pictures with a known look, and their files in any format."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from PIL import Image


@pytest.fixture
def encode() -> Callable[..., bytes]:
    """`encode(picture, "PNG", **options)`: the bytes of a picture's file."""

    def encode(picture: Image.Image, file_format: str, **options: Any) -> bytes:
        file = io.BytesIO()
        picture.save(file, file_format, **options)
        return file.getvalue()

    return encode


@pytest.fixture
def quarters() -> Image.Image:
    """A picture of 64 x 48 pixels in four flat colours: red, green, blue, yellow, from top left to bottom right."""
    pixels = np.zeros((48, 64, 3), np.uint8)
    pixels[:24, :32], pixels[:24, 32:] = (220, 30, 30), (30, 180, 40)
    pixels[24:, :32], pixels[24:, 32:] = (30, 50, 210), (230, 210, 40)
    return Image.fromarray(pixels)
