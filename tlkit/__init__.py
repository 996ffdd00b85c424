"""Transfer learning on images with Keras, from the command line and from Python."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tlkit.version import __version__ as __version__

if TYPE_CHECKING:
    from tlkit.api import *
    from tlkit.api.model import Model as Model
    from tlkit.data.manifest import Manifest as Manifest
    from tlkit.errors import TlkitError as TlkitError
    from tlkit.reports.console import Console as Console
    from tlkit.tasks.predictions import Prediction as Prediction

    __all__: list[str]
else:  # Hidden from type checkers, which would accept every name.
    _CLASSES = {
        "Console": "tlkit.reports.console",
        "Manifest": "tlkit.data.manifest",
        "Model": "tlkit.api.model",
        "Prediction": "tlkit.tasks.predictions",
        "TlkitError": "tlkit.errors",
    }
    """Where the public classes are defined; the functions are those of `tlkit.api`. Each is imported on first use."""

    def __getattr__(name):
        import importlib

        if name in _CLASSES:
            return getattr(importlib.import_module(_CLASSES[name]), name)
        api = importlib.import_module("tlkit.api")
        if name == "__all__":
            return sorted([*api.__all__, *_CLASSES, "__version__"])
        if name in api.__all__:
            return getattr(api, name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

    def __dir__():
        return __getattr__("__all__")
