"""Where the figures of a report come from, for the head of its page."""

from __future__ import annotations

from datetime import datetime

from tlkit.backbones.catalogue import find_backbone
from tlkit.models.spec import BundleSpec
from tlkit.places.copies import show_text
from tlkit.runtime import read_versions

LONGEST_COMMAND = 600
"""Characters of a command line that the head of a page shows whole."""
NUM_WORDS = 8


def describe_origin(spec: BundleSpec, *, data: str, command: str | None) -> dict[str, str]:
    """Return data, backbone, boundary, command, date and versions of a page about a model, by name.

    Args:
        spec: The model's.
        data: What the figures were measured on or the model was trained on.
        command: The command line, if it is known: see `Console`.
    """
    height, width = spec.image_size
    boundary = find_backbone(spec.backbone).boundary_below(spec.unfrozen)
    trained = {"none": "only the head was trained", "all": "everything was trained"}
    return {
        "data": show_text(data),
        "backbone": f"{spec.backbone}, {spec.provenance.weights_source} weights, {width} × {height} px",
        "boundary": f"{boundary}: {trained.get(spec.unfrozen, f'{spec.unfrozen} and above were trained')}",
        **describe_making(command),
    }


def describe_making(command: str | None) -> dict[str, str]:
    """Return the command line, if it is known, the date and the versions, by name."""
    return {
        **({"command": _shorten_command(command)} if command else {}),
        "date": f"{datetime.now().astimezone():%Y-%m-%d %H:%M %Z}",
        "versions": ", ".join(f"{name} {version}" for name, version in read_versions().items()),
    }


def _shorten_command(command: str) -> str:
    """Return a command line of many words, as of a pattern that the shell resolved, without those in its middle."""
    words = command.split()
    if len(command) <= LONGEST_COMMAND or len(words) <= 2 * NUM_WORDS:
        return command
    return " ".join([*words[:NUM_WORDS], f"… {len(words) - 2 * NUM_WORDS:,} more …", *words[-NUM_WORDS:]])
