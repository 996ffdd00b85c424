"""Write a model card: a README.md for people and for a hub, from what a run records."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tlkit.errors import RunError
from tlkit.files import write_text
from tlkit.reports.console import Console
from tlkit.reports.output_folder import check_outside
from tlkit.runs.card import CARD_FILE, MARKER, PICTURES, format_card
from tlkit.runs.card_record import CardOptions, RunRecord, read_record
from tlkit.runs.folder import describe_unfinished

MAX_READ_BYTES = 65_536


def run_card(run: Path, options: CardOptions, *, out: Path | None = None, console: Console) -> dict[str, Any]:
    """Write a model card, and return the result for scripts.

    Args:
        run: A run folder, or a bundle folder.
        options: What only the user knows.
        out: The file; None for README.md in `run`.
        console: Tells the story.

    Raises:
        BundleError: The model is missing, damaged or invalid.
        DataError: The manifest of the run is damaged.
        RunError: The file is in the way of another, or the records of the run are damaged.
    """
    record = read_record(run, options)
    if notice := describe_unfinished(run):
        console.warn(notice)
    card = out or run / CARD_FILE
    _check_place(card, record)
    pictures = [name for name in PICTURES if (card.parent / name).is_file()]
    text = format_card(record, pictures)
    card.parent.mkdir(parents=True, exist_ok=True)
    write_text(card, text)
    console.say(f"Model card: {card}")
    if options.license is None:
        console.say("It names no licence of the model; --license does.")
    return {"run": run, "out": card, "pictures": pictures, "license": options.license}


def _check_place(card: Path, record: RunRecord) -> None:
    """Check that the card replaces nothing but an earlier card, and is outside the data.

    Raises:
        RunError: It is not so.
    """
    data = Path(record.recipe.inputs.data) if record.recipe and record.recipe.inputs.data else None
    check_outside(card, option="--out", data_folders=[data] if data and data.is_dir() else [])
    if not card.exists():
        return
    if card.is_file():
        with card.open("rb") as file:
            if MARKER.encode() in file.read(MAX_READ_BYTES):
                return
    raise RunError(
        f"{card} exists and is not a card that tlkit wrote.",
        expected=f"a new file, or an earlier card with the line {MARKER}",
        fix="use --out with another name.",
    )
