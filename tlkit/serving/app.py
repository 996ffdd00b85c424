"""The routes of the server, as a Starlette application."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from typing import Any, TypeVar

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from tlkit.reports.console import to_json
from tlkit.runtime import read_resident_memory
from tlkit.serving.access import Access
from tlkit.serving.bodies import BodyReader
from tlkit.serving.explanation import Explaining, Explanation
from tlkit.serving.gate import AccessCheck, Gate, Log, answer_bug, answer_error, answer_http_error
from tlkit.serving.limits import Limits
from tlkit.serving.metrics import CONTENT_TYPE, PREDICTED, UNKNOWN, UNREADABLE, Metrics
from tlkit.serving.model import AnsweredImage
from tlkit.serving.openapi import describe_api
from tlkit.serving.page import list_colours, render_page
from tlkit.serving.pool import QueueFull, WorkerPool
from tlkit.serving.queries import Query, read_query
from tlkit.serving.refusals import RequestError, describe_error
from tlkit.serving.uploads import Upload, read_uploads
from tlkit.untrusted import quote
from tlkit.version import __version__

Result = TypeVar("Result")

SMALL_BODY_BYTES = 2**18
"""A larger body is parsed in a thread, so that others do not wait for it."""


class JsonResponse(JSONResponse):
    """JSON with the numbers that `--json` prints."""

    def render(self, content: Any) -> bytes:
        """Return the text as UTF-8."""
        return json.dumps(to_json(content), allow_nan=False, ensure_ascii=False).encode("utf-8", "replace")


@dataclass(frozen=True)
class Identity:
    """What the server says of itself: the run's name, the engine's, and whether it asks for a token."""

    name: str
    engine: str
    needs_token: bool = False


class Service:
    """Answers requests.

    Args:
        explaining: The model, and what explains its answers.
        identity: What it is called.
        limits: The limits.
        pool: The threads that compute.
    """

    def __init__(self, explaining: Explaining, identity: Identity, limits: Limits, pool: WorkerPool) -> None:
        self.model = explaining.model
        self.explaining = explaining
        self.identity = identity
        self.limits = limits
        self.pool = pool
        self.bodies = BodyReader(limits)
        self._page = render_page(identity.name, self.model.spec, needs_token=identity.needs_token)
        self.metrics = Metrics(
            {
                ("tlkit_queue_length", "Images that wait for a thread."): lambda: pool.num_waiting,
                ("tlkit_threads_busy", "Threads at work."): lambda: pool.num_running,
                ("tlkit_held_bytes", "Bytes of bodies in memory."): lambda: self.bodies.num_held_bytes,
                ("process_resident_memory_bytes", "Memory of the process."): read_resident_memory,
            }
        )

    async def predict(self, request: Request) -> Response:
        """Answer POST /predict."""
        async with self._read(request) as (uploads, query):
            jobs = [
                partial(self.model.predict, upload, top_k=query.top_k, min_score=query.min_score) for upload in uploads
            ]
            answers = await self._compute(jobs)
            self._count(answers)
            rows = [answer.describe() for answer in answers]
            payload: dict[str, Any] = {"predictions": rows, "errors": sum(row["error"] is not None for row in rows)}
            if notices := self.model.describe_metadata(uploads):
                payload["notices"] = notices
        if payload["errors"] < len(rows):
            return JsonResponse(payload)
        return JsonResponse(payload | describe_error(_unreadable(answers)), HTTPStatus.UNPROCESSABLE_ENTITY)

    async def explain(self, request: Request) -> Response:
        """Answer POST /explain."""
        as_png = request.headers.get("accept", "").split(";")[0].strip() == "image/png"
        async with self._read(request) as (uploads, query):
            if len(uploads) > 1:
                raise RequestError(
                    HTTPStatus.BAD_REQUEST,
                    f"The request has {len(uploads)} images.",
                    expected="one image to explain",
                    fix="send one request for each.",
                )
            explain = partial(self.explaining.explain, uploads[0], top_k=query.top_k, min_score=query.min_score)
            (explanation,) = await self._compute([explain])
            self._count([explanation.answered])
            payload = explanation.describe()
            if notices := self.model.describe_metadata(uploads):
                payload["notices"] = notices
        if not explanation.answered.prediction.error:
            return _answer_map(explanation) if as_png else JsonResponse(payload)
        return JsonResponse(
            payload | describe_error(_unreadable([explanation.answered])), HTTPStatus.UNPROCESSABLE_ENTITY
        )

    async def page(self, request: Request) -> Response:
        """Answer GET /."""
        return HTMLResponse(self._page.html, headers={"Content-Security-Policy": self._page.policy})

    async def info(self, request: Request) -> Response:
        """Answer GET /info."""
        spec = self.model.spec
        return JsonResponse(
            {
                "name": self.identity.name,
                "tlkit": __version__,
                "engine": self.identity.engine,
                "backbone": spec.backbone,
                "task": spec.task,
                "class_names": spec.class_names,
                "colours": list_colours(spec),
                "target": spec.target.name if spec.target else None,
                "thresholds": spec.thresholds,
                "has_box": spec.has_box,
                "image_size": spec.image_size,
                "fit": spec.fit,
                "unknown_above": spec.unknown_above,
                "metadata": self.model.describe_columns(),
                "training_photos": self.explaining.photos.describe(),
                "max_images": self.limits.max_images,
                "max_body_bytes": self.limits.max_body_bytes,
            }
        )

    async def health(self, request: Request) -> Response:
        """Answer GET /health."""
        return JsonResponse({"status": "ok"})

    async def show_metrics(self, request: Request) -> Response:
        """Answer GET /metrics."""
        return Response(self.metrics.render(), media_type=CONTENT_TYPE)

    async def describe(self, request: Request) -> Response:
        """Answer GET /openapi.json."""
        return JsonResponse(describe_api(self.model.spec, self.limits))

    @asynccontextmanager
    async def _read(self, request: Request) -> AsyncIterator[tuple[list[Upload], Query]]:
        """Yield the images of a request and what it asks for."""
        query = read_query(request, self.model.spec)
        content_type = request.headers.get("content-type", "")
        async with self.bodies.read(request) as body:
            parse = partial(
                read_uploads, body, content_type, query.metadata, self.model.spec, max_images=self.limits.max_images
            )
            yield (parse() if len(body) <= SMALL_BODY_BYTES else await asyncio.to_thread(parse)), query

    async def _compute(self, jobs: Sequence[Callable[[], Result]]) -> list[Result]:
        """Run jobs in the pool, and return their results in order.

        Raises:
            RequestError: The queue is full, or the time is over.
        """
        try:
            futures = self.pool.submit(jobs)
        except QueueFull as full:
            raise _busy("The queue is full.", full.seconds) from full
        try:
            async with asyncio.timeout(self.limits.answer_seconds):
                return await asyncio.gather(*map(asyncio.wrap_future, futures))
        except TimeoutError as error:
            raise _busy(f"There was no answer after {self.limits.answer_seconds:g} s.", 1) from error

    def _count(self, answers: Sequence[AnsweredImage]) -> None:
        for answer in answers:
            self.metrics.count_images(UNREADABLE if answer.prediction.error else PREDICTED)
            if answer.prediction.is_unknown:
                self.metrics.count_images(UNKNOWN)


def build_app(service: Service, access: Access, log: Log) -> Starlette:
    """Return the application.

    Args:
        service: Answers the requests.
        access: Says which.
        log: Receives a line for each.
    """
    routes = [
        Route("/", service.page),
        Route("/predict", service.predict, methods=["POST"]),
        Route("/explain", service.explain, methods=["POST"]),
        Route("/info", service.info),
        Route("/health", service.health),
        Route("/metrics", service.show_metrics),
        Route("/openapi.json", service.describe),
    ]
    paths = frozenset(route.path for route in routes)
    middleware = [Middleware(Gate, paths=paths, metrics=service.metrics, log=log)]
    if access.allowed_origins:
        middleware.append(
            Middleware(
                CORSMiddleware,
                allow_origins=list(access.allowed_origins),
                allow_methods=["GET", "POST"],
                allow_headers=["Authorization", "Content-Type"],
            )
        )
    middleware.append(Middleware(AccessCheck, access=access))
    handlers: dict[Any, Any] = {RequestError: answer_error, HTTPException: answer_http_error, Exception: answer_bug}
    return Starlette(routes=routes, middleware=middleware, exception_handlers=handlers)


def _unreadable(answers: Sequence[AnsweredImage]) -> RequestError:
    first = answers[0].prediction
    which = "The image" if len(answers) == 1 else f"Each of {len(answers):,} images, such as {quote(first.path)},"
    return RequestError(
        HTTPStatus.UNPROCESSABLE_ENTITY,
        f"{which} cannot be read: {first.error}.",
        expected="images in JPEG, PNG, WebP, TIFF or another common format",
        fix="check the file.",
    )


def _answer_map(explanation: Explanation) -> Response:
    """Return the first heat map as a PNG file."""
    if explanation.maps:
        return Response(explanation.maps[0][1], media_type="image/png")
    raise RequestError(
        HTTPStatus.NOT_ACCEPTABLE,
        "There is no heat map: the model has one class or finds objects or masks, or its network has no feature map.",
        expected="a model of two classes or more, labels or a value",
        fix="ask for JSON.",
    )


def _busy(found: str, seconds: int) -> RequestError:
    return RequestError(
        HTTPStatus.SERVICE_UNAVAILABLE,
        found,
        expected="fewer requests at a time",
        fix=f"send the request again in {seconds} s.",
        headers={"Retry-After": str(seconds)},
    )
