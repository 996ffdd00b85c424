"""Hand a trained model on: `tlkit serve`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tlkit.api.arguments import Place, Result, quiet_console
from tlkit.reports.console import Console

__all__ = ["serve"]


def serve(
    run: Place,
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    token: str | None = None,
    allowed_hosts: Sequence[str] = (),
    allowed_origins: Sequence[str] = (),
    max_upload: int = 32,
    max_images: int = 16,
    neighbours: int = 3,
    queue: int = 64,
    timeout: float = 30.0,
    threads: int | None = None,
    engine: str = "auto",
    precision: str = "float32",
    console: Console | None = None,
) -> Result:
    """Serve a trained model over HTTP until SIGTERM or Ctrl-C: `tlkit serve`.

    Args:
        run: A run folder, or the bundle in it.
        host: Address to bind to.
        port: Port; 0 for any free one.
        token: What clients must send as `Authorization: Bearer TOKEN`, at least 16 characters; None for nothing.
        allowed_hosts: Further names of the server, as clients call it.
        allowed_origins: Web sites whose pages may ask, such as "https://example.org".
        max_upload: Largest body of a request, in megabytes.
        max_images: The most images of a request.
        neighbours: Training photos that explain an answer, if the run has them; 0 shows none to clients.
        queue: The most images that wait for a thread.
        timeout: How long a request may wait and compute, in seconds.
        threads: Threads that compute; None for one a processor.
        engine: As in `predict`.
        precision: As in `predict`.
        console: Prints messages and a line for each request; None to print only warnings.

    Returns:
        The `address`, the number of answered `requests`, of predicted `images` and of `unreadable` ones, and `seconds`.

    Raises:
        TlkitError: Any problem that the user can solve.
    """
    from tlkit.commands.serve import ServeOptions, run_serve
    from tlkit.serving.limits import MEGABYTE, Limits

    limits = Limits(
        max_body_bytes=max_upload * MEGABYTE,
        max_held_bytes=max(Limits.max_held_bytes, max_upload * MEGABYTE),
        max_images=max_images,
        num_neighbours=neighbours,
        max_waiting=max(queue, max_images),
        answer_seconds=timeout,
    )
    options = ServeOptions(
        host=host,
        port=port,
        token=token,
        allowed_hosts=tuple(allowed_hosts),
        allowed_origins=tuple(allowed_origins),
        limits=limits,
        threads=threads,
        engine=engine,
        precision=precision,
    )
    return run_serve(Path(run), options, console=console or quiet_console())
