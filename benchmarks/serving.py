"""Measure `tlkit serve`: is every answer that of its own picture, how fast is it, and does its memory stay flat?

    python benchmarks/serving.py RUN PHOTOS --requests 10000

The server runs in a process of its own on the loopback. What `tlkit predict` does with the same pictures, before and after,
is the measure of the engine: other programs on the machine slow both. The clients take their share of the processor, too, so
the processor time of an image says what serving itself costs.
"""

from __future__ import annotations

import argparse
import http.client
import itertools
import json
import os
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import tlkit

CLIENTS = (1, 4, 16, 64)
MOST_PICTURES = 200
MOST_TRIES = 200


def main() -> None:
    """Measure a run on a folder of photos."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--seconds", type=float, default=300.0, help="most time for all of them")
    arguments = parser.parse_args()
    paths = sorted(path for path in arguments.photos.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg", ".png"))
    paths = paths[:MOST_PICTURES]
    predicted, own = predict(arguments.run, paths)
    own_cpu = measure_cpu(arguments.run, paths)
    expected = [{**row, "path": "image"} for row in predicted]
    contents = [path.read_bytes() for path in paths]
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [
        sys.executable,
        "-m",
        "tlkit",
        "serve",
        str(arguments.run),
        "--port",
        str(port),
        "--quiet",
        "--neighbours",
        "0",
    ]
    start = time.perf_counter()
    server = subprocess.Popen(command)
    try:
        wait_until_ready(port)
        print(f"ready after {time.perf_counter() - start:.1f} s")
        ask_all(port, contents, expected, clients=4, number=min(200, arguments.requests), seconds=60)
        before = read_memory(port)
        print(f"memory after 200 requests: {before / 1e6:.0f} MB")
        done, cpu_before = 0, read_cpu_seconds(server.pid)
        for clients in CLIENTS:
            result = ask_all(
                port,
                contents,
                expected,
                clients=clients,
                number=arguments.requests // len(CLIENTS),
                seconds=arguments.seconds / len(CLIENTS),
            )
            _, again = predict(arguments.run, paths)
            engine = (own + again) / 2
            own = again
            print(f"{clients:3} clients: {result}; predict {engine:.1f} images/s, ratio {result.rate / engine:.2f}")
            done += len(result.latencies)
        each = 1000 * (read_cpu_seconds(server.pid) - cpu_before) / done
        print(f"processor time of an image: predict {own_cpu:.1f} ms, serve {each:.1f} ms, ratio {own_cpu / each:.2f}")
        after = read_memory(port)
        print(f"memory at the end: {after / 1e6:.0f} MB ({(after - before) / 1e6:+.0f} MB)")
    finally:
        server.terminate()
        print(f"exit code after SIGTERM: {server.wait(30)}")


def predict(run: Path, paths: Sequence[Path]) -> tuple[list[dict[str, Any]], float]:
    """Return the rows of `tlkit predict`, and its images a second, once the model is open."""
    payload = tlkit.predict(run, *paths)
    return payload["predictions"], payload["images_per_second"]


def measure_cpu(run: Path, paths: Sequence[Path]) -> float:
    """Return the processor time that `tlkit predict` takes for a further image, in milliseconds."""
    begin = time.process_time()
    predict(run, paths[:1])
    opened = time.process_time()
    predict(run, paths)
    return 1000 * (time.process_time() - opened - (opened - begin)) / (len(paths) - 1)


def read_cpu_seconds(process: int) -> float:
    """Return the processor time of a process so far (Linux)."""
    fields = Path(f"/proc/{process}/stat").read_text("utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Result:
    """What the requests of a number of clients gave."""

    def __init__(self) -> None:
        self.latencies: list[float] = []
        self.wrong = self.lost = self.refused = 0
        self.seconds = 0.0

    @property
    def rate(self) -> float:
        """Answers a second."""
        return len(self.latencies) / self.seconds

    def __str__(self) -> str:
        cuts = statistics.quantiles(self.latencies, n=100)
        return (
            f"{len(self.latencies):,} answers, {self.wrong} wrong, {self.lost} lost, {self.refused} refused and repeated, "
            f"{self.rate:.1f}/s, p50 {1000 * cuts[49]:.0f} ms, p99 {1000 * cuts[98]:.0f} ms"
        )


def ask_all(
    port: int, contents: Sequence[bytes], expected: Sequence[Any], *, clients: int, number: int, seconds: float
) -> Result:
    """Send requests from so many clients at once, each over one connection, and check each answer."""
    result, lock, numbers = Result(), threading.Lock(), itertools.count()
    start = time.perf_counter()

    def take() -> Iterator[int]:
        while time.perf_counter() - start < seconds:
            with lock:
                place = next(numbers)
            if place >= number:
                return
            yield place % len(contents)

    def work() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        for place in take():
            begin = time.perf_counter()
            refused, answer = ask(connection, contents[place])
            taken = time.perf_counter() - begin
            with lock:
                result.refused += refused
                if answer is None:
                    result.lost += 1
                    continue
                result.latencies.append(taken)
                result.wrong += answer["predictions"] != [expected[place]]
        connection.close()

    threads = [threading.Thread(target=work) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    result.seconds = time.perf_counter() - start
    return result


def ask(connection: http.client.HTTPConnection, content: bytes) -> tuple[int, dict[str, Any] | None]:
    """Return how often the queue was full, and the answer; None if there is none."""
    for refused in range(MOST_TRIES):
        try:
            connection.request("POST", "/predict", content, {"Content-Type": "image/jpeg"})
            response = connection.getresponse()
            body = response.read()
        except (OSError, http.client.HTTPException):
            connection.close()
            return refused, None
        if response.status == 200:
            answer: dict[str, Any] = json.loads(body)
            return refused, answer
        if response.status != 503:
            return refused, None
        time.sleep(0.05)
    return MOST_TRIES, None


def read_memory(port: int) -> float:
    """Return the resident memory of the server in bytes."""
    connection = http.client.HTTPConnection("127.0.0.1", port)
    connection.request("GET", "/metrics")
    lines = connection.getresponse().read().decode().splitlines()
    connection.close()
    return float(next(line.split()[1] for line in lines if line.startswith("process_resident_memory_bytes ")))


def wait_until_ready(port: int) -> None:
    """Wait for the server."""
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except ConnectionRefusedError:
            time.sleep(0.05)
        else:
            return


if __name__ == "__main__":
    main()
