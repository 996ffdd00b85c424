"""Counters of the server, in the text format of Prometheus (https://prometheus.io/docs/instrumenting/exposition_formats/)."""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Mapping

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
BUCKET_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
PREDICTED, UNREADABLE, UNKNOWN = "predicted", "unreadable", "unknown"


class Metrics:
    """Counts requests and images; any thread may.

    Args:
        gauges: Functions that return the present values, by name and help text.
    """

    def __init__(self, gauges: Mapping[tuple[str, str], Callable[[], float | None]]) -> None:
        self._gauges = gauges
        self._lock = threading.Lock()
        self._requests: Counter[tuple[str, int]] = Counter()
        self._images: Counter[str] = Counter()
        self._buckets: dict[str, list[int]] = {}
        self._seconds: dict[str, float] = {}

    def count_request(self, route: str, status: int, seconds: float) -> None:
        """Count a request.

        Args:
            route: The path of a route, or "other": clients do not choose names.
            status: The HTTP status.
            seconds: From the head of the request to the end of the answer.
        """
        with self._lock:
            self._requests[route, status] += 1
            buckets = self._buckets.setdefault(route, [0] * (len(BUCKET_SECONDS) + 1))
            buckets[bisect_left(BUCKET_SECONDS, seconds)] += 1
            self._seconds[route] = self._seconds.get(route, 0.0) + seconds

    def count_images(self, outcome: str, number: int = 1) -> None:
        """Count images that were predicted, unreadable or unknown."""
        with self._lock:
            self._images[outcome] += number

    def summarise(self) -> dict[str, int]:
        """Return the number of requests, and of predicted and unreadable images."""
        with self._lock:
            return {
                "requests": self._requests.total(),
                "images": self._images[PREDICTED],
                UNREADABLE: self._images[UNREADABLE],
            }

    def render(self) -> str:
        """Return all of it as text."""
        with self._lock:
            lines = [*self._render_requests(), *self._render_seconds(), *self._render_images()]
        for (name, meaning), read in self._gauges.items():
            value = read()
            if value is not None:
                lines += [*_head(name, meaning, "gauge"), f"{name} {value:g}" if value % 1 else f"{name} {value:.0f}"]
        return "\n".join(lines) + "\n"

    def _render_requests(self) -> Iterable[str]:
        yield from _head("tlkit_requests_total", "Requests by route and status.", "counter")
        for (route, status), number in sorted(self._requests.items()):
            yield f'tlkit_requests_total{{route="{route}",status="{status}"}} {number}'

    def _render_seconds(self) -> Iterable[str]:
        name = "tlkit_request_seconds"
        yield from _head(name, "Time from the head of a request to the end of its answer.", "histogram")
        for route, buckets in sorted(self._buckets.items()):
            number = 0
            for bound, count in zip((*map(str, BUCKET_SECONDS), "+Inf"), buckets, strict=True):
                number += count
                yield f'{name}_bucket{{route="{route}",le="{bound}"}} {number}'
            yield f'{name}_sum{{route="{route}"}} {self._seconds[route]:.6f}'
            yield f'{name}_count{{route="{route}"}} {number}'

    def _render_images(self) -> Iterable[str]:
        yield from _head("tlkit_images_total", "Images by outcome; unknown ones are predicted, too.", "counter")
        for outcome in (PREDICTED, UNREADABLE, UNKNOWN):
            yield f'tlkit_images_total{{outcome="{outcome}"}} {self._images[outcome]}'


def _head(name: str, meaning: str, kind: str) -> tuple[str, str]:
    return f"# HELP {name} {meaning}", f"# TYPE {name} {kind}"
