"""OpenVINO is imported quickly, tells nobody, and its absence has a message."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tlkit.backbones.engines import openvino_runtime
from tlkit.errors import BackboneError

IMPORT = """
import sys
from types import ModuleType
sys.modules["openvino_telemetry"] = telemetry = ModuleType("openvino_telemetry")
from tlkit.backbones.engines.openvino_runtime import CONVERTER, import_converter, import_openvino
import_openvino()
print([name for name in (CONVERTER, "keras", "tensorflow") if name in sys.modules])
convert = import_converter()
print(convert.__module__, sys.modules["openvino.tools.ovc.convert_impl"].tm.__name__)
print(sys.modules["openvino_telemetry"] is telemetry)
"""


@pytest.mark.usefixtures("openvino")
def test_openvino_tells_nobody_and_its_converter_waits_until_it_is_asked_for() -> None:
    result = subprocess.run([sys.executable, "-c", IMPORT], capture_output=True, text=True, check=True)
    assert result.stdout.splitlines() == [
        "[]",
        "openvino.tools.ovc.convert openvino.tools.ovc.telemetry_stub",
        "True",
    ]


FIRST_ARRAY = """
import builtins
from tlkit.backbones.engines.openvino_runtime import import_openvino
openvino, names, real = import_openvino(), [], builtins.__import__
def note_and_import(name, *arguments, **settings):
    names.append(name)
    return real(name, *arguments, **settings)
builtins.__import__ = note_and_import
openvino.Type.f32.to_dtype()
print(names)
"""


@pytest.mark.usefixtures("openvino")
def test_openvino_has_looked_numpy_up_before_threads_could_wait_for_each_other() -> None:
    result = subprocess.run([sys.executable, "-c", FIRST_ARRAY], capture_output=True, text=True, check=True)
    assert result.stdout == "[]\n"


def test_openvino_is_refused_where_it_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    assert not openvino_runtime.has_openvino()
    with pytest.raises(BackboneError) as caught:
        openvino_runtime.require_openvino()
    assert str(caught.value) == (
        "--engine openvino: OpenVINO cannot be imported.\n"
        "  Expected: the package openvino, for which there is no build for every processor and system\n"
        "  Fix: install it with `pip install openvino`, or give --engine keras."
    )


def test_a_network_that_openvino_cannot_write_is_an_error_of_the_disk(
    openvino: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fill_the_disk(model: Any, path: Path, compress_to_fp16: bool) -> None:
        raise RuntimeError("Exception from src/core:\nCheck failed:\nno space left\n\n")

    monkeypatch.setattr(openvino, "save_model", fill_the_disk)
    graph = tmp_path / "trunk.xml"
    with pytest.raises(OSError, match="no space left") as caught:
        openvino_runtime.save_network(None, graph)
    assert (caught.value.strerror, caught.value.filename) == ("no space left", str(graph))
