"""The state of an unfinished run."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from tlkit.errors import RunError
from tlkit.training.checkpoint import Checkpoint, Progress, restore, snapshot

ARRAYS: dict[str, np.ndarray[Any, Any]] = {
    "model/0000": np.array([0.1, np.pi], np.float32),
    "optimizer/0000": np.array(7, np.int64),
}
PROGRESS = Progress(epochs_done=2, best_epoch=1, best={"loss": float("inf")}, rows=[{"train_loss": 0.1}])


def fail(text: str) -> None:
    raise AssertionError(text)


def test_state_reads_back_to_the_bit(tmp_path: Path) -> None:
    checkpoint = Checkpoint(tmp_path / "state.safetensors", fail)
    assert checkpoint.read() is None
    checkpoint.write({"model/0000": np.zeros(3)}, Progress())
    checkpoint.write(ARRAYS, PROGRESS)
    read = checkpoint.read()
    assert read is not None
    assert read[1] == PROGRESS
    assert {name: array.tobytes() for name, array in read[0].items()} == {n: a.tobytes() for n, a in ARRAYS.items()}
    assert [path.name for path in tmp_path.iterdir()] == ["state.safetensors"]
    checkpoint.remove()
    checkpoint.remove()
    assert checkpoint.read() is None


def test_any_damage_to_the_state_is_told_and_the_state_not_used(tmp_path: Path) -> None:
    path, warnings = tmp_path / "state.safetensors", list[str]()
    checkpoint = Checkpoint(path, warnings.append)
    checkpoint.write(ARRAYS, PROGRESS)
    whole = path.read_bytes()
    for place in range(len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 4]) + whole[place + 1 :])
        read = checkpoint.read()
        is_padding = whole[place : place + 1] == b" "
        assert read is None or is_padding, f"byte {place} was changed"
    path.write_bytes(whole[:-50])
    warnings.clear()
    assert checkpoint.read() is None
    (text,) = warnings
    assert text.startswith(f"{path} cannot be used (")
    assert text.endswith("); its content is computed again.")


def test_the_state_of_another_version_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, warnings = tmp_path / "state.safetensors", list[str]()
    with monkeypatch.context() as patch:
        patch.setattr("tlkit.training.checkpoint.asdict", lambda progress: {"epochs_done": 2, "luck": 0.5})
        Checkpoint(path, fail).write(ARRAYS, PROGRESS)
    assert Checkpoint(path, warnings.append).read() is None
    assert warnings == [f"{path} cannot be used (another version of tlkit wrote it); its content is computed again."]


def test_a_disk_that_does_not_take_the_state_costs_one_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, warnings = tmp_path / "state.safetensors", list[str]()
    checkpoint = Checkpoint(path, warnings.append)
    checkpoint.write({}, PROGRESS)

    def fill(number: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", fill)
        checkpoint.write(ARRAYS, Progress())
        checkpoint.write(ARRAYS, Progress())
    assert warnings == [
        f"The checkpoint cannot be saved ({path}: No space left on device). Training continues; if it is interrupted, "
        "--resume continues from the last saved checkpoint."
    ]
    assert checkpoint.read() == ({}, PROGRESS)


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
        "The checkpoint has 1 model arrays that do not match this model's 1.\n"
        "  Expected: a checkpoint of the same run, written by the same version of Keras\n"
        "  Fix: start a new run with another --out."
    )
