"""Connections that cost nothing if nobody uses them: bounded in number, and closed if the head of a request is slow.

uvicorn closes a connection that is idle after an answer, but waits for ever for the first request, and for one of which
a byte comes now and then.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from tlkit.serving.limits import Limits
from tlkit.serving.refusals import RequestError, describe_error

INVALID = RequestError(
    HTTPStatus.BAD_REQUEST,
    "This is not a valid HTTP request.",
    expected="HTTP/1.1 with a head of at most 64 kB",
    fix="check the program that sends it.",
)


class Connections:
    """The connections that wait for the head of a request, oldest first.

    Args:
        limits: The limits.
        count_invalid: Called for each request that is not HTTP.
    """

    def __init__(self, limits: Limits, count_invalid: Callable[[], None]) -> None:
        self.limits = limits
        self.count_invalid = count_invalid
        self.waiting: dict[GuardedProtocol, asyncio.TimerHandle] = {}

    def make(self, **arguments: Any) -> GuardedProtocol:
        """Return the protocol of a new connection; uvicorn calls this."""
        return GuardedProtocol(self, **arguments)


class GuardedProtocol(H11Protocol):
    """HTTP/1.1 with limits on connections and on the time for the head of a request.

    Args:
        guarded: All connections of the server.
        arguments: As uvicorn passes them.
    """

    def __init__(self, guarded: Connections, **arguments: Any) -> None:
        super().__init__(**arguments)
        self._guarded = guarded

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Open a connection, in place of the oldest idle one if there are too many."""
        super().connection_made(transport)
        if len(self.connections) > self._guarded.limits.max_connections:
            next(iter(self._guarded.waiting), self).close_now()
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget a connection."""
        self._stop_watching()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take what the client sends."""
        super().data_received(data)
        self._watch()

    def on_response_complete(self) -> None:
        """Wait for the next request."""
        super().on_response_complete()
        self._watch()

    def send_400_response(self, msg: str) -> None:
        """Answer what is not HTTP as other errors are answered, and close the connection."""
        self._guarded.count_invalid()
        body = json.dumps(describe_error(INVALID)).encode()
        headers = [("content-type", "application/json"), ("content-length", str(len(body))), ("connection", "close")]
        events = (h11.Response(status_code=400, headers=headers), h11.Data(data=body), h11.EndOfMessage())
        with contextlib.suppress(h11.LocalProtocolError):  # an answer is under way: the request before was valid
            self.transport.write(b"".join(self.conn.send(event) or b"" for event in events))
        self.transport.close()

    def close_now(self) -> None:
        """Close the connection, which no request uses."""
        self._stop_watching()
        if not self.transport.is_closing():
            self.transport.abort()

    def _watch(self) -> None:
        """Start the clock if the connection waits for the head of a request; stop it if there is one."""
        is_waiting = self.conn.their_state is h11.IDLE and not self.transport.is_closing()
        if not is_waiting:
            self._stop_watching()
        elif self not in self._guarded.waiting:
            seconds = self._guarded.limits.header_seconds
            self._guarded.waiting[self] = self.loop.call_later(seconds, self.close_now)

    def _stop_watching(self) -> None:
        timer = self._guarded.waiting.pop(self, None)
        if timer is not None:
            timer.cancel()
