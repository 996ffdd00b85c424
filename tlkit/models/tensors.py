"""Read and write arrays in safetensors files: a JSON header of names, types, shapes and offsets, then the raw numbers.

The format has no links, filters or code, so an attacker can only write a false header. The header is checked against
the size of the file and against the names and shapes that the caller expects before any number is read. Arrays are
hashed while they are read, one at a time. The safetensors package, which reads users' weights and checkpoints, accepts
more types and does neither. https://github.com/huggingface/safetensors#format
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from tlkit.errors import BundleError
from tlkit.untrusted import check_keys, is_clean_text, open_regular_file, parse_json, quote, refusal

MAX_FILE_BYTES = 4 * 1024**3
MAX_HEADER_BYTES = 2 * 1024**2
MAX_TENSOR_NAME_LENGTH = 300
MAX_DIMENSIONS = 8
LENGTH_BYTES = 8
DTYPES: dict[str, np.dtype[Any]] = {"F32": np.dtype("<f4"), "U8": np.dtype("u1")}
WRITTEN_DTYPES = {
    "bool": "BOOL", "uint8": "U8", "int8": "I8", "uint16": "U16", "int16": "I16", "uint32": "U32", "int32": "I32",
    "uint64": "U64", "int64": "I64", "float16": "F16", "float32": "F32", "float64": "F64",
}  # fmt: skip
Arrays = Mapping[str, np.ndarray[Any, Any]]

TensorKind = tuple[str, tuple[int, ...]]
"""A tensor's type by its safetensors name (F32, U8), and its shape."""


@dataclass(frozen=True, slots=True)
class TensorEntry:
    """One array in the file; `begin` and `end` count bytes from the end of the header."""

    name: str
    kind: TensorKind
    begin: int
    end: int

    @property
    def num_values(self) -> int:
        """Return the number of values."""
        return math.prod(self.kind[1])


class TensorFile:
    """An open file whose header has been checked; see `open_tensors`.

    Attributes:
        entries: The arrays, in the order in which they lie in the file.
    """

    def __init__(self, stream: BinaryIO, path: Path) -> None:
        self._stream = stream
        self._path = path
        size = os.fstat(stream.fileno()).st_size
        self._header = _read_header(stream, size, path)
        self.entries = _parse_header(self._header[LENGTH_BYTES:], size - len(self._header), path)

    def check_kinds(self, expected: Mapping[str, TensorKind]) -> None:
        """Check that the file holds exactly these arrays.

        Raises:
            BundleError: At the first array that is missing, unknown, or of another type or shape.
        """
        found = {entry.name: entry.kind for entry in self.entries}
        for name in [*expected, *found]:
            if found.get(name) != expected.get(name):
                raise refusal(
                    f"{self._path}: {quote(name)} is {_describe(found.get(name))}.",
                    expected=f"{_describe(expected.get(name))}, as bundle.json describes the model",
                )

    def read(self, sha256: str) -> Iterator[tuple[str, np.ndarray[Any, Any]]]:
        """Read the arrays one after another, so that memory holds only one of them.

        Args:
            sha256: The whole file's hash, in hex. It is known to be right only when the last array has been taken.

        Raises:
            BundleError: If the file is shorter than it was, holds a number that is not finite, or has another hash.
        """
        digest = hashlib.sha256(self._header)
        for entry in self.entries:
            content = self._stream.read(entry.end - entry.begin)
            digest.update(content)
            dtype, shape = entry.kind
            if len(content) != entry.end - entry.begin:
                raise refusal(f"{self._path} was cut short while it was read.", expected="a file that does not change")
            array = np.frombuffer(content, DTYPES[dtype]).reshape(shape)
            if not np.isfinite(array).all():
                raise refusal(
                    f"{self._path}: {quote(entry.name)} holds values that are not finite.", expected="finite numbers"
                )
            yield entry.name, array
        if digest.hexdigest() != sha256:
            raise refusal(
                f"{self._path} has the sha256 {digest.hexdigest()}.",
                expected=f"{sha256}, as in bundle.json; the file has changed since",
            )


@contextlib.contextmanager
def open_tensors(path: Path) -> Iterator[TensorFile]:
    """Open a safetensors file and check its header; no array is read yet.

    Raises:
        BundleError: If it is no plain file, or its header does not describe it exactly: arrays of known types, one
            after another without gap or overlap, up to the last byte.
    """
    with open_regular_file(path, max_bytes=MAX_FILE_BYTES) as stream:
        yield TensorFile(stream, path)


def write_tensors(path: Path, arrays: Arrays) -> str:
    """Write arrays (float32 or uint8) to a new file, down to the disk, and return its sha256 in hex."""
    digest = hashlib.sha256()
    with path.open("xb") as stream:
        for part in encode_tensors(arrays):
            digest.update(part)
            stream.write(part)
        stream.flush()
        os.fsync(stream.fileno())
    return digest.hexdigest()


