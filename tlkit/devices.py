"""The devices that Keras computes on, and what is done differently on a GPU.

Whatever pays on one kind of device and not on the other is decided here. Figures of processors are measured; those of
GPUs follow from how they work: each operation is a kernel that is launched, and copies run beside computation.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tlkit import runtime

AMPERE = (8, 0)
"""Compute capability of the first GPUs that multiply in bfloat16."""
FLOAT32 = "float32"
MIXED_BFLOAT16 = "mixed_bfloat16"


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
    runtime.start_keras()
    import tensorflow as tf

    return list(tf.config.get_visible_devices("GPU"))


def find_practice() -> Practice:
    """Return what is done on the devices that Keras computes on here."""
    return ON_GPUS if list_gpus() else ON_PROCESSORS


def native_precision(engine: str) -> str:
    """Return the number format in which an engine is fastest here: bfloat16 where the hardware multiplies in it.

    Args:
        engine: openvino, which runs on the processor, or keras, which runs on a GPU where there is one.
    """
    if engine == "keras" and (gpus := list_gpus()):
        return "bfloat16" if all(map(_multiplies_in_bfloat16, gpus)) else FLOAT32
    return "bfloat16" if runtime.has_bfloat16() else FLOAT32


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
    free = runtime.read_free_memory()
    return min([free, *_read_free_gpu_memory()]) if list_gpus() else free


def _read_free_gpu_memory() -> list[int]:
    """Return how many bytes each GPU has left of what TensorFlow takes of it."""
    import tensorflow as tf
    from tensorflow.python.client import device_lib

    used = tf.config.experimental.get_memory_info
    found = [device for device in device_lib.list_local_devices() if device.device_type == "GPU"]
    return [max(0, device.memory_limit - used(device.name.removeprefix("/device:"))["current"]) for device in found]
