"""The state of an unfinished run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from tlkit.errors import RunError
from tlkit.training.checkpoint import Progress, read_checkpoint, restore, snapshot, write_checkpoint


def test_state_reads_back_to_the_bit(tmp_path: Path) -> None:
    progress = Progress(epochs_done=2, best_epoch=1, best={"loss": float("inf")}, rows=[{"train_loss": 0.1}])
    arrays: dict[str, np.ndarray[Any, Any]] = {
        "model/0000": np.array([0.1, np.pi], np.float32),
        "optimizer/0000": np.array(7, np.int64),
    }
    write_checkpoint(tmp_path / "state.safetensors", arrays, progress)
    read, read_progress = read_checkpoint(tmp_path / "state.safetensors")
    assert read_progress == progress
    assert {name: array.tobytes() for name, array in read.items()} == {n: a.tobytes() for n, a in arrays.items()}
    assert [path.name for path in tmp_path.iterdir()] == ["state.safetensors"]


def test_a_truncated_state_is_a_clear_error(tmp_path: Path) -> None:
    path = tmp_path / "state.safetensors"
    write_checkpoint(path, {"model/0000": np.zeros(100)}, Progress())
    path.write_bytes(path.read_bytes()[:-50])
    with pytest.raises(RunError) as problem:
        read_checkpoint(path)
    assert problem.value.found.startswith(f"{path}: the saved state cannot be read (")
    assert problem.value.fix == "delete the run folder and start again."


def test_variables_are_restored_in_their_order() -> None:
    variables = [keras.Variable(np.full(3, number, np.float32)) for number in range(12)]
    saved = snapshot("best", variables)
    for variable in variables:
        variable.assign(np.zeros(3, np.float32))
    restore("best", variables, saved)
    assert [float(variable.numpy()[0]) for variable in variables] == list(range(12))


def test_state_of_another_model_is_refused() -> None:
    saved = snapshot("model", [keras.Variable(np.zeros(3, np.float32))])
    with pytest.raises(RunError) as problem:
        restore("model", [keras.Variable(np.zeros(4, np.float32))], saved)
    assert str(problem.value) == (
        "The saved state holds 1 model arrays that do not fit this model's 1.\n"
        "  Expected: the state of the same run\n"
        "  Fix: delete the run folder and start again."
    )
