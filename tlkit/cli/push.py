"""`tlkit push`: upload a model to a model hub."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tlkit.cli.options import card_options, output_options

if TYPE_CHECKING:
    from tlkit.reports.console import Console


@click.command(epilog="\b\nExample: tlkit push runs/third anna/clothing --golden-images drawn --license mit")
@click.argument("run", type=click.Path(path_type=Path))
@click.argument("repository")
@click.option(
    "--golden-images",
    type=click.Choice(("keep", "drawn")),
    help="keep: upload the photos of your data by which the bundle is checked; drawn: drawn pictures instead "
    "(default: ask).",
)
@click.option("--private/--public", default=True, show_default=True, help="Who can see a new repository.")
@card_options
@output_options
def push(
    run: Path,
    repository: str,
    golden_images: str | None,
    private: bool,
    license: str | None,
    dataset: str | None,
    evaluation: Path | None,
    console: Console,
) -> None:
    """Upload the model of RUN and its card to REPOSITORY of a model hub, such as anna/clothing.

    It needs the extra packages of `pip install 'tlkit[hub]'`, and a login: `hf auth login`, or the variable HF_TOKEN. The
    data stay here, except for a few golden images, if you agree.
    """
    from tlkit import api

    if golden_images is None:
        golden_images = "keep" if _ask(run, repository) else "drawn"
    payload = api.push(
        run,
        repository,
        golden_images=golden_images,
        private=private,
        license=license,
        dataset=dataset,
        evaluation=evaluation,
        console=console,
    )
    console.result(payload)


def _ask(run: Path, repository: str) -> bool:
    """Ask whether the golden images may be uploaded.

    Raises:
        click.UsageError: There is nobody to ask.
    """
    from tlkit.commands.push import count_golden_images

    count = count_golden_images(run)
    if not is_asked_by_a_person():
        raise click.UsageError(
            f"The bundle holds {count} photos of the data. Say what becomes of them: --golden-images keep, or drawn."
        )
    return click.confirm(
        f"The bundle holds {count} photos of your data, by which it is checked. Everybody who can read {repository} will see "
        "them. Upload them? Otherwise drawn pictures take their place",
        default=False,
        err=True,
    )


def is_asked_by_a_person() -> bool:
    """Return whether somebody can answer."""
    return sys.stdin.isatty()
