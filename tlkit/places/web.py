"""Files of a web server: one file, or those that a listing page links to, and the pages below it."""

from __future__ import annotations

import base64
import http.client
import re
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urljoin, urlsplit

from tlkit.errors import PlaceError, SettingError
from tlkit.places.failures import ObjectError
from tlkit.places.place import Place
from tlkit.places.retries import PassingError, try_again
from tlkit.places.stores import RANGE_BYTES, REQUEST_SECONDS, StoredObject

_LINK = re.compile(rb"""<a\s[^>]*?href\s*=\s*["']?([^"'\s>]+)""", re.IGNORECASE)
_MAX_PAGE_BYTES = 2**26
_MAX_FILE_BYTES = 2**30
_MAX_DEPTH = 32
_NUM_PARALLEL = 16
_PASSING = {408, 425, 429, *range(500, 600)}


class WebStore:
    """A file or a listing page of a web server.

    Args:
        place: Its address.
    """

    def __init__(self, place: Place) -> None:
        self.place = place

    def list(self) -> Iterator[StoredObject]:
        """Yield the files that the page and the pages below it link to.

        Raises:
            PassingError: The server fails again and again.
            PlaceError: The page does not exist, may not be read, or lists nothing.
        """
        with ThreadPoolExecutor(_NUM_PARALLEL) as pool:
            for stored in pool.map(self._find_listed, self._walk("", 0)):
                if stored is not None:
                    yield stored

    def _find_listed(self, key: str) -> StoredObject | None:
        return try_again(lambda: self.find(key))

    def _walk(self, folder: str, depth: int) -> Iterator[str]:
        """Yield the keys of the files below a page."""
        base = self._address(folder or "/")
        try:
            with try_again(lambda: self._request(folder or "/")) as page:
                kind = page.headers.get_content_type()
                content = page.read(_MAX_PAGE_BYTES) if kind in {"text/html", "application/xhtml+xml"} else None
        except ObjectError as failure:
            raise self._refuse(f"{folder and folder + ': '}{failure}") from failure
        if content is None:
            raise self._refuse(f"it is {kind}, not a page")
        for link in dict.fromkeys(_LINK.findall(content)):
            target = urljoin(base, unescape(link.decode("utf-8", "replace")))
            if not target.startswith(base) or "?" in target or "#" in target or target == base:
                continue  # a link to above, to another server, or to the same page in another order
            key = folder + unquote(target[len(base) :], errors="surrogateescape")
            if not target.endswith("/"):
                yield key
            elif depth < _MAX_DEPTH:
                yield from self._walk(key, depth + 1)

    def find(self, key: str) -> StoredObject | None:
        """Return a file's size and tag; None if there is none, or a page of the same name."""
        try:
            with self._request(key, method="HEAD") as answer:
                if urlsplit(answer.url).path.endswith("/"):  # it sends on to a page
                    return None
                headers = answer.headers
        except ObjectError as failure:
            if str(failure) == _MISSING:
                return None
            raise
        tag = (headers.get("ETag") or headers.get("Last-Modified") or "").strip('"')
        return StoredObject(key, int(headers.get("Content-Length") or -1), tag)

    def read(self, stored: StoredObject, start: int) -> bytes:
        """Return a part of a file, or all that is left of it if the server sends no parts."""
        stop = start + RANGE_BYTES - 1
        headers = {"Range": f"bytes={start}-{stop}"} if start or stored.num_bytes > RANGE_BYTES else {}
        try:
            with self._request(stored.key, headers=headers) as answer:
                if start and answer.status != http.client.PARTIAL_CONTENT:
                    raise ObjectError("the server sends no parts of files")
                content: bytes = answer.read(_MAX_FILE_BYTES + 1)
        except (http.client.HTTPException, OSError) as error:
            raise PassingError(_describe(error)) from error
        if len(content) > _MAX_FILE_BYTES:
            raise ObjectError(f"larger than {_MAX_FILE_BYTES:,} bytes")
        return content

    def write(self, key: str, file: Path, *, only_new: bool) -> bool:
        """Refuse.

        Raises:
            SettingError: Always.
        """
        raise SettingError(
            f"{self.place}: nothing can be written to a web server.",
            expected="s3://, gs://, az:// or a local path",
            fix="choose one of them.",
        )

    def _address(self, key: str) -> str:
        path = "/".join(part for part in (self.place.key, key.lstrip("/")) if part)
        is_page = key.endswith("/") and bool(path) and not path.endswith("/")
        return f"{self.place.scheme}://{self.place.bucket}/{quote(path, errors='surrogateescape')}{'/' * is_page}"

    def _request(self, key: str, *, method: str = "GET", headers: dict[str, str] | None = None) -> Any:
        """Send a request and return the answer, open.

        Raises:
            ObjectError: The server refuses.
            PassingError: It is busy, or cannot be reached.
        """
        address = self._address(key) + (f"?{self.place.query}" if self.place.query else "")
        request = urllib.request.Request(address, method=method, headers=headers or {})  # noqa: S310 - http(s) only
        if self.place.user:
            token = base64.b64encode(self.place.user.encode()).decode()
            request.add_unredirected_header("Authorization", f"Basic {token}")
        try:
            answer = urllib.request.urlopen(request, timeout=REQUEST_SECONDS)  # noqa: S310 - http(s) only
        except urllib.error.HTTPError as error:
            error.close()
            if error.code in _PASSING:
                raise PassingError(_describe(error)) from error
            raise ObjectError(_MISSING if error.code in {404, 410} else _describe(error)) from error
        except (OSError, http.client.HTTPException) as error:
            raise PassingError(_describe(error)) from error
        if urlsplit(answer.url).scheme not in {"http", "https"}:
            answer.close()
            raise ObjectError("the server sends on to another kind of address")
        return answer

    def _refuse(self, found: str) -> PlaceError:
        return PlaceError(
            f"{self.place}: {found}.",
            expected="the address of an image or a table, or, with a slash at its end, of a page that lists files",
            fix="check the address.",
        )


_MISSING = "no such file"


def _describe(error: Exception) -> str:
    if isinstance(error, urllib.error.HTTPError):
        return f"the server answers {error.code} {error.reason}"
    reason = getattr(error, "reason", None) or getattr(error, "strerror", None) or error
    return f"{type(error).__name__}: {reason}" if not isinstance(error, urllib.error.URLError) else str(reason)
