"""Run an application with uvicorn: bound before the model is read, and stopped without losing an answer."""

from __future__ import annotations

import errno
import logging
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn
from starlette.applications import Starlette

from tlkit.errors import SettingError
from tlkit.interruption import SIGNALS
from tlkit.serving.limits import Limits
from tlkit.serving.protocol import Connections


def bind_socket(host: str, port: int) -> socket.socket:
    """Return a socket bound to an address; nobody can connect before the server listens.

    Args:
        host: An address or a name of this machine.
        port: 0 for any free port.

    Raises:
        SettingError: The address is not this machine's, the port is in use, or binding to it is not allowed.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except (OSError, UnicodeError) as error:
        raise SettingError(
            f"--host {host}: {getattr(error, 'strerror', None) or error}.",
            expected="an address of this machine",
            fix="leave out --host for 127.0.0.1.",
        ) from error
    bound = socket.socket(family, kind, protocol)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
    except OSError as error:
        bound.close()
        is_taken = error.errno == errno.EADDRINUSE
        raise SettingError(
            f"--host {host} --port {port}: {error.strerror}.",
            expected="a free port" if is_taken else "an address of this machine, and a port from 1024 on",
            fix="choose another port with --port, or end the program that uses it."
            if is_taken
            else "leave out --host for 127.0.0.1, and choose another --port.",
        ) from error
    return bound


class Server(uvicorn.Server):
    """A server that says when it is ready, and that ends by itself after SIGTERM or Ctrl-C.

    Args:
        config: As uvicorn takes it.
        announce: Called when the server is ready.
    """

    def __init__(self, config: uvicorn.Config, announce: Callable[[], None]) -> None:
        super().__init__(config)
        self._announce = announce

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen."""
        await super().startup(sockets)
        self._announce()

    def stop(self) -> None:
        """Ask the server to end; any thread may."""
        self.should_exit = True

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Let signals stop the server, which finishes what runs; a second one ends the process at once."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.getsignal(number) for number in SIGNALS}
        for number, handler in before.items():
            if handler is not signal.SIG_IGN:
                signal.signal(number, self.handle_exit)
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def make_server(
    app: Starlette, limits: Limits, *, count_invalid: Callable[[], None], announce: Callable[[], None]
) -> Server:
    """Return a server for an application; `run(sockets=[socket])` runs it.

    Args:
        app: The application.
        limits: The limits.
        count_invalid: Called for each request that is not HTTP.
        announce: Called when the server is ready.
    """
    logger = logging.getLogger("uvicorn")
    logger.handlers, logger.propagate = [logging.lastResort or logging.StreamHandler()], False
    connections = Connections(limits, count_invalid)
    http: Any = connections.make
    config = uvicorn.Config(
        app,
        http=http,
        loop="asyncio",
        ws="none",
        lifespan="off",
        interface="asgi3",
        access_log=False,
        log_config=None,  # its own would close all handlers that exist, and TensorFlow's takes standard error along
        log_level="error",
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=int(limits.idle_seconds),
        timeout_graceful_shutdown=int(limits.stop_seconds),
    )
    return Server(config, announce)
