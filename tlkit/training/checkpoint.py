"""The state of an unfinished run on disk, whole enough that a resumed run ends bitwise where an undisturbed one would.

One safetensors file holds everything: arrays under `model/`, `best/` and `optimizer/`, and in its header the rest as
JSON and the hash of all of it. It appears whole or not at all. Training goes on without it where the disk does not take
it, and begins the stage again where it is damaged or of another version.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tlkit.backbones.weights import hash_arrays
from tlkit.errors import RunError
from tlkit.files import written_aside
from tlkit.models.tensors import encode_tensors

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
        trained: Validation figures of what the stage trained, whether or not that is kept; empty until it has ended.
        decided_by: What decided whether it is kept, `score` or `loss`; see `tlkit.training.verdicts`. Empty if there was
            nothing to decide.
        p_value: How often chance alone would change the score by so much.
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
    trained: dict[str, float] = field(default_factory=dict)
    decided_by: str = ""
    p_value: float = 1.0


class Checkpoint:
    """Where a part of a run's state lies.

    Args:
        path: The file.
        warn: Told, as a sentence, once that the disk does not take the state, and that it cannot be used.
    """

    def __init__(self, path: Path, warn: Callable[[str], None]) -> None:
        self._path = path
        self._warn = warn
        self._has_failed = False

    def read(self) -> tuple[Arrays, Progress] | None:
        """Return arrays and progress, or None if nothing was saved, or what was saved cannot be used."""
        if not self._path.is_file():
            return None
        try:
            return _read(self._path)
        except _UnusableError as error:
            self._warn(f"{self._path} cannot be used ({error}): what it holds is computed again.")
            return None

    def write(self, arrays: Mapping[str, NDArray[Any]], progress: Progress) -> None:
        """Put arrays and progress in the place of what was saved before, if the disk takes them."""
        text = json.dumps(asdict(progress))
        header = {"progress": text, "sha256": _hash(arrays, text)}
        try:
            with written_aside(self._path) as file:
                for part in encode_tensors(arrays, header):
                    file.write(part)
        except OSError as error:
            if not self._has_failed:
                self._warn(
                    f"The state of training cannot be saved ({self._path}: {error.strerror}). Training goes on; if it "
                    "is interrupted, --resume begins where the state was last saved."
                )
            self._has_failed = True

    def remove(self) -> None:
        """Remove what is no longer needed, if the disk lets it go."""
        with suppress(OSError):
            self._path.unlink(missing_ok=True)


class _UnusableError(Exception):
    """Says what is wrong with the file."""


def _read(path: Path) -> tuple[Arrays, Progress]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            header = file.metadata()
            text, sha256 = header["progress"], header["sha256"]
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
        raise _UnusableError(str(error)) from error
    if _hash(arrays, text) != sha256:
        raise _UnusableError("its content has changed since it was written")
    told = json.loads(text)
    if told.keys() != {each.name for each in fields(Progress)}:
        raise _UnusableError("another version of tlkit wrote it")
    return arrays, Progress(**told)


def _hash(arrays: Mapping[str, NDArray[Any]], progress: str) -> str:
    return hashlib.sha256(f"{progress}\0{hash_arrays(arrays)}".encode()).hexdigest()


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
            expected="the state of the same run, made by the same version of Keras",
            fix="begin a new run with another --out.",
        )
    for name, variable in zip(names, variables, strict=True):
        variable.assign(arrays[name])
