"""What a demo writes, and what it prints of it."""

from __future__ import annotations

import shlex
from pathlib import Path

from tlkit.pond import Pond
from tlkit.reports.console import Console

HEAD = "head"
UNFROZEN = "unfrozen"
EVALUATION = "evaluation"
EXPLANATIONS = "explanations"
METADATA = "metadata.png"
FISHERIES_RUN = "fisheries"
FISHERIES_EVALUATION = "fisheries-evaluation"
SHOALS_RUN = "shoals"
SHOALS_EVALUATION = "shoals-evaluation"
PREVIEWS = "previews"
PREDICTIONS = "predictions.csv"
EXPORT = "export"
AUDIT = "audit"
"""What a run of the demo writes into its own folder, `round-N`."""


def print_next_steps(pond: Pond, results: Path, console: Console) -> None:
    """Print where the results are, and commands to go on with."""
    places = (
        ("The pictures, by split and kind", pond.photos),
        ("Their boxes, boats, hours, cameras", pond.table),
        ("The report of the run", results / UNFROZEN / "report.html"),
        ("The pictures that it gets wrong", results / EVALUATION / "report.html"),
        ("Where the network looks", results / EXPLANATIONS / "explanations.html"),
        ("What the metadata give away", results / METADATA),
        ("The best and the worst boxes", results / FISHERIES_EVALUATION / "boxes.png"),
        ("The fish that it finds and misses", results / SHOALS_EVALUATION / "report.html"),
        ("The new pictures with predictions", results / PREVIEWS),
        ("The predictions as a table", results / PREDICTIONS),
        ("The model for others", results / EXPORT / "README.md"),
        ("Wrong labels and copies", results / AUDIT / "audit.html"),
    )
    console.say("\nResults")
    for what, place in places:
        console.say(f"   {what:<36}{place}")
    photos, better = (shlex.quote(str(path)) for path in (pond.photos, results / "mobilenet"))
    print_step(
        console,
        "Next: the same pictures with a larger backbone (its weights, 9 MB, are downloaded once)",
        f"tlkit finetune {photos} --backbone mobilenet_v2 --out {better}",
        f"tlkit evaluate {better}",
    )
    print_step(
        console,
        "With your own photos, one folder per class",
        "tlkit finetune photos/ --backbone mobilenet_v2 --out runs/first",
        "tlkit evaluate runs/first",
        "tlkit audit --run runs/first",
        "tlkit predict runs/first new-photos/ --out predictions.csv --overlay previews/",
        "tlkit export runs/first --out ship/",
        "tlkit serve runs/first",
    )


def print_step(console: Console, title: str, *lines: str) -> None:
    """Print the title of a step and what happens in it."""
    console.say(f"\n{title}")
    for line in lines:
        console.say(f"   {line}")
