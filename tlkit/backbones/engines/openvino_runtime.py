"""OpenVINO: fast import without telemetry, and compiled models.

Nothing here needs Keras, so an OpenVINO model is ready in a fraction of a second.
"""

from __future__ import annotations

import errno
import hashlib
import importlib
import queue
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tlkit.errors import BackboneError
from tlkit.files import flush_file, open_regular_file
from tlkit.runtime import find_processor_limit, hidden_modules
from tlkit.waiting import waiting_for

if TYPE_CHECKING:
    import keras
    import openvino

TRUNK_FILES = TRUNK_GRAPH, TRUNK_WEIGHTS, TRUNK_NOTE = ("trunk.xml", "trunk.bin", "trunk.json")
"""The files of a converted trunk: see `tlkit.backbones.engines.openvino`."""
FOLDER_NAME_LENGTH = 16
TELEMETRY = "openvino_telemetry"
CONVERTER = "openvino.tools.ovc"
PRECISIONS = {"float32": "f32", "bfloat16": "bf16"}

Run = Callable[[Sequence[NDArray[Any]]], list[NDArray[np.float32]]]
"""From the inputs of a model to its outputs, both in order. Thread-safe."""


def import_openvino() -> Any:
    """Import and return `openvino`, without telemetry and without its converter, which is slow to load.

    If the package openvino_telemetry can be imported, OpenVINO reports every conversion to Intel through Google
    Analytics.

    Raises:
        ImportError: OpenVINO is not installed, or does not run on this system.
    """
    if "openvino" not in sys.modules:
        with hidden_modules(TELEMETRY, CONVERTER):
            import openvino
        openvino.Type.u8.to_dtype()  # looks NumPy up: two threads that did so at once would wait for each other for ever
    return importlib.import_module("openvino")


def open_core() -> openvino.Core:
    """Return the one core of this process, which is never closed.

    A core gives the main thread another stack for signal handlers, and takes it away when it is closed. If several are
    closed in the order in which they were opened, one stack stays registered that is gone, and the next signal, such as
    Ctrl-C, ends the process in a segmentation fault (OpenVINO 2026.4).

    Raises:
        ImportError: As `import_openvino`.
    """
    return _make_core(import_openvino())


@cache
def _make_core(openvino: Any) -> openvino.Core:
    return openvino.Core()


def import_converter() -> Callable[[Any], openvino.Model]:
    """Return the function that converts a TensorFlow function to an OpenVINO model, without telemetry.

    Raises:
        ImportError: OpenVINO is not installed, or does not run on this system.
    """
    import_openvino()
    with hidden_modules(TELEMETRY):
        converter = importlib.import_module(CONVERTER)
    convert: Callable[[Any], openvino.Model] = converter.convert_model
    return convert


@contextmanager
def constant_vectors(*models: keras.Model) -> Iterator[None]:
    """Let the vectors among the weights of models be constants while a function is traced for the converter.

    The converter looks for each variable among all of them, many times. Most are vectors, such as those of batch norm: as
    constants, they leave half of its time, and the same network to the last bit. Matrices would be copied.
    """
    import keras
    import tensorflow as tf

    vectors = [variable for model in models for variable in model.variables if len(variable.shape) < 2]
    with tf.init_scope():
        values = [np.asarray(variable) for variable in vectors]
    constants = [(variable, tf.constant(value)) for variable, value in zip(vectors, values, strict=True)]
    with keras.StatelessScope(state_mapping=constants):
        yield


def has_openvino() -> bool:
    """Return whether OpenVINO is installed and can be imported here."""
    try:
        import_openvino()
    except ImportError:
        return False
    return True


def require_openvino() -> None:
    """Check that OpenVINO is installed.

    Raises:
        BackboneError: It is not.
    """
    if not has_openvino():
        raise BackboneError(
            "--engine openvino: OpenVINO cannot be imported.",
            expected="the package openvino, for which there is no build for every processor and system",
            fix="install it with `pip install openvino`, or give --engine keras.",
        )


def compile_model(model: openvino.Model, precision: str) -> tuple[Run, int]:
    """Compile a model for this processor.

    Args:
        model: A model of static shapes.
        precision: float32 or bfloat16, which is only fast with hardware support.

    Returns:
        A function that runs it in a free request, waiting for one if necessary, and the number of threads that can
        usefully call it in parallel.

    Raises:
        RuntimeError: OpenVINO cannot run the model.
    """
    hints: dict[str, Any] = {"PERFORMANCE_HINT": "THROUGHPUT", "INFERENCE_PRECISION_HINT": PRECISIONS[precision]}
    if limit := find_processor_limit():
        # Two processes that pin their threads would choose the same processors.
        hints |= {"INFERENCE_NUM_THREADS": limit, "ENABLE_CPU_PINNING": False}
    core = open_core()
    with waiting_for("OpenVINO to compile the network"):
        compiled = core.compile_model(model, "CPU", hints)
    num_parallel: int = compiled.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS")
    num_outputs = len(compiled.outputs)
    free: queue.SimpleQueue[openvino.InferRequest] = queue.SimpleQueue()
    for _ in range(num_parallel):
        free.put(compiled.create_infer_request())

    def run(inputs: Sequence[NDArray[Any]]) -> list[NDArray[np.float32]]:
        request = free.get()
        try:
            request.start_async(list(inputs), share_inputs=True)
            request.wait()
            return [np.array(request.get_output_tensor(index).data, np.float32) for index in range(num_outputs)]
        finally:
            free.put(request)

    return run, num_parallel


def save_network(model: openvino.Model, graph: Path) -> dict[str, str]:
    """Write a network's graph, and its weights as .bin, flushed to disk; return their sha256 by name.

    Raises:
        OSError: A file cannot be written.
    """
    files = (graph, graph.with_suffix(".bin"))
    with waiting_for(f"the disk to take {graph}"):
        try:
            import_openvino().save_model(model, graph, compress_to_fp16=False)
        except RuntimeError as error:  # such as a full disk, in many lines of which the last one says why
            raise OSError(errno.EIO, str(error).strip().splitlines()[-1], str(graph)) from error
        for file in files:
            flush_file(file)
    return {file.name: hash_file(file) for file in files}


def name_quantized_trunk(root: Path, calibration: str) -> Path:
    """Return the folder of a quantized trunk, given the root of converted trunks and the hash that names it."""
    return root / calibration[:FOLDER_NAME_LENGTH]


def hash_file(path: Path) -> str:
    """Return the sha256 of a file, in hex."""
    with open_regular_file(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
