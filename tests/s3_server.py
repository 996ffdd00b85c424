"""A small server that speaks as much of S3 as tlkit asks for, and fails when told to.

It lists with continuation, reads ranges on conditions, and writes on a condition. Faults are drawn from a seed, per
request, so that a test is the same each time.
"""

from __future__ import annotations

import hashlib
import os
import random
import re
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit
from xml.sax.saxutils import escape

import pytest

from tlkit.places import retries
from tlkit.places.copies import forget_copies

PAGE = 100
"""Keys in a page of a list."""


@dataclass
class Faults:
    """What goes wrong, as fractions of the requests, 0..1; `broken` keys always fail with their status."""

    errors: float = 0.0
    cuts: float = 0.0
    slow: float = 0.0
    slow_seconds: float = 0.05
    broken: dict[str, int] = field(default_factory=dict)
    seed: int = 0


class S3Server:
    """The server: `buckets` holds the objects' bytes by bucket and key, `requests` counts methods, `tries` keys.

    Attributes:
        denied: Whether every request is answered with 403.
    """

    def __init__(self) -> None:
        self.buckets: dict[str, dict[str, bytes]] = {}
        self.faults = Faults()
        self.requests: Counter[str] = Counter()
        self.tries: Counter[str] = Counter()
        self.num_faults = 0
        self.denied = False
        self.lock = threading.Lock()
        self._random = random.Random(0)
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.s3 = self
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def fail(self, faults: Faults) -> None:
        self.faults = faults
        self._random = random.Random(faults.seed)

    def draw(self) -> str:
        """Return what goes wrong with a request: error, cut, slow or nothing."""
        with self.lock:
            number = self._random.random()
            faults = self.faults
            kind = ""
            for name, share in (("error", faults.errors), ("cut", faults.cuts), ("slow", faults.slow)):
                if number < share:
                    kind = name
                    break
                number -= share
            self.num_faults += kind in {"error", "cut"}
            return kind

    @contextmanager
    def running(self) -> Iterator[S3Server]:
        self._thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            self._server.server_close()
            self._thread.join()


def make_etag(content: bytes) -> str:
    return f'"{hashlib.md5(content, usedforsecurity=False).hexdigest()}"'


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    s3: S3Server

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of clients that hang up."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = 2**16  # header and body in one packet; else each answer waits for 40 ms
    server: _Server

    @property
    def s3(self) -> S3Server:
        return self.server.s3

    def log_message(self, *_: Any) -> None:
        pass

    def do_GET(self) -> None:
        bucket, key, query = self._parse()
        if self._refuse(bucket, key):
            return
        objects = self.s3.buckets[bucket]
        if not key:
            self._list(bucket, objects, query)
            return
        content = objects.get(key)
        if content is None:
            self._send(404, _error("NoSuchKey"))
            return
        condition = self.headers.get("If-Match")
        if condition and condition != make_etag(content):
            self._send(412, _error("PreconditionFailed"))
            return
        status, headers = 200, {"ETag": make_etag(content), "Last-Modified": "Sun, 01 Nov 2026 00:00:00 GMT"}
        wanted = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
        if wanted:
            start, stop = int(wanted[1]), min(int(wanted[2]), len(content) - 1)
            headers["Content-Range"] = f"bytes {start}-{stop}/{len(content)}"
            status, content = 206, content[start : stop + 1]
        self._send(status, content, headers)

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_PUT(self) -> None:
        bucket, key, _ = self._parse()
        content = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self._refuse(bucket, key):
            return
        with self.s3.lock:
            exists = key in self.s3.buckets[bucket]
            if not (exists and self.headers.get("If-None-Match") == "*"):
                self.s3.buckets[bucket][key] = content
                exists = False
        self._send(412 if exists else 200, b"", {"ETag": make_etag(content)})

    def _parse(self) -> tuple[str, str, dict[str, list[str]]]:
        parts = urlsplit(self.path)
        bucket, _, key = unquote(parts.path).lstrip("/").partition("/")
        with self.s3.lock:
            self.s3.requests[self.command] += 1
            if key:
                self.s3.tries[key] += 1
        return bucket, key, parse_qs(parts.query)

    def _refuse(self, bucket: str, key: str) -> bool:
        fault = self.s3.draw()
        if fault == "slow":
            time.sleep(self.s3.faults.slow_seconds)
        self._cut = fault == "cut"
        status = self.s3.faults.broken.get(key)
        if self.s3.denied:
            status = 403
        elif fault == "error":
            status = 503 if self.s3.num_faults % 2 else 500
        elif bucket not in self.s3.buckets:
            status = 404
        if status:
            self._send(status, _error("NoSuchBucket" if status == 404 else "SlowDown"))
        return status is not None

    def _list(self, bucket: str, objects: dict[str, bytes], query: dict[str, list[str]]) -> None:
        prefix = query.get("prefix", [""])[0]
        after = query.get("continuation-token", query.get("start-after", [""]))[0]
        with self.s3.lock:
            keys = sorted(key for key in objects if key.startswith(prefix) and key > after)
            page = [(key, objects[key]) for key in keys[:PAGE]]
        is_cut = len(keys) > PAGE
        entries = "".join(
            f"<Contents><Key>{escape(quote(key) if 'encoding-type' in query else key)}</Key>"
            f"<LastModified>2026-11-01T00:00:00.000Z</LastModified>"
            f"<ETag>{escape(make_etag(content))}</ETag><Size>{len(content)}</Size>"
            f"<StorageClass>STANDARD</StorageClass></Contents>"
            for key, content in page
        )
        token = f"<NextContinuationToken>{escape(page[-1][0])}</NextContinuationToken>" if is_cut else ""
        text = (
            f'<?xml version="1.0" encoding="UTF-8"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
            f"<Name>{bucket}</Name><Prefix>{escape(prefix)}</Prefix><KeyCount>{len(page)}</KeyCount>"
            f"<MaxKeys>{PAGE}</MaxKeys><IsTruncated>{'true' if is_cut else 'false'}</IsTruncated>{token}{entries}"
            "</ListBucketResult>"
        )
        self._send(200, text.encode(), {"Content-Type": "application/xml"})

    def _send(self, status: int, content: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command == "HEAD":
            return
        if getattr(self, "_cut", False) and len(content) > 1:
            self.wfile.write(content[: len(content) // 2])
            self.wfile.flush()
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        self.wfile.write(content)


def _error(code: str) -> bytes:
    return f"<Error><Code>{code}</Code><Message>{code}</Message></Error>".encode()


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[S3Server]:
    """A server with an empty bucket, which the environment names, and pauses between tries that take no time."""
    pytest.importorskip("obstore", reason="needs obstore: pip install 'tlkit[cloud]'")
    for name in list(os.environ):
        if name.startswith(("AWS_", "GOOGLE_", "AZURE_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "reader")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "a-secret-key")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    monkeypatch.setattr(retries, "FIRST_PAUSE_SECONDS", 0.001)
    with S3Server().running() as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
        server.buckets["bucket"] = {}
        yield server
        forget_copies()
