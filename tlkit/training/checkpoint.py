"""Checkpoints of an unfinished run, complete enough that a resumed run is bitwise equal to an uninterrupted one.

A checkpoint is one safetensors file: arrays under `model/`, `best/` and `optimizer/`, and in its header the rest as
JSON with a hash. It is written atomically. If it cannot be written, training continues without it; if it is damaged or
of another version, the stage starts again.
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
    """The progress of a stage.

    Attributes:
        epochs_done: Number of finished epochs.
        best_epoch: The epoch (from 1) whose weights are kept; 0 is the state before the first.
        best: Its validation figures, by name; see `tlkit.training.meters`.
        start: Validation figures before the stage.
        rows: The stage's history so far, one mapping per epoch.
        steps_per_epoch: Optimizer steps in each epoch.
        num_averaged: Number of epochs in the weight average.
        average: Validation figures of the averaged weights; empty if there are none.
        average_is_kept: Whether the averaged weights are the stage's result.
        trained: Validation figures of the trained weights, whether or not they are kept; empty until the stage ends.
        decided_by: The criterion for keeping them, `score` or `loss`; see `tlkit.training.verdicts`. Empty if there was
            nothing to decide.
        p_value: The p-value of the change in score.
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
    """The checkpoint file of a stage.

    Args:
        path: The file.
        warn: Called with a sentence if the checkpoint cannot be written, once, or cannot be used.
    """

    def __init__(self, path: Path, warn: Callable[[str], None]) -> None:
        self._path = path
        self._warn = warn
        self._has_failed = False

    def read(self) -> tuple[Arrays, Progress] | None:
        """Return arrays and progress, or None if there is no usable checkpoint."""
        if not self._path.is_file():
            return None
        try:
            return _read(self._path)
        except _UnusableError as error:
            self._warn(f"{self._path} cannot be used ({error}); its content is computed again.")
            return None

    def write(self, arrays: Mapping[str, NDArray[Any]], progress: Progress) -> None:
        """Replace the saved arrays and progress, if the disk allows."""
        text = json.dumps(asdict(progress))
        header = {"progress": text, "sha256": _hash(arrays, text)}
        try:
            with written_aside(self._path) as file:
                for part in encode_tensors(arrays, header):
                    file.write(part)
        except OSError as error:
            if not self._has_failed:
                self._warn(
                    f"The checkpoint cannot be saved ({self._path}: {error.strerror}). Training continues; if it is "
                    "interrupted, --resume continues from the last saved checkpoint."
                )
            self._has_failed = True

    def remove(self) -> None:
        """Remove the checkpoint, if the disk allows."""
        with suppress(OSError):
            self._path.unlink(missing_ok=True)


class _UnusableError(Exception):
    """The checkpoint is unusable; the message says why."""


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
        raise _UnusableError("the checksum does not match")
    values = json.loads(text)
    if values.keys() != {each.name for each in fields(Progress)}:
        raise _UnusableError("another version of tlkit wrote it")
    return arrays, Progress(**values)


def _hash(arrays: Mapping[str, NDArray[Any]], progress: str) -> str:
    return hashlib.sha256(f"{progress}\0{hash_arrays(arrays)}".encode()).hexdigest()


def snapshot(prefix: str, variables: Sequence[Any]) -> Arrays:
    """Copy variables into arrays named `prefix/0000`, `prefix/0001`, … in order."""
    return {f"{prefix}/{number:04d}": np.array(variable.numpy()) for number, variable in enumerate(variables)}


def restore(prefix: str, variables: Sequence[Any], arrays: Mapping[str, NDArray[Any]]) -> None:
    """Restore variables from a `snapshot`.

    Raises:
        RunError: The number or shapes differ, because the state belongs to another model.
    """
    names = sorted(name for name in arrays if name.startswith(f"{prefix}/"))
    fits = len(names) == len(variables) and all(
        tuple(arrays[name].shape) == tuple(variable.shape) for name, variable in zip(names, variables, strict=True)
    )
    if not fits:
        raise RunError(
            f"The checkpoint has {len(names)} {prefix} arrays that do not match this model's {len(variables)}.",
            expected="a checkpoint of the same run, written by the same version of Keras",
            fix="start a new run with another --out.",
        )
    for name, variable in zip(names, variables, strict=True):
        variable.assign(arrays[name])
