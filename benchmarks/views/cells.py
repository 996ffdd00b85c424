"""The trainings of the study, and the file in which their results stand, one line each."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

ONLINE = 0
COUNTS = (1, 2, 4, 8, 16, ONLINE)
USUAL_PATIENCE = 8
TOP, BELOW = "top", "group4"


@dataclass(frozen=True)
class Cell:
    """One training.

    Attributes:
        data: Name of the set.
        boundary: top: a head; group4: a head, and then the last layer group with it.
        head: Kind of head.
        policy: Of the views; standard where there is only the image itself.
        views: Their number; 0: a fresh one in every epoch.
        patience: Epochs without a lower validation loss after which training ends; 0: it never does before its time.
        seed: Of split, weights and order.
    """

    data: str
    boundary: str
    head: str
    policy: str
    views: int
    patience: int
    seed: int


Results = dict[Cell, dict[str, Any]]


def list_head_cells(names: Sequence[str], seeds: int) -> Iterator[Cell]:
    """Yield the trainings of heads, those that matter most first, all sets and counts of a seed before the next seed."""
    for head, policies, patience in (
        ("dense", ("standard",), USUAL_PATIENCE),
        ("dense", ("strong",), USUAL_PATIENCE),
        ("linear", ("standard", "strong"), USUAL_PATIENCE),
        ("dense", ("standard",), 0),
        ("dense", ("strong",), 0),
    ):
        for seed, policy, data, count in itertools.product(range(seeds), policies, names, COUNTS):
            # The image itself is the same under any policy; a fresh strong view in every epoch would take twice as many.
            if policy == "standard" or count not in (1, ONLINE):
                yield Cell(data, TOP, head, policy, count, patience, seed)


def list_deeper_cells(names: Sequence[str], seeds: int) -> Iterator[Cell]:
    """Yield the trainings of a head and then of the last layer group, both on the same number of views."""
    for seed, data, count in itertools.product(range(seeds), names, (1, 4, 16)):
        yield Cell(data, BELOW, "dense", "standard", count, USUAL_PATIENCE, seed)


def read_results(path: Path) -> Results:
    """Return what was measured so far."""
    if not path.is_file():
        return {}
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return {Cell(**{name: line.pop(name) for name in Cell.__dataclass_fields__}): line for line in lines}


def add_result(path: Path, cell: Cell, measured: dict[str, Any]) -> str:
    """Add a line to the file and return it."""
    line = json.dumps({**asdict(cell), **measured})
    with path.open("a", encoding="utf-8") as file:
        file.write(line + "\n")
    return line
