"""A file that is overwritten, as nothing in tlkit should: it proves that the injector finds what is lost."""

from __future__ import annotations

from pathlib import Path

OLD, NEW = "old\n" * 1000, "new\n" * 2000


def prepare(folder: Path) -> None:
    (folder / "summary.json").write_text(OLD)


def act(folder: Path) -> None:
    (folder / "summary.json").write_text(NEW)


def check(folder: Path) -> None:
    assert (folder / "summary.json").read_text() in {OLD, NEW}
