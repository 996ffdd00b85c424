"""Lines of standard input, as a program at the other end of a pipe writes them."""

from __future__ import annotations

import io
import os

import pytest

from tlkit.data.standard_input import MAX_LINE_BYTES, MAX_LINES_AT_ONCE, read_lines
from tlkit.errors import DataError


def test_each_line_comes_as_soon_as_it_is_written() -> None:
    read_end, write_end = os.pipe()
    with os.fdopen(read_end, "rb", buffering=0) as stdin, os.fdopen(write_end, "wb", buffering=0) as pipe:
        groups = read_lines(stdin)
        for number in range(3):
            pipe.write(f"{number}.jpg\n".encode())
            assert next(groups) == [f"{number}.jpg"]
        pipe.write(b"cut")
        pipe.close()
        assert next(groups) == ["cut"]
        assert next(groups, None) is None


def test_lines_that_wait_come_together_and_none_is_lost() -> None:
    lines = [f"{number}.jpg" for number in range(5000)]
    groups = list(read_lines(io.BytesIO("\n".join(lines).encode())))
    assert [line for group in groups for line in group] == lines
    assert max(map(len, groups)) <= MAX_LINES_AT_ONCE


def test_bytes_that_are_no_utf8_name_the_file_that_they_name() -> None:
    name = b"caf\xe9 \xe5\x86\x99.jpg"
    (group,) = read_lines(io.BytesIO(name + b"\r\n"))
    assert [os.fsencode(line) for line in group] == [name]


def test_what_is_no_list_of_paths_is_an_error() -> None:
    with pytest.raises(DataError) as caught:
        list(read_lines(io.BytesIO(bytes(2 * MAX_LINE_BYTES))))
    assert str(caught.value) == (
        "standard input cannot be read: a line of more than 1,048,576 bytes.\n"
        "  Expected: one path per line, of at most 1 MiB\n"
        "  Fix: check the program that writes the paths."
    )


def test_an_input_that_cannot_be_read_is_an_error() -> None:
    class Broken(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            raise IsADirectoryError(21, "Is a directory")

    with pytest.raises(DataError, match="standard input cannot be read: Is a directory"):
        list(read_lines(Broken()))


def test_whatever_else_ends_the_reading_ends_the_wait_for_it() -> None:
    class Closed(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            raise ValueError("read of closed file")

    with pytest.raises(ValueError, match="read of closed file"):
        list(read_lines(Closed()))
