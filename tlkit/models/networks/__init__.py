"""The networks that a bundle carries to predict fast: one module per format, with its record `NETWORK_FORMAT`."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tlkit.models.networks.base import NetworkFormat

NETWORK_FORMATS = ("openvino",)
"""The formats by name, each a module of this package. The first that a bundle carries and that runs here predicts."""
PREDICTION_ENGINES = ("auto", "keras", *NETWORK_FORMATS)
"""What may run a saved model."""


def find_network_format(name: str) -> NetworkFormat:
    """Return a format by one of the names in `NETWORK_FORMATS`."""
    network_format: NetworkFormat = importlib.import_module(f"{__name__}.{name}").NETWORK_FORMAT
    return network_format
