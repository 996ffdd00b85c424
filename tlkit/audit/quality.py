"""Pictures of poor quality: blank, nothing but text, very dark or bright, blurred or very small.

A blank picture is always listed. Every other threshold is absolute and relative as well: a picture is only listed where
it differs clearly from those that pass the absolute one, and where these are at least a quarter of the set. So neither a
set of night shots nor one of scanned pages is accused, and half a set of failed photos is.
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
_MIN_USUAL = 0.25
"""A picture is judged by those within the limit if they are at least this part of the set."""


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
    for place in np.flatnonzero(is_blank).tolist():
        score = 1.0 - float(looks.contrast[place])
        findings.append(_make(records[place], "blank", score, "It has hardly more than a single colour."))
    is_seen = looks.is_usable & ~is_blank
    is_text = is_seen & (looks.strokes > 0)
    if _are_usual(is_seen & ~is_text, is_seen):
        for place in np.flatnonzero(is_text).tolist():
            evidence = f"Strokes on an even ground cover {looks.strokes[place]:.0%} of it; it shows nothing else."
            findings.append(_make(records[place], "text", 1.0 - float(looks.strokes[place]), evidence))
    for check in _CHECKS:
        values = check.measure(looks)
        is_beyond = is_seen & (values >= check.limit)
        is_usual = is_seen & ~is_beyond
        if not _are_usual(is_usual, is_seen):
            continue
        deviations = measure_deviations(values, among=is_usual, min_spread=_MIN_SPREAD)
        for place in np.flatnonzero(is_beyond & (deviations >= _MIN_DEVIATION)).tolist():
            score = score_deviation(float(deviations[place]), _MIN_DEVIATION)
            findings.append(_make(records[place], check.kind, score, check.describe(looks, place)))
    return findings


def _are_usual(some: NDArray[np.bool_], pictures: NDArray[np.bool_]) -> bool:
    return bool(some.any()) and int(some.sum()) >= _MIN_USUAL * int(pictures.sum())


def _make(record: ImageRecord, kind: str, score: float, evidence: str) -> Finding:
    return Finding(kind, record.path, record.split, record.answer, score=score, evidence=evidence)
