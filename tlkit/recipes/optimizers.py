"""The optimizers, by name, and their usual learning rates."""

from __future__ import annotations

ADAM, ADAMW = "adam", "adamw"
RATE_FACTORS = {
    "sgd": 30.0,
    "momentum": 3.0,
    "nesterov": 3.0,
    "adagrad": 3.0,
    "rmsprop": 0.3,
    ADAM: 1.0,
    ADAMW: 1.0,
    "lion": 0.3,
}
"""The usual rate of each as a multiple of AdamW's, measured by `benchmarks/optimizers.py`."""
OPTIMIZERS = tuple(RATE_FACTORS)
