"""Write a file aside and rename it when it is whole, so that nobody ever reads half a report."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


@contextmanager
def written_aside(path: Path) -> Iterator[BinaryIO]:
    """Yield a binary file that takes the place of `path` at the end; after an exception `path` is as it was.

    Missing parent folders are made. An existing file is replaced.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with partial.open("wb") as file:
            yield file
        os.replace(partial, path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


@contextmanager
def open_text(file: BinaryIO) -> Iterator[io.TextIOWrapper]:
    """Yield a UTF-8 text stream on top of an open binary file, which stays open afterwards.

    File names on Linux may hold any bytes: they are written as they were read.
    """
    text = io.TextIOWrapper(file, encoding="utf-8", errors="surrogateescape", newline="")
    try:
        yield text
        text.flush()
    finally:
        text.detach()
