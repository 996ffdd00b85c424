"""The registry of exports: each format has its module, its record, and the program that asks it."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

import tlkit.exports
from tlkit.errors import SettingError
from tlkit.exports import EXPORTS, find_export
from tlkit.exports.base import FLOAT32, INT8, PRECISIONS, name_folder

READERS = Path(tlkit.exports.__file__).parent / "readers"


@pytest.mark.parametrize("name", EXPORTS)
def test_every_format_has_its_record_and_its_program(name: str) -> None:
    export = find_export(name)

    assert export.name == name
    assert export.precisions[0] == FLOAT32
    assert {*export.calibrated} < {*export.precisions} <= {*PRECISIONS}
    assert (READERS / export.runner).is_file()
    assert name_folder(export, FLOAT32) == f"{name}-float32"


def test_a_format_whose_packages_are_missing_is_refused() -> None:
    export = dataclasses.replace(find_export("keras"), packages=("keras", "no_such_package"), extra="some")

    with pytest.raises(SettingError) as caught:
        export.require()

    assert str(caught.value) == (
        "--format keras: no_such_package cannot be imported.\n"
        "  Expected: the packages that write and run Keras\n"
        "  Fix: pip install 'tlkit[some]'"
    )


def test_a_package_that_only_int8_needs_is_asked_for_only_with_int8() -> None:
    export = dataclasses.replace(find_export("openvino"), packages=("numpy",), int8_packages=("no_such_package",))

    export.require(FLOAT32)
    with pytest.raises(SettingError) as caught:
        export.require(INT8)

    assert str(caught.value) == (
        "--format openvino --precision int8: no_such_package cannot be imported.\n"
        "  Expected: the packages that write OpenVINO with numbers of 8 bits\n"
        "  Fix: pip install 'tlkit[onnx]'"
    )
