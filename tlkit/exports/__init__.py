"""Files for people without tlkit: one module per format, with its record `EXPORT`."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tlkit.exports.base import Export

EXPORTS = ("keras", "savedmodel", "onnx", "litert", "openvino")
"""The formats by name, each a module of this package."""


def find_export(name: str) -> Export:
    """Return a format by one of the names in `EXPORTS`."""
    export: Export = importlib.import_module(f"{__name__}.{name}").EXPORT
    return export
