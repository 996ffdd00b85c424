"""Transfer learning on images with Keras, from the command line and from Python."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tlkit.version import __version__

if TYPE_CHECKING:
    from tlkit.api import (
        compare,
        compute_features,
        demo,
        describe_backbone,
        evaluate,
        finetune,
        leak,
        list_backbones,
        list_caches,
        load,
        lr_find,
        plan,
        precompute,
        predict,
        prune_caches,
        read_data,
        run,
        verify_caches,
    )
    from tlkit.api.model import Model
    from tlkit.data.manifest import Manifest
    from tlkit.errors import TlkitError
    from tlkit.reports.console import Console
    from tlkit.tasks.predictions import Prediction

_HOMES = {
    "Console": "tlkit.reports.console",
    "Manifest": "tlkit.data.manifest",
    "Model": "tlkit.api.model",
    "Prediction": "tlkit.tasks.predictions",
    "TlkitError": "tlkit.errors",
}
"""Where a public name is defined, unless in `tlkit.api`; either is imported when the name is first used."""

__all__ = [
    "Console",
    "Manifest",
    "Model",
    "Prediction",
    "TlkitError",
    "__version__",
    "compare",
    "compute_features",
    "demo",
    "describe_backbone",
    "evaluate",
    "finetune",
    "leak",
    "list_backbones",
    "list_caches",
    "load",
    "lr_find",
    "plan",
    "precompute",
    "predict",
    "prune_caches",
    "read_data",
    "run",
    "verify_caches",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_HOMES.get(name, "tlkit.api")), name)


def __dir__() -> list[str]:
    return __all__
