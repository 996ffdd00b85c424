"""Large pictures, window by window: what `predict` does with tiles, and `explain_images` with a scan."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from tlkit.api.arguments import Place, Result, fetch, fetch_run, fetch_sources, quiet_console, written
from tlkit.reports.console import Console

TILE_OPTIONS = "--out, --counts, --overlay, --top-k, --min-probability, --window, --step and the options of engines"
SCAN_OPTIONS = "--out, --class, --number, --one-pass, --window and --step"


def predict_tiles(
    run: Place,
    sources: Sequence[Place],
    places: dict[str, Place | None],
    *,
    unused: Mapping[str, object],
    windows: tuple[int | None, int | None],
    console: Console,
    streams: tuple[BinaryIO | None, BinaryIO | None],
    **options: Any,
) -> Result:
    """Predict pictures window by window; see `tlkit.predict`.

    Args:
        run: As there.
        sources: As there.
        places: `out`, `overlay` and `counts`.
        unused: Options that have no effect with tiles, with what is given for them, None for nothing.
        windows: The edge of a window and the step, in pixels.
        console: As there.
        streams: `stdin` and `stdout`.
        options: Those of `TileOptions`.

    Raises:
        TlkitError: As there.
    """
    from tlkit.commands.predict_tiles import TileOptions, run_predict_tiles
    from tlkit.inference.destinations import PredictOutputs
    from tlkit.inference.tiles import WindowOptions, refuse_beside

    refuse_beside("--tiles", {option: value is not None for option, value in unused.items()}, TILE_OPTIONS)
    folder, files = fetch(run, console), fetch_sources(sources, console)
    with written(console, "tiles.csv", **places) as paths:
        chosen = TileOptions(WindowOptions(*windows), paths["counts"], **options)
        outputs = PredictOutputs(out=paths["out"], overlay=paths["overlay"])
        stdin, stdout = streams
        return run_predict_tiles(folder, files, outputs, chosen, console=console, stdin=stdin, stdout=stdout)


def scan_pictures(
    run: Place,
    sources: Sequence[Place],
    out: Place,
    *,
    unused: Mapping[str, bool],
    windows: tuple[int | None, int | None],
    console: Console | None,
    **options: Any,
) -> Result:
    """Show where in large pictures a model sees a class; see `tlkit.explain_images`.

    Args:
        run: As there.
        sources: As there.
        out: As there.
        unused: Whether options are given that have no effect with a scan.
        windows: The edge of a window and the step, in pixels.
        console: As there.
        options: Those of `ScanOptions`.

    Raises:
        TlkitError: As there.
    """
    from tlkit.commands.explain_scan import ScanOptions, run_explain_scan
    from tlkit.inference.tiles import WindowOptions, refuse_beside

    refuse_beside("--scan", unused, SCAN_OPTIONS)
    return run_explain_scan(
        fetch_run(run, console),
        fetch_sources(sources, console),
        Path(out),
        ScanOptions(windows=WindowOptions(*windows), **options),
        console=console or quiet_console(),
    )
