"""Fixtures: pictures with a known look, and their files in any format."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tlkit.tasks import find_task
from tlkit.tasks.objects_task import ObjectsTask


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


@pytest.fixture
def detection(monkeypatch: pytest.MonkeyPatch) -> Iterator[ObjectsTask]:
    """The task `detection`, of which only that half exists that reads data."""
    monkeypatch.setattr(ObjectsTask, "__abstractmethods__", frozenset())
    module = ModuleType("tlkit.tasks.detection")
    task = ObjectsTask()  # type: ignore[abstract]
    vars(module)["TASK"] = task
    monkeypatch.setitem(sys.modules, module.__name__, module)
    find_task.cache_clear()
    yield task
    find_task.cache_clear()
