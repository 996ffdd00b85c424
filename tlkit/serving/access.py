"""Who may ask: the token, and the checks that keep web pages of others from using a server on this machine."""

from __future__ import annotations

import hmac
import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import urlsplit

from tlkit.serving.refusals import RequestError
from tlkit.untrusted import quote

OPEN_ROUTES = frozenset({"/", "/health"})
"""Answered without a token: the page, which asks for it, and the check that the server runs."""
LOCAL_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True)
class Access:
    """The rules for requests.

    Attributes:
        host: The address that the server is bound to.
        token: The token that clients send; None for none.
        allowed_hosts: Further names of the server, as clients call it.
        allowed_origins: Web sites whose pages may ask.
    """

    host: str
    token: str | None = None
    allowed_hosts: tuple[str, ...] = ()
    allowed_origins: tuple[str, ...] = ()

    @property
    def is_local(self) -> bool:
        """Whether only programs on this machine can reach the server."""
        return is_loopback(self.host)

    def check(self, headers: Mapping[str, str], path: str) -> None:
        """Check the head of a request.

        Args:
            headers: By their names in lower case.
            path: The path that is asked for.

        Raises:
            RequestError: The request may not be answered.
        """
        host = headers.get("host", "")
        self._check_host(host)
        self._check_origin(headers.get("origin"), host)
        if self.token is not None and path not in OPEN_ROUTES:
            self._check_token(headers.get("authorization", ""))

    def _check_host(self, host: str) -> None:
        """Refuse names that are not the server's: a site whose name suddenly leads to this machine (DNS rebinding)."""
        if not self.is_local and not self.allowed_hosts:
            return
        names = {self.host, *self.allowed_hosts, *(LOCAL_NAMES if self.is_local else ())}
        if split_host(host) not in {name.lower() for name in names}:
            raise RequestError(
                HTTPStatus.MISDIRECTED_REQUEST,
                f"The request is for the host {quote(host)}.",
                expected=f"one of {', '.join(sorted(names))}",
                fix="if this is the server's name, start it with --allow-host NAME.",
            )

    def _check_origin(self, origin: str | None, host: str) -> None:
        """Refuse what a browser sends for a page of another site."""
        if origin is None or origin in self.allowed_origins:
            return
        if urlsplit_or_empty(origin) != host.lower():
            raise RequestError(
                HTTPStatus.FORBIDDEN,
                f"The request comes from a page of {quote(origin)}.",
                expected="requests of programs, or of the server's own page",
                fix="to let pages of this site ask, start the server with --allow-origin.",
            )

    def _check_token(self, authorization: str) -> None:
        scheme, _, given = authorization.partition(" ")
        wanted = (self.token or "").encode("utf-8")
        is_right = hmac.compare_digest(given.strip().encode("utf-8", "surrogateescape"), wanted)
        if scheme.lower() != "bearer" or not is_right:
            raise RequestError(
                HTTPStatus.UNAUTHORIZED,
                "The request has another token." if authorization else "The request has no token.",
                expected="the header Authorization: Bearer TOKEN",
                fix="send the token that the server was started with.",
                headers={"WWW-Authenticate": "Bearer"},
            )


def is_loopback(host: str) -> bool:
    """Return whether an address is only reached from this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def split_host(host: str) -> str:
    """Return the name in a header Host, without the port, in lower case."""
    name = host.strip().lower()
    if name.startswith("["):
        return name[1:].partition("]")[0]
    return name.partition(":")[0]


def urlsplit_or_empty(origin: str) -> str:
    """Return host and port of an origin, in lower case; empty if it has none."""
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return ""
