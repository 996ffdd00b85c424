"""Copy images into one folder per class."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

# Not allowed in names on Windows, and "/" nowhere: a sorted folder should survive a USB stick.
FORBIDDEN_CHARACTERS = frozenset('<>:"/\\|?*')
RESERVED_NAMES = frozenset(
    {"con", "prn", "aux", "nul", *(f"com{digit}" for digit in "123456789"), *(f"lpt{digit}" for digit in "123456789")}
)
LONGEST_NAME_BYTES = 200


class ClassFolders:
    """Folders named for the classes, into which images are copied.

    Args:
        folder: Holds the class folders, each made when its first image comes.
        class_names: All classes; names that would share a folder get numbers.
    """

    def __init__(self, folder: Path, class_names: Sequence[str]) -> None:
        self._folders: dict[str, Path] = {}
        taken: set[str] = set()
        for class_name in class_names:
            name = number_name(safe_name(class_name), taken)
            taken.add(name.casefold())
            self._folders[class_name] = folder / name

    def copy(self, source: Path, class_name: str) -> Path:
        """Copy a file into its class's folder and return the copy's path.

        The copy keeps its name, or gets a number where that name is taken; no file is ever overwritten.

        Raises:
            OSError: The file cannot be read or the copy not written.
        """
        folder = self._folders[class_name]
        folder.mkdir(parents=True, exist_ok=True)
        with source.open("rb") as original:
            number = 1
            while True:
                target = folder / numbered(source.name, number)
                try:
                    copy = target.open("xb")
                    break
                except FileExistsError:
                    number += 1
            try:
                with copy:
                    shutil.copyfileobj(original, copy, length=1 << 20)
            except BaseException:
                target.unlink(missing_ok=True)
                raise
        shutil.copystat(source, target)
        return target


def safe_name(class_name: str) -> str:
    """Return a class name as a folder name that every file system takes, and that stays inside its parent.

    Example:
        >>> safe_name("../cats & dogs?")
        '_._cats & dogs_'
        >>> safe_name("..")
        '__'
    """
    name = "".join("_" if c in FORBIDDEN_CHARACTERS or not c.isprintable() else c for c in class_name)
    while len(name.encode("utf-8", "replace")) > LONGEST_NAME_BYTES:
        name = name[:-1]
    stem = name.rstrip(". ")
    name = stem + "_" * (len(name) - len(stem)) if name.strip(". ") else "_" * max(1, len(name))
    if name.startswith("."):
        # A leading dot would hide the folder, from people and from tlkit.
        name = "_" + name[1:]
    return f"{name}_" if name.split(".")[0].casefold() in RESERVED_NAMES else name


def number_name(name: str, taken: set[str]) -> str:
    """Return `name`, with the first free number where its case-folded form is among `taken`."""
    number = 1
    while numbered(name, number).casefold() in taken:
        number += 1
    return numbered(name, number)


def numbered(name: str, number: int) -> str:
    """Return a file name with a number before its suffix, or unchanged for number 1: `cat-2.jpg`."""
    if number == 1:
        return name
    stem, dot, suffix = name.rpartition(".")
    return f"{stem}-{number}{dot}{suffix}" if stem else f"{name}-{number}"
