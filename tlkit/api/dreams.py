"""Run a network backwards: `tlkit dream`."""

from __future__ import annotations

from collections.abc import Sequence

from tlkit.api.arguments import Place, Result, fetch, fetch_run, fetch_sources, quiet_console, require_path
from tlkit.backbones.catalogue import BACKBONES
from tlkit.reports.console import Console

__all__ = ["dream"]


def dream(
    model: Place,
    *pictures: Place,
    out: Place,
    class_names: Sequence[str] = (),
    channels: Sequence[str] = (),
    amplify: str = "",
    invert: Sequence[str] = (),
    texture: bool = False,
    style: Place = "",
    fool: str = "",
    report: bool = False,
    boundary: str = "",
    strength: float = 10.0,
    weights: str | None = None,
    size_px: int | None = None,
    num_steps: int | None = None,
    blur_px: float = 0.0,
    number: int = 100,
    seed: int = 0,
    console: Console | None = None,
) -> Result:
    """Make pictures by running a network backwards: `tlkit dream`.

    Exactly one of `class_names`, `channels`, `amplify`, `invert`, `texture`, `style`, `fool` and `report` is given.

    Args:
        model: A run folder, the bundle in it, or the name of a backbone.
        pictures: What is amplified, inverted, copied in texture, painted in a style, or made to fool.
        out: Folder for the pictures and dreams.html.
        class_names: Classes or labels of a run; a picture is made for each.
        channels: Channels such as "group3:17"; a picture is made for each.
        amplify: Boundary whose map is made stronger in a picture, or in noise (DeepDream).
        invert: Boundaries; the picture is made again from its features at each.
        texture: Makes the texture of the picture anew.
        style: Picture whose style is given to the other.
        fool: Class for which a run is made to take the pictures, by the smallest change of each.
        report: Attacks the run's held-out images, and measures what is left of its accuracy.
        boundary: Where `style` takes the content; "" for the coarsest boundary of the style.
        strength: Weight of the style, above 0; the content has 1.
        weights: Weights of a backbone: "imagenet", "random", a path, or None for its default. A run has its own.
        size_px: Longer edge of the pictures, 32 to 4,096 pixels, rounded to a multiple of 32; None for 224 to 512.
        num_steps: Steps of each picture; None for 40 to 256.
        blur_px: Standard deviation of a blur every 32 steps but the last ones, in pixels; 0 for none.
        number: Held-out images that `report` attacks, at most.
        seed: Seed of noise, shifts and random starts.
        console: As in `predict`.

    Returns:
        The `page`, its `kind`, and `pictures`: each with its `path` and `losses`; with `fool`, `path`, `before`, the
        smallest `change` of 0..255 and the `changed` picture, or None where none was enough; with `report`, in their place,
        `accuracy` and the `changes` with the accuracy that each leaves.

    Raises:
        TlkitError: Any problem that the user can solve.
    """
    from tlkit.commands.dream import run_dream
    from tlkit.dreaming.requests import DreamOptions

    console = console or quiet_console()
    options = DreamOptions(
        tuple(class_names),
        tuple(channels),
        amplify,
        tuple(invert),
        texture,
        str(fetch(style, console)) if style else "",
        fool,
        report,
        boundary,
        strength,
        weights,
        size_px,
        num_steps,
        blur_px,
        number,
        seed,
    )
    found = model if str(model) in BACKBONES else fetch_run(model, console)
    return run_dream(str(found), fetch_sources(pictures, console), require_path(out), options, console=console)
