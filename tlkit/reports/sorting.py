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
    """Folders for sorted copies of images: one per class, and others for images without a class.

    Args:
        folder: Parent folder; subfolders are created on first use.
        names: All classes, then other groups; names that would clash as folders are numbered.
    """

    def __init__(self, folder: Path, names: Sequence[str]) -> None:
        self._folders: list[Path] = []
        taken: set[str] = set()
        for name in names:
            unique = number_name(safe_name(name), taken)
            taken.add(fold_name(unique))
            self._folders.append(folder / unique)

    def copy(self, source: Path, place: int) -> Path:
        """Copy a file into a folder, by its index in `names`, and return the copy's path.

        The copy keeps its name, numbered if the name is taken and shortened if it is too long. Files are never
        overwritten, and a copy gets its name only when it is complete.

        Raises:
            OSError: The file cannot be read, or the copy cannot be written.
        """
        folder = self._folders[place]
        folder.mkdir(parents=True, exist_ok=True)
        partial = make_partial_path(folder)
        try:
            shutil.copyfile(source, partial)
            with suppress(OSError):  # some file systems have no times or modes
                shutil.copystat(source, partial)
            number = 1
            while not _rename_to_free_name(partial, target := folder / numbered(source.name, number)):
                number += 1
        finally:
            with suppress(OSError):
                partial.unlink(missing_ok=True)
        return target


def _rename_to_free_name(partial: Path, target: Path) -> bool:
    """Rename a file atomically unless the name is taken; return whether it was renamed."""
    try:
        os.link(partial, target)  # unlike a rename, this never overwrites
    except FileExistsError:
        return False
    except OSError:
        return _rename_without_links(partial, target)
    return True


def _rename_without_links(partial: Path, target: Path) -> bool:
    """Do the same on file systems without hard links, such as USB sticks."""
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
