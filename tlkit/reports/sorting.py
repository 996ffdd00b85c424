"""Copy images into one folder per class."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from tlkit.files import make_partial_path
from tlkit.reports.file_names import fold_name, number_name, numbered, safe_name


class SortedFolders:
    """Folders into which images are copied: one for each class, and others for images without one.

    Args:
        folder: Holds these folders, each made when its first image comes.
        names: All classes, and then what else images are sorted as; names that would share a folder get numbers.
    """

    def __init__(self, folder: Path, names: Sequence[str]) -> None:
        self._folders: list[Path] = []
        taken: set[str] = set()
        for name in names:
            unique = number_name(safe_name(name), taken)
            taken.add(fold_name(unique))
            self._folders.append(folder / unique)

    def copy(self, source: Path, place: int) -> Path:
        """Copy a file into a folder, by its place among `names`, and return the copy's path.

        The copy keeps its name. It gets a number where that name is taken, and is cut where it is too long. No file is
        ever overwritten, and none has its name before it is complete.

        Raises:
            OSError: The file cannot be read or the copy not written.
        """
        folder = self._folders[place]
        folder.mkdir(parents=True, exist_ok=True)
        partial = make_partial_path(folder)
        try:
            shutil.copyfile(source, partial)
            with suppress(OSError):  # a file system may know neither times nor modes
                shutil.copystat(source, partial)
            number = 1
            while not _rename_to_free_name(partial, target := folder / numbered(source.name, number)):
                number += 1
        finally:
            with suppress(OSError):
                partial.unlink(missing_ok=True)
        return target


def _rename_to_free_name(partial: Path, target: Path) -> bool:
    """Give a file another name unless that is taken, also by another process; return whether it is done."""
    try:
        os.link(partial, target)  # unlike a rename, this replaces nothing
    except FileExistsError:
        return False
    except OSError:
        return _rename_without_links(partial, target)
    return True


def _rename_without_links(partial: Path, target: Path) -> bool:
    """Do the same where the file system has no hard links, as on a USB stick."""
    try:
        target.open("xb").close()
    except FileExistsError:
        return False
    try:
        partial.replace(target)
    except OSError:
        with suppress(OSError):
            target.unlink()
        raise
    return True
