"""What the inputs of a linear layer can be made into, by name. See `tlkit.metrics.whitening`."""

from __future__ import annotations

from dataclasses import dataclass

NONE, CENTRE, STANDARD, PCA, ZCA = "none", "centre", "standard", "pca", "zca"
WHITENINGS = (NONE, CENTRE, STANDARD, PCA, ZCA)
WITH_MATRIX = (PCA, ZCA)
MAX_WHITENED = 4096
"""Most inputs with a matrix: 4,096 take 67 MB in the model, and half a minute on two cores."""


@dataclass(frozen=True)
class Whitening:
    """What is made of the inputs.

    Attributes:
        kind: One of `WHITENINGS`.
        floor: The lowest variance that pca and zca make 1, as a fraction of the largest.
    """

    kind: str = NONE
    floor: float = 0.1


STANDARDISED = Whitening()
"""Of a probe, whose inputs are standardised in any case."""
