"""Answer requests over HTTP with a trained model, until the process is asked to stop."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from tlkit.data.images import LOADER_VERSION
from tlkit.errors import SettingError
from tlkit.models.opening import open_classifier
from tlkit.models.storage import read_head_weights
from tlkit.places.cache_root import default_cache_root
from tlkit.reports.console import Console, format_duration
from tlkit.runs.folder import describe_unfinished
from tlkit.serving.access import Access
from tlkit.serving.limits import Limits

MIN_TOKEN_LENGTH = 16


@dataclass(frozen=True)
class ServeOptions:
    """How a model is served.

    Attributes:
        host: The address to bind to.
        port: The port; 0 for any free one.
        token: What clients send; None for none.
        allowed_hosts: Further names of the server.
        allowed_origins: Web sites whose pages may ask.
        limits: The limits.
        neighbours: Training photos that explain an answer; 0 shows none to clients.
        threads: Number of threads that compute; None for one a processor.
        engine: One of `PREDICTION_ENGINES`.
        precision: float32, or bfloat16 with OpenVINO.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    token: str | None = None
    allowed_hosts: tuple[str, ...] = ()
    allowed_origins: tuple[str, ...] = ()
    limits: Limits = field(default_factory=Limits)
    neighbours: int = 3
    threads: int | None = None
    engine: str = "auto"
    precision: str = "float32"


DEFAULTS = ServeOptions()


def run_serve(
    run: Path,
    options: ServeOptions = DEFAULTS,
    *,
    console: Console,
    on_ready: Callable[[str, Callable[[], None]], None] = lambda address, stop: None,
) -> dict[str, Any]:
    """Serve a model until SIGTERM or Ctrl-C, and return the JSON result.

    Args:
        run: A run folder or a bundle folder.
        options: Options.
        console: Prints messages, and a line for each request.
        on_ready: Called with the address of the server and a function that stops it, when it is ready.

    Raises:
        BundleError: The model is missing, damaged or invalid.
        BackboneError: The requested engine is not installed.
        SettingError: The extra `serve` is not installed, the address cannot be used, or the token is too short.
    """
    start = time.perf_counter()
    _require_extra()
    access = Access(options.host, _check_token(options.token), options.allowed_hosts, options.allowed_origins)
    if notice := describe_unfinished(run):
        console.warn(notice)
    if not access.is_local and access.token is None:
        console.warn(
            f"everybody who can reach {options.host} can use the server; --token, or the variable TLKIT_TOKEN, limits it "
            "to those who know the token."
        )

    from tlkit.serving.app import Identity, Service, build_app
    from tlkit.serving.explanation import Explaining
    from tlkit.serving.gate import OTHER_ROUTE
    from tlkit.serving.heat_maps import HeatMaps
    from tlkit.serving.model import ServedModel
    from tlkit.serving.pool import WorkerPool
    from tlkit.serving.server import bind_socket, make_server
    from tlkit.serving.training_photos import TrainingPhotos, open_cache, read_training_records

    with bind_socket(options.host, options.port) as bound:
        predictor = open_classifier(
            run, loader_version=LOADER_VERSION, engine=options.engine, precision=options.precision
        )
        pool = WorkerPool(options.threads or os.cpu_count() or 1, options.limits.max_waiting)
        name = run.resolve().name
        records = read_training_records(run) if options.neighbours else ()
        cache = partial(open_cache, predictor, run=run, precision=options.precision, root=default_cache_root())
        photos = TrainingPhotos(records, predictor, lambda: pool.num_running > 0, cache)
        identity = Identity(name, predictor.engine, needs_token=access.token is not None)
        maps = HeatMaps(predictor, partial(read_head_weights, run, loader_version=LOADER_VERSION))
        explaining = Explaining(ServedModel(predictor), maps, photos, options.neighbours)
        service = Service(explaining, identity, options.limits, pool)
        address = _name_address(options.host, bound.getsockname()[1])

        def announce() -> None:
            seconds = format_duration(time.perf_counter() - start)
            console.say(f"Serving {run} at {address} ({predictor.engine}, ready in {seconds}). Ctrl-C stops it.")
            photos.start()
            on_ready(address, server.stop)

        server = make_server(
            build_app(service, access, lambda line: _log(line, console)),
            options.limits,
            count_invalid=lambda: service.metrics.count_request(OTHER_ROUTE, 400, 0.0),
            announce=announce,
        )
        try:
            server.run(sockets=[bound])
        finally:
            photos.stop()
            pool.close()
    payload = {
        "run": run,
        "address": address,
        **service.metrics.summarise(),
        "seconds": round(time.perf_counter() - start, 3),
    }
    console.say(f"Stopped. Requests: {payload['requests']:,}; images predicted: {payload['images']:,}.")
    return payload


def _require_extra() -> None:
    """Check that the packages of the extra are installed.

    Raises:
        SettingError: One of them is not.
    """
    try:
        import python_multipart  # noqa: F401
        import starlette  # noqa: F401
        import uvicorn  # noqa: F401
    except ImportError as error:
        raise SettingError(
            f"tlkit serve: the package {error.name} is not installed.",
            expected="the packages of the extra serve",
            fix="install them with `pip install 'tlkit[serve]'`.",
        ) from error


def _check_token(token: str | None) -> str | None:
    if token is None:
        return None
    if len(token) < MIN_TOKEN_LENGTH or not token.isascii() or not token.isprintable() or " " in token:
        raise SettingError(
            f"--token: {len(token)} characters.",
            expected=f"at least {MIN_TOKEN_LENGTH} ASCII characters without spaces",
            fix="""make one with `python -c "import secrets; print(secrets.token_urlsafe())"`.""",
        )
    return token


def _name_address(host: str, port: int) -> str:
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _log(line: str, console: Console) -> None:
    console.say(f"{datetime.now().astimezone():%Y-%m-%d %H:%M:%S} {line}")
