"""Copies in folders of classes: one that has its name is whole, with hard links and without."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from unittest.mock import patch

from tlkit.reports.sorting import SortedFolders

CONTENT = b"a picture" * 100


def prepare(folder: Path) -> None:
    folder.with_name("photos").mkdir(exist_ok=True)
    for name in ("0.png", "1.png"):
        (folder.with_name("photos") / name).write_bytes(CONTENT)


def act(folder: Path) -> None:
    copies = SortedFolders(folder, ["cat"])
    with suppress(OSError):
        copies.copy(folder.with_name("photos") / "0.png", 0)
    with patch.object(os, "link", side_effect=OSError("no hard links here")), suppress(OSError):
        copies.copy(folder.with_name("photos") / "1.png", 0)


def check(folder: Path) -> None:
    for copy in folder.rglob("*.png"):
        assert copy.read_bytes() == CONTENT, copy
