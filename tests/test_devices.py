"""What is done differently where there is a GPU: with lists of devices that are not there."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import tensorflow as tf
from tensorflow.python.client import device_lib

from tlkit import devices
from tlkit.devices import (
    ALL,
    ON_GPUS,
    ON_PROCESSORS,
    choose_devices,
    choose_training_dtype,
    find_practice,
    list_gpus,
    native_precision,
    read_input_memory,
)
from tlkit.errors import SettingError

VOLTA, AMPERE, HOPPER = (7, 0), (8, 0), (9, 0)


@pytest.fixture
def set_gpus(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return what makes TensorFlow say that there are GPUs of some compute capabilities."""

    def set_gpus(*capabilities: tuple[int, int] | None) -> None:
        logical = [SimpleNamespace(name=f"/device:GPU:{number}") for number in range(len(capabilities))]
        monkeypatch.setattr(tf.config, "list_logical_devices", lambda kind: logical if kind == "GPU" else [])
        monkeypatch.setattr(tf.config, "get_visible_devices", lambda kind: list(capabilities) if kind == "GPU" else [])
        monkeypatch.setattr(
            tf.config.experimental,
            "get_device_details",
            lambda gpu: {"device_name": "NVIDIA A100"} | ({"compute_capability": gpu} if gpu else {}),
        )

    return set_gpus


def test_a_machine_without_gpus_is_a_machine_of_processors() -> None:
    assert list_gpus() == []
    assert find_practice() is ON_PROCESSORS


def test_what_pays_on_processors_alone_is_not_done_on_a_gpu(set_gpus: Any) -> None:
    set_gpus(VOLTA)
    assert find_practice() is ON_GPUS
    assert ON_PROCESSORS.rewrites_gradients
    assert not ON_GPUS.rewrites_gradients


@pytest.mark.parametrize(
    ("capabilities", "expected"),
    [((AMPERE,), "bfloat16"), ((HOPPER, AMPERE), "bfloat16"), ((AMPERE, VOLTA), "float32"), ((None,), "float32")],
)
def test_keras_computes_in_bfloat16_where_every_gpu_multiplies_in_it(
    set_gpus: Any, monkeypatch: pytest.MonkeyPatch, capabilities: tuple[Any, ...], expected: str
) -> None:
    set_gpus(*capabilities)
    for processor in (True, False):
        monkeypatch.setattr(devices, "has_bfloat16", lambda here=processor: here)
        assert native_precision("keras") == expected
        assert native_precision("openvino") == ("bfloat16" if processor else "float32")


def test_without_gpus_both_engines_do_as_the_processor_does(monkeypatch: pytest.MonkeyPatch) -> None:
    for processor, expected in ((True, "bfloat16"), (False, "float32")):
        monkeypatch.setattr(devices, "has_bfloat16", lambda here=processor: here)
        assert native_precision("keras") == native_precision("openvino") == expected


def test_unfrozen_layers_compute_in_bfloat16_on_gpus_that_can_and_where_it_is_asked_for(set_gpus: Any) -> None:
    precisions = ("auto", "float32", "bfloat16")
    assert [choose_training_dtype(precision) for precision in precisions] == ["float32"] * 3
    set_gpus(AMPERE)
    assert [choose_training_dtype(each) for each in precisions] == ["mixed_bfloat16", "float32", "mixed_bfloat16"]
    set_gpus(VOLTA)
    assert [choose_training_dtype(each) for each in precisions] == ["float32", "float32", "mixed_bfloat16"]


@pytest.mark.parametrize(("free", "expected"), [(10_000, 600), (400, 400)])
def test_inputs_on_a_gpu_must_fit_into_what_is_left_of_its_memory(
    set_gpus: Any, monkeypatch: pytest.MonkeyPatch, free: int, expected: int
) -> None:
    monkeypatch.setattr(devices, "read_free_memory", lambda: free)
    assert read_input_memory() == free
    set_gpus(AMPERE, AMPERE)
    found = [("CPU:0", "CPU", 1), ("GPU:0", "GPU", 1000), ("GPU:1", "GPU", 900)]
    local = [SimpleNamespace(name=f"/device:{name}", device_type=kind, memory_limit=size) for name, kind, size in found]
    monkeypatch.setattr(device_lib, "list_local_devices", lambda: local)
    used = {"GPU:0": 100, "GPU:1": 300}
    monkeypatch.setattr(tf.config.experimental, "get_memory_info", lambda name: {"current": used[name], "peak": 0})
    assert read_input_memory() == expected
    used["GPU:1"] = 1200
    assert devices.read_input_memory() == 0


def test_gpus_are_chosen_in_their_order_and_one_is_left_to_tensorflow(set_gpus: Any) -> None:
    set_gpus(AMPERE, AMPERE, AMPERE)
    assert choose_devices(1) == ()
    assert choose_devices(2) == ("/device:GPU:0", "/device:GPU:1")
    assert choose_devices(ALL) == ("/device:GPU:0", "/device:GPU:1", "/device:GPU:2")
    set_gpus(AMPERE)
    assert choose_devices(ALL) == ()


def test_more_gpus_than_there_are_are_refused_with_the_names_of_those_that_are(set_gpus: Any) -> None:
    set_gpus(AMPERE, AMPERE)
    with pytest.raises(SettingError) as problem:
        choose_devices(8)
    assert str(problem.value) == (
        "--devices 8: TensorFlow finds GPU:0 (NVIDIA A100) and GPU:1 (NVIDIA A100).\n"
        "  Expected: at most 2, or all\n"
        "  Fix: use --devices 2, or leave it out; CUDA_VISIBLE_DEVICES hides GPUs that it does not list."
    )


def test_a_processor_is_one_device() -> None:
    assert choose_devices(ALL) == ()
    with pytest.raises(SettingError) as problem:
        choose_devices(2)
    assert str(problem.value) == (
        "--devices 2: TensorFlow finds no GPU, and the processor is one device, of which all cores are used.\n"
        "  Expected: --devices only on a machine with several GPUs\n"
        "  Fix: leave out --devices; if there are GPUs, install TensorFlow with CUDA: pip install 'tensorflow[and-cuda]'."
    )
