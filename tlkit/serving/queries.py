"""Read what a request asks for in its address: `?top_k=5`, `?min_score=0.3` and metadata of all images."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus

from starlette.requests import Request

from tlkit.models.spec import BundleSpec
from tlkit.serving.refusals import RequestError
from tlkit.tasks import find_task
from tlkit.untrusted import quote

DEFAULT_TOP_K = 3


@dataclass(frozen=True)
class Query:
    """What a request asks for.

    Attributes:
        top_k: Number of ranked classes or labels, at least 1.
        min_score: Objects with lower scores, 0..1, are left out; None for the model's thresholds.
        metadata: The other parameters, which are metadata of all images.
    """

    top_k: int
    min_score: float | None
    metadata: Mapping[str, str]


def read_query(request: Request, spec: BundleSpec) -> Query:
    """Read the parameters of an address.

    Args:
        request: The request.
        spec: The model's description; only one with objects has a lowest score.

    Raises:
        RequestError: A parameter appears twice, or is out of range.
    """
    pairs = request.query_params.multi_items()
    parameters = dict(pairs)
    if len(parameters) < len(pairs):
        raise RequestError(
            HTTPStatus.BAD_REQUEST,
            "A parameter of the address appears twice.",
            expected="each parameter once",
            fix="remove one of them.",
        )
    top_k = _read_top_k(parameters.pop("top_k", str(DEFAULT_TOP_K)))
    score = parameters.pop("min_score", None) if find_task(spec.task).lists_objects else None
    return Query(top_k, None if score is None else _read_score(score), parameters)


def _read_top_k(text: str) -> int:
    if text.isascii() and text.isdecimal() and 1 <= len(text) <= 6 and int(text):
        return int(text)
    raise RequestError(
        HTTPStatus.BAD_REQUEST,
        f"top_k is {quote(text)}.",
        expected="a whole number from 1 on",
        fix=f"leave it out for {DEFAULT_TOP_K}.",
    )


def _read_score(text: str) -> float:
    try:
        score = float(text) if text.isascii() and len(text) <= 20 else math.nan
    except ValueError:
        score = math.nan
    if 0 <= score <= 1:
        return score
    raise RequestError(
        HTTPStatus.BAD_REQUEST,
        f"min_score is {quote(text)}.",
        expected="a number, 0..1",
        fix="leave it out for the model's own thresholds.",
    )
