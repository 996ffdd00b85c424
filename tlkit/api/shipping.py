"""Hand a trained model on: `tlkit export`, `tlkit serve`, `tlkit card`, `tlkit push`, `tlkit pull`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tlkit.api.arguments import Place, Result, as_path, quiet_console
from tlkit.errors import SettingError, name_fix
from tlkit.recipes.given import check_known, collect_settings
from tlkit.recipes.settings import DataSettings
from tlkit.reports.console import Console

__all__ = ["card", "export", "export_container", "list_export_formats", "pull", "push", "serve"]

GOLDEN_IMAGES = ("keep", "drawn")
"""What may become of the golden images of an uploaded model."""


def export(
    run: Place,
    *,
    formats: str | Sequence[str] = ("openvino",),
    precisions: str | Sequence[str] = ("float32",),
    out: Place | None = None,
    data: Place | None = None,
    allow: float | None = None,
    console: Console | None = None,
    **settings: Any,
) -> Result:
    """Export a trained model for people and devices without tlkit, and prove each file: `tlkit export`.

    Args:
        run: A run folder, or the bundle in it.
        formats: One or several of keras, savedmodel, onnx, litert and openvino.
        precisions: One or several of float32, float16, dynamic and int8; each is used for the formats that have it.
        out: Folder for the files; None: in `exports/`, after the run's name.
        data: Labelled images to prove the files on; None for those that the run held out.
        allow: How much lower the score of dynamic and int8 may be, 0..1; None: not beyond chance.
        console: As in `finetune`.
        settings: Settings of `[data]` for reading `data`.

    Returns:
        `files`, each with its largest and mean difference from the run's answers, agreement, score with its 95% interval,
        size and time for an image; the run's own `bundle_score`; what they were `measured_on`; and `out`.

    Raises:
        TlkitError: Any problem that the user can solve; a `NumericsError` if a file does not answer as the run does.
    """
    check_known(settings, DataSettings, of="export")
    from tlkit.commands.export import ExportRequest, run_export

    request = ExportRequest(
        Path(run),
        (formats,) if isinstance(formats, str) else tuple(formats),
        (precisions,) if isinstance(precisions, str) else tuple(precisions),
        as_path(out),
        as_path(data),
        collect_settings(DataSettings, settings),
        allow,
    )
    return run_export(request, console=console or quiet_console())


def export_container(run: Place, *, out: Place | None = None, console: Console | None = None) -> Result:
    """Write a Dockerfile that serves a trained model, with a copy of its bundle: `tlkit export --docker`.

    Args:
        run: A run folder, or the bundle in it.
        out: Folder for the files; None: in `exports/`, after the run's name.
        console: As in `finetune`.

    Returns:
        `out`, and the `files` in it.

    Raises:
        TlkitError: Any problem that the user can solve.
    """
    from tlkit.commands.export import run_container

    return run_container(Path(run), as_path(out), console=console or quiet_console())


def list_export_formats(*, console: Console | None = None) -> Result:
    """List the formats of `export`: `tlkit export --list`.

    Args:
        console: As in `finetune`.

    Returns:
        `formats`, each with its `precisions`, its `use`, its `runtime`, and whether it `is_installed`.
    """
    from tlkit.commands.export import run_list

    return run_list(console=console or quiet_console())


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
        neighbours=neighbours,
        threads=threads,
        engine=engine,
        precision=precision,
    )
    return run_serve(Path(run), options, console=console or quiet_console())


def card(
    run: Place,
    *,
    out: Place | None = None,
    license: str | None = None,
    dataset: str | None = None,
    evaluation: Place | None = None,
    console: Console | None = None,
) -> Result:
    """Write a model card from what a run records: `tlkit card`.

    Args:
        run: A run folder, or the bundle in it.
        out: The file; None for README.md in `run`. Figures of the run in the same folder are shown.
        license: Licence of the model, as hubs name it, such as "mit".
        dataset: Name of the data set on a hub, such as "user/birds".
        evaluation: A folder of `evaluate(..., out=...)`, whose scores stand before those of the run.
        console: As in `finetune`.

    Returns:
        `out`, the `pictures` that it shows, and the `license`.

    Raises:
        TlkitError: Any problem that the user can solve.
    """
    from tlkit.commands.card import run_card
    from tlkit.runs.card_record import CardOptions

    options = CardOptions(license, dataset, as_path(evaluation))
    return run_card(Path(run), options, out=as_path(out), console=console or quiet_console())


def push(
    run: Place,
    repository: str,
    *,
    golden_images: str = "drawn",
    private: bool = True,
    license: str | None = None,
    dataset: str | None = None,
    evaluation: Place | None = None,
    console: Console | None = None,
) -> Result:
    """Upload a model and its card to a model hub: `tlkit push`.

    Args:
        run: A run folder, or the bundle in it.
        repository: Its name on the hub, such as "anna/clothing"; it is made if needed.
        golden_images: "keep": upload the golden images, which are photos of the data; "drawn": drawn pictures instead.
        private: Whether only the owner can see it.
        license: As in `card`.
        dataset: As in `card`.
        evaluation: As in `card`.
        console: As in `finetune`.

    Returns:
        The `url`, the `commit`, and the `files` with their `bytes` together.

    Raises:
        TlkitError: Any problem that the user can solve.
    """
    from tlkit.commands.push import PushOptions, run_push
    from tlkit.runs.card_record import CardOptions

    if golden_images not in GOLDEN_IMAGES:
        raise SettingError(
            f"golden_images is {golden_images!r}.",
            expected=f"one of {', '.join(GOLDEN_IMAGES)}",
            fix=name_fix(golden_images, GOLDEN_IMAGES),
        )
    options = PushOptions(golden_images == "keep", private, CardOptions(license, dataset, as_path(evaluation)))
    return run_push(Path(run), repository, options, console=console or quiet_console())


def pull(
    repository: str,
    *,
    out: Place | None = None,
    revision: str | None = None,
    max_size: int = 2000,
    console: Console | None = None,
) -> Result:
    """Download a model from a model hub, and check it before it can be used: `tlkit pull`.

    Args:
        repository: Its name on the hub, such as "anna/clothing".
        out: New folder for the model; None: in `models/`, by the name of the repository.
        revision: A branch, a tag or a commit; None for the newest.
        max_size: The most that is downloaded, in megabytes.
        console: As in `finetune`.

    Returns:
        `out`, the `commit`, the `files` with their `bytes` together, and what was `not_downloaded`.

    Raises:
        TlkitError: Any problem that the user can solve.
    """
    from tlkit.commands.pull import run_pull

    folder = as_path(out) or Path("models") / repository.rpartition("/")[2]
    return run_pull(repository, folder, revision=revision, max_megabytes=max_size, console=console or quiet_console())
