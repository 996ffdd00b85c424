"""A silent start, and the versions that a result depends on."""

from __future__ import annotations

import os
import platform
import random
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from tlkit import runtime
from tlkit.runtime import (
    graph_precision,
    has_bfloat16,
    read_free_memory,
    read_resident_memory,
    read_versions,
    release_memory,
    start_keras,
)


def test_keras_starts_without_matplotlib_and_computes_in_bfloat16_without_a_word() -> None:
    environment = {name: value for name, value in os.environ.items() if name != "TF_CPP_MIN_LOG_LEVEL"}
    code = (
        "from tlkit.runtime import graph_precision, start_keras\n"
        "start_keras()\n"
        "import gc, keras, sys, tensorflow as tf\n"
        "print(gc.isenabled(), 'matplotlib' in sys.modules)\n"
        "import matplotlib\n"
        "with graph_precision('bfloat16'):\n"
        "    tf.function(lambda rows: tf.nn.relu(rows @ rows))(tf.ones((64, 64)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True)
    assert (done.stdout, done.stderr) == ("True False\n", "")


def test_what_was_held_back_is_shown_when_the_start_fails() -> None:
    code = (
        "import os, sys\n"
        "from tlkit.runtime import _held_standard_error\n"
        "with _held_standard_error():\n"
        "    os.write(2, b'the reason\\n')\n"
        "    raise SystemExit(3)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (3, "the reason\n")


def test_a_seed_reaches_every_generator() -> None:
    drawn = []
    for _ in range(2):
        start_keras(5)
        drawn.append((random.random(), keras.random.normal((2,)).numpy().tolist()))
    assert drawn[0] == drawn[1]


def test_versions_name_what_a_result_depends_on() -> None:
    versions = read_versions()
    assert {"python", "keras", "tensorflow", "numpy", "pillow", "h5py", "tlkit"} == versions.keys() - {"openvino"}
    assert versions["python"].startswith(f"{sys.version_info.major}.{sys.version_info.minor}")


@pytest.mark.parametrize("flags", ["fpu avx512f amx_bf16 amx_tile", "avx512_bf16", "fpu avx512f avx512bw"])
def test_bfloat16_is_used_where_the_processor_has_it(
    flags: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    description = tmp_path / "cpuinfo"
    description.write_text(f"processor\t: 0\nflags\t\t: {flags}\n\nprocessor\t: 1\n", encoding="utf-8")
    monkeypatch.setattr(runtime, "CPU_DESCRIPTION", description)
    assert has_bfloat16() == ("bf16" in flags)
    description.unlink()
    assert not has_bfloat16()


@pytest.mark.parametrize(("precision", "exact"), [("float32", True), ("bfloat16", False)])
def test_only_what_runs_within_has_the_precision(precision: str, exact: bool) -> None:
    images = np.random.default_rng(0).normal(size=(8, 16, 16, 32)).astype(np.float32)
    convolve = keras.layers.Conv2D(32, 3)
    convolve(images)

    def compute() -> np.ndarray:
        return np.asarray(tf.function(lambda x: convolve(x) * 1.0)(tf.constant(images)))

    before = compute()
    with graph_precision(precision):
        within = compute()
    np.testing.assert_array_equal(compute(), before)
    assert np.array_equal(within, before) == exact
    np.testing.assert_allclose(within, before, atol=0.1)


@pytest.mark.parametrize(("limit", "expected"), [("max", 2 * 2**20), (str(3 * 2**20), 2**20), (str(2**20), 0)])
def test_free_memory_is_what_the_system_and_the_container_leave(
    limit: str, expected: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    description = tmp_path / "meminfo"
    description.write_text("MemTotal:        9999 kB\nMemAvailable:    2048 kB\n")
    (tmp_path / "memory.max").write_text(f"{limit}\n")
    (tmp_path / "memory.current").write_text(f"{2 * 2**20}\n")
    monkeypatch.setattr("tlkit.runtime.MEMORY_DESCRIPTION", description)
    monkeypatch.setattr("tlkit.runtime.CONTAINER_LIMITS", tmp_path)
    assert read_free_memory() == expected


def test_free_memory_is_guessed_where_the_system_does_not_tell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tlkit.runtime.MEMORY_DESCRIPTION", tmp_path / "missing")
    monkeypatch.setattr("tlkit.runtime.CONTAINER_LIMITS", tmp_path)
    assert read_free_memory() > 2**28


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc gives memory back; run on Linux to lift this")
def test_memory_that_is_no_longer_used_is_given_back() -> None:
    """Blocks below the size that is mapped by itself, with the last one kept: the heap cannot shrink from its end."""
    blocks = [bytearray(16_000) for _ in range(8_000)]
    last = blocks[-1]
    del blocks
    before = read_resident_memory()
    release_memory()
    after = read_resident_memory()
    assert len(last) == 16_000
    assert before is not None
    assert after is not None
    assert before - after > 60_000_000