def hash_tensors(arrays: Arrays) -> str:
    """Return the sha256, in hex, of the file that `write_tensors` would write."""
    digest = hashlib.sha256()
    for part in encode_tensors(arrays):
        digest.update(part)
    return digest.hexdigest()


def encode_tensors(arrays: Arrays, metadata: Mapping[str, str] | None = None) -> Iterator[bytes | memoryview]:
    """Yield a safetensors file in parts, so that memory holds only one array of it.

    Args:
        arrays: By name, of any type in WRITTEN_DTYPES.
        metadata: Texts for the header; `open_tensors` takes only files without.
    """
    header: dict[str, Any] = {"__metadata__": dict(metadata)} if metadata else {}
    position = 0
    for name, array in arrays.items():
        end = position + array.nbytes
        header[name] = {
            "dtype": WRITTEN_DTYPES[array.dtype.name],
            "shape": list(array.shape),
            "data_offsets": [position, end],
        }
        position = end
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % LENGTH_BYTES)
    yield len(text).to_bytes(LENGTH_BYTES, "little") + text
    for array in arrays.values():
        yield array.astype(array.dtype.newbyteorder("<"), copy=False).ravel().view("uint8").data


def _describe(kind: TensorKind | None) -> str:
    if kind is None:
        return "missing"
    dtype, shape = kind
    return f"{dtype} {' x '.join(str(edge) for edge in shape) or 'scalar'}"


def _read_header(stream: BinaryIO, size: int, path: Path) -> bytes:
    prefix = stream.read(LENGTH_BYTES)
    length = int.from_bytes(prefix, "little")
    if len(prefix) < LENGTH_BYTES or length > min(MAX_HEADER_BYTES, size - LENGTH_BYTES):
        raise refusal(
            f"{path} has {size:,} bytes and claims a header of {length:,}.",
            expected=f"a safetensors file whose header fits it and has at most {MAX_HEADER_BYTES:,} bytes",
        )
    return prefix + stream.read(length)


def _parse_header(header: bytes, num_data_bytes: int, path: Path) -> tuple[TensorEntry, ...]:
    members = parse_json(header, place=f"{path}: header", levels=3)
    if not isinstance(members, dict):
        raise refusal(f"{path}: header is {quote(members)}.", expected="an object with one entry per array")
    entries = sorted(
        (_parse_entry(name, member, path) for name, member in members.items()), key=lambda entry: entry.begin
    )
    position = 0
    for entry in entries:
        if entry.begin != position:
            raise _misplaced(path, entry, f"begins at byte {entry.begin:,}", f"{position:,}, after the one before it")
        position = entry.end
    if position != num_data_bytes:
        raise refusal(
            f"{path} holds {num_data_bytes:,} bytes of numbers.", expected=f"{position:,}, as its header says"
        )
    return tuple(entries)


def _parse_entry(name: str, member: Any, path: Path) -> TensorEntry:
    place = f"{path}: {quote(name)}"
    if not is_clean_text(name, max_length=MAX_TENSOR_NAME_LENGTH):
        raise refusal(f"{place} is not a valid array name.", expected="text without control characters")
    values = check_keys(member, ("dtype", "shape", "data_offsets"), place=place)
    dtype, shape, offsets = values["dtype"], values["shape"], values["data_offsets"]
    if not isinstance(dtype, str) or dtype not in DTYPES:
        raise refusal(f"{place} has the type {quote(dtype)}.", expected=f"one of {', '.join(DTYPES)}")
    if not _is_whole_numbers(shape, least=1) or len(shape) > MAX_DIMENSIONS:
        raise refusal(
            f"{place} has the shape {quote(shape)}.", expected=f"at most {MAX_DIMENSIONS} whole numbers, 1 or more"
        )
    if not _is_whole_numbers(offsets, least=0) or len(offsets) != 2:
        raise refusal(f"{place} has the offsets {quote(offsets)}.", expected="two whole numbers")
    entry = TensorEntry(name, (dtype, tuple(shape)), begin=offsets[0], end=offsets[1])
    num_bytes = entry.num_values * DTYPES[dtype].itemsize
    if entry.end - entry.begin != num_bytes:
        raise _misplaced(path, entry, f"takes {entry.end - entry.begin:,} bytes", f"{num_bytes:,} for its shape")
    return entry


def _misplaced(path: Path, entry: TensorEntry, found: str, expected: str) -> BundleError:
    return refusal(f"{path}: {quote(entry.name)} {found}.", expected=expected)


def _is_whole_numbers(value: Any, *, least: int) -> bool:
    return isinstance(value, list) and all(type(number) is int and number >= least for number in value)
