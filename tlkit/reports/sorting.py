"""Copy images into one folder per class."""

from __future__ import annotations

import os
import shutil
import unicodedata
from collections.abc import Container, Sequence
from contextlib import suppress
from pathlib import Path

from tlkit.files import make_partial_path

# Not allowed on Windows, and "/" nowhere: a sorted folder should survive a USB stick.
FORBIDDEN_CHARACTERS = frozenset('<>:"/\\|?*')
RESERVED_NAMES = frozenset(
    {"con", "prn", "aux", "nul", *(f"com{digit}" for digit in "123456789"), *(f"lpt{digit}" for digit in "123456789")}
)
MAX_NAME_BYTES = 255
"""The longest file name that Linux, macOS and Windows all allow, in UTF-8 bytes."""
MAX_FOLDER_NAME_BYTES = 200
MAX_SUFFIX_BYTES = 16


def safe_name(class_name: str) -> str:
    """Return a class name as a folder name that is valid on every file system and stays inside its parent.

    Examples:
        >>> safe_name("../cats & dogs?")
        '_._cats & dogs_'
        >>> safe_name("..")
        '__'
    """
    name = "".join("_" if c in FORBIDDEN_CHARACTERS or not c.isprintable() else c for c in class_name)
    name = _shorten(name, MAX_FOLDER_NAME_BYTES)
    stem = name.rstrip(". ")
    name = stem + "_" * (len(name) - len(stem)) if name.strip(". ") else "_" * max(1, len(name))
    if name.startswith("."):
        # A leading dot would hide the folder from people and from tlkit.
        name = "_" + name[1:]
    return f"{name}_" if name.split(".")[0].casefold() in RESERVED_NAMES else name


def fold_name(name: str) -> str:
    """Normalize case and Unicode form, so that names that clash on any file system compare equal."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def number_name(name: str, taken: Container[str]) -> str:
    """Return `name` in at most 255 bytes, numbered if its `fold_name` is in `taken`."""
    number = 1
    while fold_name(numbered(name, number)) in taken:
        number += 1
    return numbered(name, number)


def numbered(name: str, number: int) -> str:
    """Return a file name with a number before its suffix, such as `cat-2.jpg`; number 1 is left out.

    The stem is cut so that the name has at most 255 bytes.
    """
    stem, dot, suffix = name.rpartition(".")
    if not stem or _count_bytes(suffix) > MAX_SUFFIX_BYTES:
        stem, dot, suffix = name, "", ""
    ending = f"{'' if number == 1 else f'-{number}'}{dot}{suffix}"
    return _shorten(stem, MAX_NAME_BYTES - _count_bytes(ending)) + ending


def _shorten(text: str, max_bytes: int) -> str:
    while _count_bytes(text) > max_bytes:
        text = text[:-1]
    return text


def _count_bytes(text: str) -> int:
    return len(text.encode("utf-8", "surrogatepass"))


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
