"""A silent start, and the versions that a result depends on."""

from __future__ import annotations

import os
import random
import subprocess
import sys

import keras

from tlkit.runtime import read_versions, start_keras


def test_keras_starts_without_a_word() -> None:
    environment = {name: value for name, value in os.environ.items() if name != "TF_CPP_MIN_LOG_LEVEL"}
    done = subprocess.run(
        [sys.executable, "-c", "from tlkit.runtime import start_keras; start_keras(); import keras; print(1)"],
        capture_output=True,
        text=True,
        env=environment,
        check=True,
    )
    assert (done.stdout, done.stderr) == ("1\n", "")


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
    assert {"python", "keras", "tensorflow", "numpy", "pillow", "h5py", "tlkit"} == versions.keys()
    assert versions["python"].startswith(f"{sys.version_info.major}.{sys.version_info.minor}")
