"""Export formats: one module per format, with its record `EXPORT`."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tlkit.models.exports.base import Export

EXPORTS = ("openvino",)
"""The formats by name, each a module of this package. The first that a bundle carries and that runs here predicts."""
PREDICTION_ENGINES = ("auto", "keras", *EXPORTS)
"""What may run a saved model."""


def find_export(name: str) -> Export:
    """Return a format by one of the names in `EXPORTS`."""
    export: Export = importlib.import_module(f"{__name__}.{name}").EXPORT
    return export
