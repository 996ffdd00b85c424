"""Clients that mean no good: each gets a refusal or a closed connection, and the next one its answer."""

from __future__ import annotations

import io
import socket
import struct
import time
import zlib
from collections.abc import Callable

import httpx
import pytest
from PIL import Image

from tests.serving.conftest import Served, ServeModel, encode_image
from tlkit.serving.limits import Limits

RED = encode_image("red")
LIMITS = Limits(
    max_body_bytes=2**20, header_seconds=0.3, body_seconds=0.3, idle_seconds=1.0, max_connections=20, max_images=4
)
POST = b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\n"


@pytest.fixture
def served(serve_model: ServeModel) -> Served:
    return serve_model(limits=LIMITS)


def talk(served: Served, *parts: bytes) -> bytes:
    """Send raw bytes, and return all that comes back until the server closes the connection."""
    with socket.create_connection(("127.0.0.1", served.port), timeout=10) as connection:
        received = b""
        try:
            for part in parts:
                connection.sendall(part)
            while content := connection.recv(65536):
                received += content
        except ConnectionError:
            pass
        return received


def check_alive(served: Served) -> None:
    """Assert that an honest client gets its answer, and that nothing is held for the others."""
    answer = httpx.post(f"{served.address}/predict", files={"image": ("red.png", RED)}, timeout=10, verify=False)
    assert answer.json()["predictions"][0]["classes"][0]["class_name"] == "red"
    assert served.service.bodies.num_held_bytes == 0
    assert served.service.pool.num_running == served.service.pool.num_waiting == 0


def make_bomb(edge: int) -> bytes:
    """Return a PNG file of a few bytes that declares a huge picture."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", edge, edge, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


def test_a_client_that_says_nothing_is_hung_up_on(served: Served) -> None:
    start = time.monotonic()
    assert talk(served) == b""
    assert talk(served, b"POST /pred") == b""
    assert time.monotonic() - start < 8
    check_alive(served)


def test_a_second_head_that_drips_is_hung_up_on(served: Served) -> None:
    received = talk(served, b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\nGET /he")
    assert received.count(b"HTTP/1.1 200") == 1
    check_alive(served)


@pytest.mark.parametrize(
    "head", [b"Content-Length: 1000\r\n\r\nabc", b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"]
)
def test_a_body_that_does_not_come_is_given_up(served: Served, head: bytes) -> None:
    assert b"HTTP/1.1 408" in talk(served, POST + head)
    check_alive(served)


@pytest.mark.parametrize(
    "request_bytes",
    [
        POST + b"Content-Length: -1\r\n\r\n",
        POST + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nabcde",
        POST + b"Transfer-Encoding: chunked\r\n\r\nzzzz\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 200_000,
        b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"X: a\r\n" * 50_000,
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 a TLS greeting\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
    ],
    ids=["negative length", "two lengths", "bad chunk", "long header", "many headers", "TLS", "no host"],
)
def test_what_is_not_http_is_refused(served: Served, request_bytes: bytes) -> None:
    received = talk(served, request_bytes)
    assert received == b"" or b"HTTP/1.1 400" in received
    check_alive(served)


def test_pipelined_requests_are_answered_in_their_order(served: Served) -> None:
    request = b"GET /%s HTTP/1.1\r\nHost: localhost\r\n%s\r\n"
    received = talk(
        served, request % (b"health", b""), request % (b"nope", b""), request % (b"health", b"Connection: close\r\n")
    )
    assert [part[:3] for part in received.split(b"HTTP/1.1 ")[1:]] == [b"200", b"404", b"200"]


def test_idle_connections_give_way_to_a_client_that_asks(served: Served) -> None:
    idle = [socket.create_connection(("127.0.0.1", served.port)) for _ in range(60)]
    check_alive(served)
    for connection in idle:
        connection.close()


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda: make_bomb(20_000), "decompression bomb"),
        (lambda: make_bomb(13_000), "truncated"),
        (lambda: encode_image("red", kind="JPEG", size=(200, 200))[:900], "truncated"),
        (lambda: b"%PDF-1.7 not a picture", "not an image"),
        (lambda: b"\x00" * 1000, "not an image"),
        (lambda: b"<svg xmlns='http://www.w3.org/2000/svg'><image href='file:///etc/passwd'/></svg>", ""),
    ],
    ids=["bomb", "empty large picture", "truncated", "PDF", "zeros", "SVG"],
)
def test_a_hostile_picture_is_an_error_in_words(served: Served, make: Callable[[], bytes], reason: str) -> None:
    answer = served.client.post("/predict", content=make(), headers={"content-type": "image/png"})
    assert answer.status_code == 422
    assert reason in answer.json()["error"]["found"]
    check_alive(served)


def test_a_form_of_a_thousand_parts_is_refused(served: Served) -> None:
    part = b'--b\r\nContent-Disposition: form-data; name="x"\r\n\r\n1\r\n'
    headers = {"content-type": "multipart/form-data; boundary=b"}
    answer = served.client.post("/predict", content=part * 1000 + b"--b--\r\n", headers=headers)
    assert (answer.status_code, answer.json()["error"]["found"]) == (400, "The form has more than 256 parts.")
    long_head = b"--b\r\nContent-Disposition: form-data; name=" + b"x" * 100_000 + b"\r\n\r\n1\r\n--b--\r\n"
    assert served.client.post("/predict", content=long_head, headers=headers).status_code == 400
    check_alive(served)


def test_a_file_name_makes_no_headers_and_no_lines_of_the_log(served: Served) -> None:
    name = b"a.png%0d%0aSet-Cookie: x=1\x01"
    body = (
        b'--b\r\nContent-Disposition: form-data; name="image"; filename="'
        + name
        + b'"\r\n\r\n'
        + RED
        + b"\r\n--b--\r\n"
    )
    answer = served.client.post("/predict", content=body, headers={"content-type": "multipart/form-data; boundary=b"})
    assert "set-cookie" not in answer.headers
    assert not any("Cookie" in line for line in served.log)


def test_a_client_that_leaves_takes_nothing_with_it(served: Served) -> None:
    for _ in range(5):
        with socket.create_connection(("127.0.0.1", served.port)) as connection:
            connection.sendall(POST + b"Content-Length: 5000\r\n\r\nabc")
    time.sleep(0.1)
    check_alive(served)


def test_a_large_picture_within_the_limit_is_answered(served: Served) -> None:
    file = io.BytesIO()
    Image.new("RGB", (3000, 3000), "red").save(file, "JPEG")
    answer = served.client.post("/predict", content=file.getvalue(), headers={"content-type": "image/jpeg"})
    assert answer.json()["predictions"][0]["classes"][0]["class_name"] == "red"
