"""The process that Keras runs in: a silent start, seeds, and what is installed.

TensorFlow 2.21 writes to file descriptor 2 from C++ while it is imported, whatever its log level says, so the
descriptor itself is held during the import and given back whole.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
import platform
import re
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tlkit.version import __version__

CPU_DESCRIPTION = Path("/proc/cpuinfo")
MEMORY_DESCRIPTION = Path("/proc/meminfo")
PROCESS_STATUS = Path("/proc/self/status")
PEAK_RESET = Path("/proc/self/clear_refs")
CONTAINER_LIMITS = Path("/sys/fs/cgroup")
_UNKNOWN_MEMORY_BYTES = 4 * 2**30
_limits: list[int] = []


def start_keras(seed: int | None = None) -> None:
    """Import TensorFlow and Keras without their start-up noise, and seed every generator.

    Costs 3 to 9 seconds the first time, nothing later.

    Args:
        seed: Seeds Python, NumPy and Keras where given.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    if "keras" not in sys.modules or "tensorflow" not in sys.modules:
        # Keras looks for Matplotlib for its own galleries, which takes half a second or more.
        unused = () if "matplotlib" in sys.modules else ("matplotlib",)
        with _held_standard_error(), _paused_garbage_collection(), hidden_modules(*unused):
            import keras
            import tensorflow as tf

            tf.constant(0)  # the first operation prints another line
    import keras
    import tensorflow as tf

    tf.get_logger().setLevel("ERROR")  # it warns of retracing, which several models in a process make normal
    if seed is not None:
        keras.utils.set_random_seed(seed)


def limit_processors(number: int) -> None:
    """Let this process, a worker of a cluster, use so many processors; call it before TensorFlow is imported."""
    _limits[:] = [number]
    for name in ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS"):
        os.environ[name] = str(number)


def find_processor_limit() -> int | None:
    """Return the number of processors that `limit_processors` set; None without a limit."""
    return _limits[0] if _limits else None


def count_processors() -> int:
    """Return the number of processors that this process may use."""
    return find_processor_limit() or os.cpu_count() or 1


@contextlib.contextmanager
def graph_precision(precision: str) -> Iterator[None]:
    """Let compiled TensorFlow functions that are called within run in bfloat16 where that is wanted.

    TensorFlow then rewrites the graph for the processor: convolutions and matrix products in bfloat16, sums and weights
    in float32. Twice to four times as fast where the processor has such instructions, slower where it has not.

    Args:
        precision: `float32`; `bfloat16`; or `auto`: bfloat16 where this processor has it.
    """
    import tensorflow as tf

    option = "auto_mixed_precision_onednn_bfloat16"
    is_on = precision == "bfloat16" or (precision == "auto" and has_bfloat16())
    before = bool(tf.config.optimizer.get_experimental_options().get(option, False))
    tf.config.optimizer.set_experimental_options({option: is_on})
    try:
        yield
    finally:
        tf.config.optimizer.set_experimental_options({option: before})


def read_free_memory() -> int:
    """Return how many bytes of memory are free for this process, or could be freed without harm.

    Linux tells, and the limit of a container counts; of another system a quarter of the memory is taken to be free.
    """
    try:
        found = re.search(r"^MemAvailable:\s*(\d+) kB$", MEMORY_DESCRIPTION.read_text("utf-8"), re.MULTILINE)
        free = int(found[1]) * 1024 if found else _UNKNOWN_MEMORY_BYTES
    except OSError:
        try:
            free = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 4
        except (AttributeError, ValueError, OSError):  # Windows has no sysconf
            free = _UNKNOWN_MEMORY_BYTES
    try:
        limit, used = (int((CONTAINER_LIMITS / name).read_text("utf-8")) for name in ("memory.max", "memory.current"))
    except (OSError, ValueError):  # no container, or no limit ("max")
        return free
    return max(0, min(free, limit - used))


def read_resident_memory() -> int | None:
    """Return how many bytes of memory this process holds; None where the system does not tell (it does on Linux)."""
    return _read_status("VmRSS")


def release_memory() -> None:
    """Give memory that this process no longer uses back to the system, so that what it takes next can be seen.

    The C library keeps what was freed for later; glibc can be told not to (malloc_trim), others go on keeping it.
    """
    gc.collect()
    with contextlib.suppress(AttributeError, OSError, TypeError):  # another C library than glibc
        ctypes.CDLL(None).malloc_trim(0)


@dataclass
class Peak:
    """The most bytes that the process held; None while they are not known."""

    value: int | None = None


@contextlib.contextmanager
def watch_peak_memory() -> Iterator[Peak]:
    """Yield what tells, when the block has ended, the most memory that the process held within it."""
    peak = Peak()
    can_reset = True
    try:
        PEAK_RESET.write_text("5")  # proc(5): the peak begins anew
    except OSError:
        can_reset = False
    yield peak
    if can_reset:
        peak.value = _read_status("VmHWM")


def _read_status(name: str) -> int | None:
    try:
        found = re.search(rf"^{name}:\s*(\d+) kB$", PROCESS_STATUS.read_text("utf-8"), re.MULTILINE)
    except OSError:
        return None
    return int(found[1]) * 1024 if found else None


def has_bfloat16() -> bool:
    """Return whether the processor multiplies in bfloat16 (AVX-512 BF16 or AMX); known on Linux only."""
    try:
        flags = re.search(r"^flags\s*:(.*)$", CPU_DESCRIPTION.read_text("utf-8"), re.MULTILINE)
    except OSError:
        return False
    return flags is not None and not {"avx512_bf16", "amx_bf16"}.isdisjoint(flags[1].split())


def read_versions(*packages: str) -> dict[str, str]:
    """Return the versions that a result depends on, by name: of what tlkit always uses, and of these packages."""
    from importlib.metadata import PackageNotFoundError, version

    versions = {"tlkit": __version__, "python": platform.python_version()}
    for name in ("keras", "tensorflow", "openvino", "numpy", "pillow", "h5py", *packages):
        with contextlib.suppress(PackageNotFoundError):  # there is no OpenVINO for every system
            versions[name] = version(name)
    return versions


@contextlib.contextmanager
def hidden_modules(*names: str) -> Iterator[None]:
    """Make modules that are not imported yet appear not to be installed."""
    before = {name: sys.modules.get(name) for name in names}
    sys.modules.update(dict.fromkeys(names))  # type: ignore[arg-type]
    try:
        yield
    finally:
        for name, module in before.items():
            del sys.modules[name]
            if module is not None:
                sys.modules[name] = module


@contextlib.contextmanager
def _paused_garbage_collection() -> Iterator[None]:
    """Import without searching for garbage, of which there is none: a tenth of the time that TensorFlow takes."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


@contextlib.contextmanager
def _held_standard_error() -> Iterator[None]:
    """Keep file descriptor 2 quiet; if the body raises, what was held is written out after all."""
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        except KeyboardInterrupt:
            raise  # what was held is only noise
        except BaseException:
            os.dup2(kept, 2)
            held.seek(0)
            os.write(2, held.read())
            raise
        finally:
            os.dup2(kept, 2)
            os.close(kept)
