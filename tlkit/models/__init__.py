"""The saved model: a description, weights and golden samples, from which tlkit builds the model again by its own code.

`find_bundle` and `read_spec` need no TensorFlow; what makes or runs a model is loaded when it is first asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tlkit.models.answers import cool, fit_target, to_deviations, to_values
from tlkit.models.novelty import NEVER, Novelty, choose_unknown_above, fit_novelty, pool_features
from tlkit.models.opening import open_classifier
from tlkit.models.predictor import BATCH_SIZE, Predictor
from tlkit.models.spec import BundleSpec, Provenance
from tlkit.models.storage import SPEC_FILE, WEIGHTS_FILE, find_bundle, read_spec

if TYPE_CHECKING:
    from tlkit.models.classifier import Classifier, assemble_classifier
    from tlkit.models.exports.conversion import convert_classifier
    from tlkit.models.saving import holds_weights, read_bundle, write_bundle

__all__ = [
    "BATCH_SIZE",
    "NEVER",
    "SPEC_FILE",
    "WEIGHTS_FILE",
    "BundleSpec",
    "Classifier",
    "Novelty",
    "Predictor",
    "Provenance",
    "assemble_classifier",
    "choose_unknown_above",
    "convert_classifier",
    "cool",
    "find_bundle",
    "fit_novelty",
    "fit_target",
    "holds_weights",
    "open_classifier",
    "pool_features",
    "read_bundle",
    "read_spec",
    "to_deviations",
    "to_values",
    "write_bundle",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from tlkit.models import classifier as model
    from tlkit.models import saving
    from tlkit.models.exports import conversion as converting

    return next(getattr(module, name) for module in (saving, model, converting) if hasattr(module, name))
