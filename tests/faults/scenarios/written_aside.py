"""A file that is replaced: the old content or the new, whatever happens."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from tlkit.files import write_text

OLD, NEW = "old\n" * 1000, "new\n" * 2000


def prepare(folder: Path) -> None:
    write_text(folder / "summary.json", OLD)


def act(folder: Path) -> None:
    with suppress(OSError):
        write_text(folder / "summary.json", NEW)


def check(folder: Path) -> None:
    assert (folder / "summary.json").read_text() in {OLD, NEW}
