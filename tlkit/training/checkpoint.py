"""The state of an unfinished run on disk, whole enough that a resumed run ends bitwise where an undisturbed one would.

One safetensors file holds everything: arrays under `model/`, `best/` and `optimizer/`, and the rest as JSON in its
header. It is written aside, synced and renamed, so a kill leaves the earlier state.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tlkit.errors import RunError

Arrays = dict[str, NDArray[Any]]


@dataclass
class Progress:
    """How far a stage has come.

    Attributes:
        epochs_done: Finished epochs of this stage.
        best_epoch: The epoch (from 1) whose weights are kept; 0 is the state before the first.
        best: Validation figures there, by name; see `tlkit.training.meters`.
        start: Validation figures before the stage.
        rows: The stage's history so far, one mapping an epoch.
        steps_per_epoch: Optimizer steps in each epoch.
        num_averaged: Epochs whose weights are in the average.
        average: Validation figures of the averaged weights; empty if there are none.
        average_is_kept: Whether they are the stage's result.
    """

    epochs_done: int = 0
    best_epoch: int = 0
    best: dict[str, float] = field(default_factory=dict)
    start: dict[str, float] = field(default_factory=dict)
    rows: list[dict[str, Any]] = field(default_factory=list)
    steps_per_epoch: int = 0
    num_averaged: int = 0
    average: dict[str, float] = field(default_factory=dict)
    average_is_kept: bool = False


def write_checkpoint(path: Path, arrays: Mapping[str, NDArray[Any]], progress: Progress) -> None:
    """Write arrays and progress to `path` atomically."""
    from safetensors.numpy import save_file

    aside = path.with_suffix(".partial")
    save_file(dict(arrays), aside, metadata={"progress": json.dumps(asdict(progress))})
    with aside.open("rb+") as file:
        os.fsync(file.fileno())
    os.replace(aside, path)


def read_checkpoint(path: Path) -> tuple[Arrays, Progress]:
    """Read what `write_checkpoint` wrote.

    Raises:
        RunError: If the file is damaged.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            progress = Progress(**json.loads(file.metadata()["progress"]))
            return {name: file.get_tensor(name) for name in file.keys()}, progress  # noqa: SIM118 - not a mapping
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
        raise RunError(
            f"{path}: the saved state cannot be read ({error}).",
            expected="the state of an interrupted run",
            fix="delete the run folder and start again.",
        ) from error


def snapshot(prefix: str, variables: Sequence[Any]) -> Arrays:
    """Copy variables into arrays named `prefix/0000`, `prefix/0001`, … in their order."""
    return {f"{prefix}/{number:04d}": np.array(variable.numpy()) for number, variable in enumerate(variables)}


def restore(prefix: str, variables: Sequence[Any], arrays: Mapping[str, NDArray[Any]]) -> None:
    """Set variables from what `snapshot` made of the same variables.

    Raises:
        RunError: If number or shapes differ: the state belongs to another model.
    """
    names = sorted(name for name in arrays if name.startswith(f"{prefix}/"))
    fits = len(names) == len(variables) and all(
        tuple(arrays[name].shape) == tuple(variable.shape) for name, variable in zip(names, variables, strict=True)
    )
    if not fits:
        raise RunError(
            f"The saved state holds {len(names)} {prefix} arrays that do not fit this model's {len(variables)}.",
            expected="the state of the same run",
            fix="delete the run folder and start again.",
        )
    for name, variable in zip(names, variables, strict=True):
        variable.assign(arrays[name])
