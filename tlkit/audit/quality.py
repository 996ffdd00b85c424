"""Pictures of poor quality: blank, very dark or bright, blurred or very small.

Each threshold is absolute, so that a set of night shots is not accused, and relative as well, so that a picture is only
listed where it differs from the others: a scan on black ground is usual among its like.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tlkit.audit.findings import Finding
from tlkit.audit.outliers import measure_deviations, score_deviation
from tlkit.data.looks import Looks
from tlkit.data.manifest import ImageRecord

Values = NDArray[np.floating[Any]]

BLANK_CONTRAST = 0.005
_MIN_DEVIATION, _MIN_SPREAD = 3.0, 0.1


@dataclass(frozen=True)
class _Check:
    """A kind of finding.

    Attributes:
        kind: See `tlkit.audit.findings.KINDS`.
        measure: The value of each picture, higher is worse, float (n,).
        limit: What it must reach in any case.
        describe: Words for a picture, by its place.
    """

    kind: str
    measure: Callable[[Looks], Values]
    limit: float
    describe: Callable[[Looks, int], str]


_CHECKS = (
    _Check(
        "dark",
        lambda looks: -np.log(looks.brightness + 1e-3),
        -float(np.log(0.12)),
        lambda looks, place: f"Its mean brightness is {looks.brightness[place]:.0%}.",
    ),
    _Check(
        "bright",
        lambda looks: -np.log(1.001 - looks.brightness),
        -float(np.log(0.08)),
        lambda looks, place: f"Its mean brightness is {looks.brightness[place]:.0%}.",
    ),
    _Check(
        "blurred",
        lambda looks: -np.log(looks.sharpness + 1e-3),
        -float(np.log(0.38)),
        lambda looks, place: f"Its sharpness is {looks.sharpness[place]:.2f}.",
    ),
    _Check(
        "tiny",
        lambda looks: -np.log(np.minimum(looks.width, looks.height) + 1e-3),
        -float(np.log(64.5)),
        lambda looks, place: f"It has {looks.width[place]} × {looks.height[place]} pixels.",
    ),
)


def find_poor_pictures(records: Sequence[ImageRecord], looks: Looks) -> list[Finding]:
    """Return findings for pictures that are poor, and differ from most of the data set in that.

    Args:
        records: The images.
        looks: What they look like, one row each.
    """
    findings = []
    is_blank = looks.is_usable & (looks.contrast < BLANK_CONTRAST)
    if is_blank.mean() < 0.5:
        for place in np.flatnonzero(is_blank).tolist():
            score = 1.0 - float(looks.contrast[place])
            findings.append(_make(records[place], "blank", score, "It has hardly more than a single colour."))
    for check in _CHECKS:
        values = np.where(looks.is_usable & ~is_blank, check.measure(looks), np.nan)
        deviations = measure_deviations(values, min_spread=_MIN_SPREAD)
        with np.errstate(invalid="ignore"):
            found = np.flatnonzero((values >= check.limit) & (deviations >= _MIN_DEVIATION))
        for place in found.tolist():
            score = score_deviation(float(deviations[place]), _MIN_DEVIATION)
            findings.append(_make(records[place], check.kind, score, check.describe(looks, place)))
    return findings


def _make(record: ImageRecord, kind: str, score: float, evidence: str) -> Finding:
    return Finding(kind, record.path, record.split, record.answer, score=score, evidence=evidence)
