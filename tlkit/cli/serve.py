"""`tlkit serve`: answer requests over HTTP."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from tlkit.cli.options import engine_options, output_options

if TYPE_CHECKING:
    from tlkit.reports.console import Console


@click.command(
    epilog="\b\nExample: tlkit serve runs/first\n         curl -F image=@photo.jpg http://127.0.0.1:8000/predict",
)
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to bind to; 0.0.0.0 for all.")
@click.option("--port", type=click.IntRange(0, 65535), default=8000, show_default=True, help="Port; 0 for a free one.")
@click.option(
    "--token",
    envvar="TLKIT_TOKEN",
    help="Token that clients must send. Better set the variable TLKIT_TOKEN: other users see the command line.",
)
@click.option("--allow-host", multiple=True, metavar="NAME", help="Further name of the server, as clients call it.")
@click.option(
    "--allow-origin", multiple=True, metavar="URL", help="Web site whose pages may ask, such as https://example.org."
)
@click.option(
    "--max-upload",
    type=click.IntRange(min=1),
    default=32,
    show_default=True,
    metavar="MB",
    help="Largest request in megabytes.",
)
@click.option("--max-images", type=click.IntRange(min=1), default=16, show_default=True, help="Images in a request.")
@click.option(
    "--neighbours",
    type=click.IntRange(min=0),
    default=3,
    show_default=True,
    help="Training photos to show beside an answer, if RUN has them; 0 shows none to clients.",
)
@click.option(
    "--queue",
    type=click.IntRange(min=0),
    default=64,
    show_default=True,
    help="Images that wait for a thread; more are refused with status 503.",
)
@click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    default=30.0,
    show_default=True,
    metavar="SECONDS",
    help="How long a request may wait and compute.",
)
@click.option("--threads", type=click.IntRange(min=1), help="Threads that compute (default: one a processor).")
@engine_options
@output_options
def serve(
    run: Path,
    host: str,
    port: int,
    token: str | None,
    allow_host: tuple[str, ...],
    allow_origin: tuple[str, ...],
    max_upload: int,
    max_images: int,
    neighbours: int,
    queue: int,
    timeout: float,
    threads: int | None,
    engine: str,
    precision: str,
    console: Console,
) -> None:
    """Serve RUN over HTTP: POST /predict answers what `tlkit predict --json` says of the same pictures, and
    the page at / shows it to people.

    It needs the extra packages of `pip install 'tlkit[serve]'`. Only this machine can reach the server unless --host says
    otherwise. SIGTERM or Ctrl-C stops it when running requests are answered.
    """
    from tlkit import api

    payload = api.serve(
        run,
        host=host,
        port=port,
        token=token,
        allowed_hosts=allow_host,
        allowed_origins=allow_origin,
        max_upload=max_upload,
        max_images=max_images,
        neighbours=neighbours,
        queue=queue,
        timeout=timeout,
        threads=threads,
        engine=engine,
        precision=precision,
        console=console,
    )
    console.result(payload)
