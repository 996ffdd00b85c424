from __future__ import annotations

import hashlib
import json
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tlkit.models.tensors import open_tensors, write_tensors


def craft(path: Path, header: Any, data: bytes = b"", *, claimed_length: int | None = None) -> Path:
    """Write a safetensors file whose header may lie."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    length = len(text) if claimed_length is None else claimed_length
    path.write_bytes(length.to_bytes(8, "little") + text + data)
    return path


def entry(shape: Any, begin: Any, end: Any, dtype: Any = "F32") -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


def open_and_close(path: Path) -> None:
    with open_tensors(path):
        pass


def test_arrays_come_back_as_they_were(tmp_path: Path) -> None:
    arrays: dict[str, np.ndarray[Any, Any]] = {
        "backbone/kernel": np.arange(24, dtype=np.float32).reshape(2, 3, 4).transpose(2, 0, 1),
        "head/scale": np.array(2.5, np.float32),
        "images": np.arange(12, dtype=np.uint8).reshape(1, 2, 2, 3),
    }
    sha256 = write_tensors(tmp_path / "a.safetensors", arrays)
    assert sha256 == hashlib.sha256((tmp_path / "a.safetensors").read_bytes()).hexdigest()
    with open_tensors(tmp_path / "a.safetensors") as file:
        found = dict(file.read(sha256))
    assert found.keys() == arrays.keys()
    for name, array in arrays.items():
        assert found[name].dtype == array.dtype
        np.testing.assert_array_equal(found[name], array)


@pytest.mark.parametrize("content", [b"", b"\x05\x00\x00"])
def test_a_file_without_room_for_a_header_is_refused(refuses: Any, tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a"
    path.write_bytes(content)
    with refuses(
        f"{path} has {len(content)} bytes and claims a header of {int.from_bytes(content, 'little')}.",
        "a safetensors file whose header fits it and has at most 2,097,152 bytes",
    ):
        open_and_close(path)


@pytest.mark.parametrize("claim", [3, 2**31, 2**64 - 1])
def test_a_claimed_giant_header_is_refused_without_reading_it(refuses: Any, tmp_path: Path, claim: int) -> None:
    path = craft(tmp_path / "a", b"{}", claimed_length=claim)
    tracemalloc.start()
    with refuses(
        f"{path} has 10 bytes and claims a header of {claim:,}.",
        "a safetensors file whose header fits it and has at most 2,097,152 bytes",
    ):
        open_and_close(path)
    assert tracemalloc.get_traced_memory()[1] < 1e6
    tracemalloc.stop()


def test_a_header_that_is_really_giant_is_refused_without_reading_it(refuses: Any, tmp_path: Path) -> None:
    path = craft(tmp_path / "a", b"{}", claimed_length=2**31)
    with path.open("rb+") as stream:
        stream.truncate(2**31 + 8)  # sparse: takes no room on the disk
    tracemalloc.start()
    with refuses(
        f"{path} has 2,147,483,656 bytes and claims a header of 2,147,483,648.",
        "a safetensors file whose header fits it and has at most 2,097,152 bytes",
    ):
        open_and_close(path)
    assert tracemalloc.get_traced_memory()[1] < 1e6
    tracemalloc.stop()


def test_a_sparse_file_beyond_all_sense_is_refused(refuses: Any, tmp_path: Path) -> None:
    path = craft(tmp_path / "a", {})
    with path.open("rb+") as stream:
        stream.truncate(2**40)
    with refuses(f"{path} has 1,099,511,627,776 bytes.", "a regular file of at most 4,294,967,296 bytes"):
        open_and_close(path)


SHAPE_EXPECTED = "at most 8 whole numbers, 1 or more"


@pytest.mark.parametrize(
    ("header", "data", "found", "expected"),
    [
        ([1], b"", ": header is [1].", "an object with one entry per array"),
        (
            {"a\x1b[2J": entry([1], 0, 4)},
            bytes(4),
            r": 'a\x1b[2J' is not a valid array name.",
            "text without control characters",
        ),
        ({"a": 1}, b"", ": 'a' is 1.", "an object with exactly these keys: dtype, shape, data_offsets"),
        (
            {"__metadata__": {"format": "pt"}},
            b"",
            ": '__metadata__' has an unknown key 'format'.",
            "an object with exactly these keys: dtype, shape, data_offsets",
        ),
        ({"a": entry([1], 0, 2, "F16")}, bytes(2), ": 'a' has the type 'F16'.", "one of F32, U8"),
        ({"a": entry([1], 0, 4, ["F32"])}, bytes(4), ": 'a' has the type ['F32'].", "one of F32, U8"),
        (
            {"a": entry([2**31, 2**31, 0], 0, 0)},
            b"",
            ": 'a' has the shape [2147483648, 2147483648, 0].",
            SHAPE_EXPECTED,
        ),
        ({"a": entry([-1, -1], 0, 4)}, bytes(4), ": 'a' has the shape [-1, -1].", SHAPE_EXPECTED),
        ({"a": entry([True], 0, 4)}, bytes(4), ": 'a' has the shape [True].", SHAPE_EXPECTED),
        ({"a": entry([1.0], 0, 4)}, bytes(4), ": 'a' has the shape [1.0].", SHAPE_EXPECTED),
        ({"a": entry([1] * 9, 0, 4)}, bytes(4), ": 'a' has the shape [1, 1, 1, 1, 1, 1, 1, 1, 1].", SHAPE_EXPECTED),
        ({"a": entry("1", 0, 4)}, bytes(4), ": 'a' has the shape '1'.", SHAPE_EXPECTED),
        ({"a": entry([1], -4, 0)}, b"", ": 'a' has the offsets [-4, 0].", "two whole numbers"),
        ({"a": entry([1], 0.0, 4)}, bytes(4), ": 'a' has the offsets [0.0, 4].", "two whole numbers"),
        (
            {"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4, 8]}},
            bytes(4),
            ": 'a' has the offsets [0, 4, 8].",
            "two whole numbers",
        ),
        ({"a": entry([2**32], 0, 4)}, bytes(4), ": 'a' takes 4 bytes.", "17,179,869,184 for its shape"),
        ({"a": entry([2**31, 2**33], 0, 0)}, b"", ": 'a' takes 0 bytes.", "73,786,976,294,838,206,464 for its shape"),
        ({"a": entry([1], 4, 0)}, bytes(4), ": 'a' takes -4 bytes.", "4 for its shape"),
        ({"a": entry([1], 4, 8)}, bytes(8), ": 'a' begins at byte 4.", "0, after the one before it"),
        (
            {"a": entry([2], 0, 8), "b": entry([2], 4, 12)},
            bytes(12),
            ": 'b' begins at byte 4.",
            "8, after the one before it",
        ),
        (
            {"a": entry([1], 0, 4), "b": entry([1], 8, 12)},
            bytes(12),
            ": 'b' begins at byte 8.",
            "4, after the one before it",
        ),
        ({"a": entry([2], 0, 8)}, bytes(7), " holds 7 bytes of numbers.", "8, as its header says"),
        ({"a": entry([2], 0, 8)}, bytes(9), " holds 9 bytes of numbers.", "8, as its header says"),
    ],
)
def test_a_header_that_lies_is_refused(
    refuses: Any, tmp_path: Path, header: Any, data: bytes, found: str, expected: str
) -> None:
    path = craft(tmp_path / "a", header, data)
    with refuses(f"{path}{found}", expected):
        open_and_close(path)


def test_a_deeply_nested_header_is_refused(refuses: Any, tmp_path: Path) -> None:
    path = craft(tmp_path / "a", b"[" * 1_000_000)
    with refuses(
        f"{path}: header is not JSON that tlkit reads: more than 3 levels deep.", "UTF-8 JSON as tlkit writes it"
    ):
        open_and_close(path)


KIND_EXPECTED = "as bundle.json describes the model"


@pytest.mark.parametrize(
    ("expected_kinds", "found", "expected"),
    [
        ({"a": ("F32", (2, 3)), "b": ("F32", (1,))}, "'b' is missing", "F32 1"),
        ({}, "'a' is F32 2 x 3", "missing"),
        ({"a": ("F32", (3, 2))}, "'a' is F32 2 x 3", "F32 3 x 2"),
        ({"a": ("U8", (2, 3))}, "'a' is F32 2 x 3", "U8 2 x 3"),
        ({"a": ("F32", ())}, "'a' is F32 2 x 3", "F32 scalar"),
    ],
)
def test_arrays_other_than_the_models_are_refused(
    refuses: Any, tmp_path: Path, expected_kinds: Any, found: str, expected: str
) -> None:
    path = tmp_path / "a"
    write_tensors(path, {"a": np.zeros((2, 3), np.float32)})
    with open_tensors(path) as file:
        file.check_kinds({"a": ("F32", (2, 3))})
        with refuses(f"{path}: {found}.", f"{expected}, {KIND_EXPECTED}"):
            file.check_kinds(expected_kinds)


def test_one_flipped_bit_is_noticed(refuses: Any, tmp_path: Path) -> None:
    path = tmp_path / "a"
    sha256 = write_tensors(path, {"a": np.ones(100, np.float32)})
    content = bytearray(path.read_bytes())
    content[-4] ^= 1
    path.write_bytes(content)
    with (
        open_tensors(path) as file,
        refuses(
            f"{path} has the sha256 {hashlib.sha256(content).hexdigest()}.",
            f"{sha256}, as in bundle.json; the file has changed since",
        ),
    ):
        dict(file.read(sha256))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_numbers_that_are_not_finite_are_refused(refuses: Any, tmp_path: Path, value: float) -> None:
    path = tmp_path / "a"
    sha256 = write_tensors(path, {"a": np.array([0, value, 0], np.float32)})
    with open_tensors(path) as file, refuses(f"{path}: 'a' holds values that are not finite.", "finite numbers"):
        dict(file.read(sha256))


def test_a_file_that_shrinks_while_it_is_read_is_refused(refuses: Any, tmp_path: Path) -> None:
    path = tmp_path / "a"
    sha256 = write_tensors(path, {"a": np.zeros(1_000_000, np.float32)})
    with open_tensors(path) as file:
        with path.open("rb+") as stream:
            stream.truncate(1000)
        with refuses(f"{path} was cut short while it was read.", "a file that does not change"):
            dict(file.read(sha256))
