"""What the server accepts, and how long it waits for it."""

from __future__ import annotations

from dataclasses import dataclass

MEGABYTE = 2**20


@dataclass(frozen=True)
class Limits:
    """Limits of the server.

    Attributes:
        max_body_bytes: The largest body of a request.
        max_held_bytes: The most bytes of bodies that are held at a time; further requests are refused.
        max_images: The most images of a request.
        max_waiting: The most images that wait for a thread.
        answer_seconds: How long a request may wait and compute.
        header_seconds: How long a client may take to send the head of a request.
        body_seconds: How long a client may take to send a body.
        idle_seconds: How long an unused connection stays open.
        stop_seconds: How long running requests may take when the server stops.
        max_connections: The most open connections. One more closes the oldest that is idle.
    """

    max_body_bytes: int = 32 * MEGABYTE
    max_held_bytes: int = 256 * MEGABYTE
    max_images: int = 16
    max_waiting: int = 64
    answer_seconds: float = 30.0
    header_seconds: float = 10.0
    body_seconds: float = 30.0
    idle_seconds: float = 5.0
    stop_seconds: float = 30.0
    max_connections: int = 512
