"""Compare new images with those of a run: `tlkit suggest` and `tlkit drift`."""

from __future__ import annotations

from tlkit.api.arguments import Place, Result, as_path, fetch, fetch_run, fetch_sources, quiet_console
from tlkit.reports.console import Console

__all__ = ["drift", "suggest"]


def suggest(
    run: Place,
    *sources: Place,
    number: int = 20,
    out: Place | None = None,
    seed: int = 0,
    table: Place | None = None,
    image_column: str | None = None,
    engine: str = "auto",
    precision: str = "float32",
    console: Console | None = None,
) -> Result:
    """Suggest which unlabelled images to label next: `tlkit suggest`.

    Args:
        run: A run folder, or the bundle in it.
        sources: Folders, globs or files of unlabelled images. Images that the run has are left out.
        number: Images to suggest, at least 1.
        out: Folder for suggestions.csv and suggestions.html; None: in `suggestions/`, named after the images.
        seed: Seed of the choice and of the replay.
        table: As in `predict`.
        image_column: As in `predict`.
        engine: As in `predict`.
        precision: As in `predict`.
        console: As in `predict`.

    Returns:
        The `suggestions`, first one first, each with `rank`, `path`, `predicted`, `probability` and `reason`; and the
        `replay` on the run's labelled images, with its `verdict` (gain, no gain, loss or unclear) and the `gain` over random
        images, or None with too few labelled images.

    Raises:
        TlkitError: Any problem that the user can solve.
    """
    from tlkit.commands.suggest import SuggestOptions, run_suggest

    options = SuggestOptions(as_path(out), seed, engine, precision, fetch(table, console), image_column, number)
    console = console or quiet_console()
    return run_suggest(fetch_run(run, console), fetch_sources(sources, console), options, console=console)


def drift(
    run: Place,
    *sources: Place,
    out: Place | None = None,
    seed: int = 0,
    table: Place | None = None,
    image_column: str | None = None,
    engine: str = "auto",
    precision: str = "float32",
    console: Console | None = None,
) -> Result:
    """Compare new images with those of a run, and estimate the score on them: `tlkit drift`.

    Args:
        run: A run folder, or the bundle in it.
        sources: Folders, globs or files of new images, without labels. Images that the run has are left out.
        out: Folder for drift.csv and drift.html; None: in `drift/`, named after the images.
        seed: Seed of samples, permutations and resamples.
        table: As in `predict`.
        image_column: As in `predict`.
        engine: As in `predict`.
        precision: As in `predict`.
        console: As in `predict`.

    Returns:
        The `expected` score on the new images and the one `measured` on the run's held-out images, each with its
        interval, and whether the first is `too_wide` to be of use; how far the `features` and the `looks` differ; the
        `novelty` of each image, 0..1; the part that is `unknown`; the `cameras` and `answers`; and the paths to
        `look_first` at. With fewer than five new images, `expected` and `features` are None and `looks` is empty.

    Raises:
        TlkitError: Any problem that the user can solve.
    """
    from tlkit.commands.drift import run_drift
    from tlkit.runs.new_images import ComparisonOptions

    options = ComparisonOptions(as_path(out), seed, engine, precision, fetch(table, console), image_column)
    return run_drift(
        fetch_run(run, console), fetch_sources(sources, console), options, console=console or quiet_console()
    )
