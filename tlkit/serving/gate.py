"""What every request passes: access, headers that protect browsers, metrics and a line of the log."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http import HTTPStatus

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tlkit.serving.access import Access
from tlkit.serving.metrics import Metrics
from tlkit.serving.refusals import RequestError, describe_error
from tlkit.untrusted import MAX_QUOTED_LENGTH, is_clean_text, quote

Log = Callable[[str], None]

OTHER_ROUTE = "other"
PROTECTION = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"x-frame-options", b"DENY"),
    (b"cache-control", b"no-store"),
)


async def answer_error(request: Request, error: Exception) -> Response:
    """Return a `RequestError` as JSON."""
    assert isinstance(error, RequestError)
    return JSONResponse(describe_error(error), error.status, headers=error.headers)


async def answer_http_error(request: Request, error: Exception) -> Response:
    """Answer what Starlette itself refuses: another path or method."""
    assert isinstance(error, HTTPException)
    allowed = (error.headers or {}).get("Allow", "")
    refusal = RequestError(
        HTTPStatus(error.status_code),
        f"{request.method} {quote(request.url.path)}: {HTTPStatus(error.status_code).phrase.lower()}.",
        expected=f"the method {allowed}" if allowed else "a path of /openapi.json",
        fix="check the address and the method.",
        headers=error.headers,
    )
    return await answer_error(request, refusal)


async def answer_bug(request: Request, error: Exception) -> Response:
    """Answer after an unexpected exception, whose traceback the server writes to standard error."""
    refusal = RequestError(
        HTTPStatus.INTERNAL_SERVER_ERROR,
        "The server has failed.",
        expected="an answer",
        fix="look at the server's standard error; please report the traceback there.",
        headers={"Connection": "close"},  # uvicorn closes it
    )
    return await answer_error(request, refusal)


class AccessCheck:
    """Refuses requests that may not be answered.

    Args:
        app: Answers the others.
        access: The rules.
    """

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app = app
        self._access = access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or refuse it before its body is read."""
        try:
            self._access.check(Headers(scope=scope), scope["path"])
        except RequestError as error:
            response = await answer_error(Request(scope), error)
            # The body is not read, so the connection cannot go on.
            response.headers["Connection"] = "close"
            await response(scope, receive, send)
            return
        await self._app(scope, receive, send)


class Gate:
    """Counts and logs requests, and adds headers to their answers.

    Args:
        app: Answers them.
        paths: The paths that there are; clients do not make up new ones in the metrics.
        metrics: Counts.
        log: Receives a line for each.
    """

    def __init__(self, app: ASGIApp, paths: frozenset[str], metrics: Metrics, log: Log) -> None:
        self._app = app
        self._paths = paths
        self._metrics = metrics
        self._log = log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        status = 500

        async def send_protected(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message = {**message, "headers": [*message["headers"], *PROTECTION]}
            await send(message)

        with self._noted(scope, lambda: status):
            await self._app(scope, receive, send_protected)

    @contextmanager
    def _noted(self, scope: Scope, read_status: Callable[[], int]) -> Iterator[None]:
        start = time.perf_counter()
        try:
            yield
        finally:
            seconds = time.perf_counter() - start
            path = scope["path"]
            self._metrics.count_request(path if path in self._paths else OTHER_ROUTE, read_status(), seconds)
            client = (scope.get("client") or ("-",))[0]
            self._log(f"{client} {scope['method']} {_quote_path(path)} {read_status()} {1000 * seconds:.0f} ms")


def _quote_path(path: str) -> str:
    """Return a path as it is if it is plain, else quoted: it may pretend to be another line."""
    return path if is_clean_text(path, max_length=MAX_QUOTED_LENGTH) else quote(path)
