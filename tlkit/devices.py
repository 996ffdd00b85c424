"""The devices that Keras computes on, and what is done differently on a GPU.

Whatever pays on one kind of device and not on the other is decided here. Figures of processors are measured; those of
GPUs follow from how they work: each operation is a kernel that is launched, and copies run beside computation.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

from tlkit.errors import SettingError
from tlkit.runtime import has_bfloat16, read_free_memory, start_keras

AMPERE = (8, 0)
"""Compute capability of the first GPUs that multiply in bfloat16."""
FLOAT32 = "float32"
MIXED_BFLOAT16 = "mixed_bfloat16"


class AllDevices(enum.Enum):
    """A request for all devices; "all" in files and options."""

    ALL = "all"


ALL = AllDevices.ALL


def as_word(devices: int | AllDevices) -> int | str:
    """Return a number of devices as files and options write it."""
    return devices.value if isinstance(devices, AllDevices) else devices


@dataclass(frozen=True)
class Practice:
    """What is done on one kind of device.

    Attributes:
        rewrites_gradients: Whether gradients of convolutions are computed as TensorFlow does not compute them: those of strided
            depthwise ones at stride 1, and of kernels by matrix products. GPUs have a fast kernel for each of them.
        steps_worth_xla: Steps of a linear head that save more time than XLA takes to compile.
        num_parallel: Batches that Keras is given at a time: two keep a GPU busy while one of them is copied.
    """

    rewrites_gradients: bool
    steps_worth_xla: int
    num_parallel: int


ON_PROCESSORS = Practice(rewrites_gradients=True, steps_worth_xla=1_000, num_parallel=1)
ON_GPUS = Practice(rewrites_gradients=False, steps_worth_xla=10_000, num_parallel=2)


def list_gpus() -> list[Any]:
    """Start Keras, and return the GPUs that TensorFlow may use, as it names them."""
    start_keras()
    import tensorflow as tf

    return list(tf.config.get_visible_devices("GPU"))


def find_practice() -> Practice:
    """Return what is done on the devices that Keras computes on here."""
    return ON_GPUS if list_gpus() else ON_PROCESSORS


def list_devices() -> tuple[str, ...]:
    """Return the devices that Keras can compute on, by TensorFlow's names: the GPUs, or else what it sees of processors."""
    kind = "GPU" if list_gpus() else "CPU"
    import tensorflow as tf

    return tuple(device.name for device in tf.config.list_logical_devices(kind))


def choose_devices(requested: int | AllDevices) -> tuple[str, ...]:
    """Return the devices that work is divided among; none where all is left to the one that TensorFlow takes.

    Starts Keras where more than one is requested.

    Raises:
        SettingError: There are not as many.
    """
    if requested == 1:
        return ()
    found = list_devices()
    if requested is ALL:
        return found if len(found) > 1 else ()
    if requested > len(found):
        raise _too_many(requested, found)
    return found[:requested]


def _too_many(requested: int, found: Sequence[str]) -> SettingError:
    if len(found) == 1 and not list_gpus():
        return SettingError(
            f"--devices {requested}: TensorFlow finds no GPU, and the processor is one device, of which all cores are used.",
            expected="--devices only on a machine with several GPUs",
            fix="leave out --devices; if there are GPUs, install TensorFlow with CUDA: pip install 'tensorflow[and-cuda]'.",
        )
    return SettingError(
        f"--devices {requested}: TensorFlow finds {describe_devices(found)}.",
        expected=f"at most {len(found)}, or all",
        fix=f"use --devices {len(found)}, or leave it out; CUDA_VISIBLE_DEVICES hides GPUs that it does not list.",
    )


def on_device(device: str) -> AbstractContextManager[None]:
    """Compute, and create variables, on a device of one of TensorFlow's names; nothing is changed by an empty one."""
    if not device:
        return nullcontext()
    import tensorflow as tf

    context: AbstractContextManager[None] = tf.device(device)
    return context


def describe_devices(devices: Sequence[str]) -> str:
    """Return devices in words, such as `GPU:0 (NVIDIA A100) and GPU:1 (NVIDIA A100)`."""
    *first, last = [_describe_device(device) for device in devices]
    return f"{', '.join(first)} and {last}" if first else last


def _describe_device(device: str) -> str:
    import tensorflow as tf

    short = device.removeprefix("/device:")
    kind, _, number = short.partition(":")
    gpus = list_gpus()
    details = tf.config.experimental.get_device_details(gpus[int(number)]) if kind == "GPU" and gpus else {}
    return f"{short} ({details['device_name']})" if "device_name" in details else short


def native_precision(engine: str) -> str:
    """Return the number format in which an engine is fastest here: bfloat16 where the hardware multiplies in it.

    Args:
        engine: openvino, which runs on the processor, or keras, which runs on a GPU where there is one.
    """
    if engine == "keras" and (gpus := list_gpus()):
        return "bfloat16" if all(map(_multiplies_in_bfloat16, gpus)) else FLOAT32
    return "bfloat16" if has_bfloat16() else FLOAT32


def _multiplies_in_bfloat16(gpu: Any) -> bool:
    import tensorflow as tf

    details = tf.config.experimental.get_device_details(gpu)
    return bool(details.get("compute_capability", (0, 0)) >= AMPERE)


def choose_training_dtype(precision: str) -> str:
    """Return the dtype policy of the unfrozen layers in training steps.

    On a processor it is float32: there TensorFlow rewrites the compiled graph, see `tlkit.runtime.graph_precision`, which
    it does not do for GPUs. float16, for GPUs older than Ampere, is left out: its gradients need a scale that would be
    part of a run's state, and steps that are skipped.

    Args:
        precision: float32; bfloat16; or auto: bfloat16 where the GPU multiplies in it.
    """
    if not list_gpus():
        return FLOAT32
    precision = native_precision("keras") if precision == "auto" else precision
    return MIXED_BFLOAT16 if precision == "bfloat16" else FLOAT32


def read_input_memory() -> int:
    """Return how many bytes are free for inputs that stay where steps are computed: on a GPU of its memory, too."""
    free = read_free_memory()
    return min([free, *_read_free_gpu_memory()]) if list_gpus() else free


def _read_free_gpu_memory() -> list[int]:
    """Return how many bytes each GPU has left of what TensorFlow takes of it."""
    import tensorflow as tf
    from tensorflow.python.client import device_lib

    used = tf.config.experimental.get_memory_info
    found = [device for device in device_lib.list_local_devices() if device.device_type == "GPU"]
    return [max(0, device.memory_limit - used(device.name.removeprefix("/device:"))["current"]) for device in found]
