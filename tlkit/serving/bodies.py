"""Read the bodies of requests, in bounded time and memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus

from starlette.requests import ClientDisconnect, Request

from tlkit.serving.limits import MEGABYTE, Limits
from tlkit.serving.refusals import RequestError

DISCARD_SECONDS = 5.0
DISCARD_BODIES = 4
"""A refused body is read to its end, so that the client gets the answer, up to so many times the limit."""


class BodyReader:
    """Reads bodies; all of them together take bounded memory.

    Args:
        limits: The limits.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self.num_held_bytes = 0

    @asynccontextmanager
    async def read(self, request: Request) -> AsyncIterator[bytes]:
        """Yield the body of a request; its memory counts until the block ends.

        Raises:
            RequestError: It is empty, encoded, too large or too slow, its client is gone, or there is no memory for it.
        """
        body = bytearray()
        try:
            await self._receive(request, body)
            yield bytes(body)
        finally:
            self.num_held_bytes -= len(body)

    async def _receive(self, request: Request, body: bytearray) -> None:
        """Add a request's body to `body`, which is counted as it grows."""
        try:
            self._check_head(request)
            async with asyncio.timeout(self._limits.body_seconds):
                async for chunk in request.stream():
                    self._check_size(len(body) + len(chunk))
                    self._take(len(chunk))
                    body += chunk
        except RequestError as error:
            if error.status is HTTPStatus.REQUEST_ENTITY_TOO_LARGE and "expect" not in request.headers:
                await self._discard(request)
            raise
        except TimeoutError as error:
            raise RequestError(
                HTTPStatus.REQUEST_TIMEOUT,
                f"The body was not complete after {self._limits.body_seconds:g} s.",
                expected="the whole body within this time",
                fix="send smaller pictures, or use a faster connection.",
                headers={"Connection": "close"},
            ) from error
        except ClientDisconnect as error:
            raise RequestError(
                HTTPStatus.BAD_REQUEST, "The client is gone.", expected="the whole body", fix="send it again."
            ) from error
        if not body:
            raise RequestError(
                HTTPStatus.BAD_REQUEST,
                "The request has no body.",
                expected="at least one image",
                fix="send an image, as `curl -F image=@photo.jpg` does.",
            )

    def _check_head(self, request: Request) -> None:
        encoding = request.headers.get("content-encoding", "identity")
        if encoding.lower() != "identity":
            raise RequestError(
                HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
                "The body is compressed.",
                expected="a body without Content-Encoding; pictures are compressed already",
                fix="send it as it is.",
                headers={"Connection": "close"},
            )
        length = request.headers.get("content-length", "")
        if length.isdecimal():
            self._check_size(int(length))

    def _check_size(self, num_bytes: int) -> None:
        if num_bytes > self._limits.max_body_bytes:
            raise RequestError(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                f"The body has more than {self._limits.max_body_bytes / MEGABYTE:g} MB.",
                expected="a smaller body",
                fix="send fewer or smaller pictures, or start the server with a larger --max-upload.",
                headers={"Connection": "close"},
            )

    def _take(self, num_bytes: int) -> None:
        if self.num_held_bytes + num_bytes > self._limits.max_held_bytes:
            raise RequestError(
                HTTPStatus.SERVICE_UNAVAILABLE,
                "The server holds as many bytes of other requests as it may.",
                expected="fewer requests at a time",
                fix="send the request again later.",
                headers={"Retry-After": "1", "Connection": "close"},
            )
        self.num_held_bytes += num_bytes

    async def _discard(self, request: Request) -> None:
        """Read the rest of a body that is too large, in bounded time: a client that still sends does not read."""
        left = DISCARD_BODIES * self._limits.max_body_bytes
        try:
            async with asyncio.timeout(DISCARD_SECONDS):
                while left > 0:
                    message = await request.receive()
                    left -= len(message.get("body", b""))
                    if not message.get("more_body", False):
                        return
        except TimeoutError:
            return
