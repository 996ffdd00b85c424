"""Whatever a disk refuses is told as found, expected and fix, whichever library reports it."""

from __future__ import annotations

import errno
import os

import pytest

from tlkit.disk_errors import explain_disk_error


def test_the_file_and_the_remedy_are_named() -> None:
    problem = explain_disk_error(OSError(errno.ENOSPC, "No space left on device", "runs/first/history.csv"))
    assert str(problem) == (
        "runs/first/history.csv: No space left on device.\n"
        "  Expected: a disk with free space\n"
        "  Fix: free some space, or choose another folder with --out or TLKIT_CACHE."
    )


@pytest.mark.parametrize(
    ("error", "found"),
    [
        (
            RuntimeError(
                "Can't decrement id ref count (unable to extend file properly, errno = 28, error message = '')"
            ),
            "Can't decrement id ref count (unable to extend file properly, errno = 28, error message = '').",
        ),
        (
            OSError("Can't write data (file write failed: errno = 5)"),
            "Can't write data (file write failed: errno = 5).",
        ),
        (Exception("I/O error: Input/output error (os error 5)"), "I/O error: Input/output error (os error 5)."),
        (Exception("runs/events.out; No space left on device\nmore"), "runs/events.out; No space left on device."),
        (FileExistsError(errno.EEXIST, "File exists", b"cache"), "cache: File exists."),
        (MemoryError(), "Cannot allocate memory."),
        (MemoryError("Unable to allocate 3.2 GiB for an array"), "Unable to allocate 3.2 GiB for an array."),
    ],
)
def test_what_other_libraries_report_is_understood(error: Exception, found: str) -> None:
    problem = explain_disk_error(error)
    assert problem is not None
    assert problem.found == found


@pytest.mark.parametrize(
    "error",
    [ValueError("5"), RuntimeError("a shape is wrong"), OSError("image file is truncated"), OSError(errno.EDOM, "")],
)
def test_what_no_disk_has_caused_is_left_alone(error: Exception) -> None:
    assert explain_disk_error(error) is None


@pytest.mark.parametrize(
    "name", ["EIO", "EDQUOT", "EROFS", "ENOTDIR", "EISDIR", "EEXIST", "ENAMETOOLONG", "EMFILE", "ESTALE"]
)
def test_every_kind_has_its_words(name: str) -> None:
    number = getattr(errno, name)
    problem = explain_disk_error(OSError(number, os.strerror(number), "place"))
    assert problem is not None
    assert problem.found == f"place: {os.strerror(number)}."
