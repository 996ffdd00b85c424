"""Output folders: never inside the user's data, never over files that tlkit did not write.

Each has a marker file that names its kind of content. Marked folders are skipped when reading data, so that overlays
are not read as images, and a marked folder of the same kind may be overwritten.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from itertools import count
from pathlib import Path

from tlkit.errors import RunError, SettingError
from tlkit.files import PARTIAL_PATTERN, held_lock, write_text

LOCK_FILE = ".lock"
_ABOUT = "About: "
_WILDCARDS = frozenset("*?[")


def check_output_folder(folder: Path, *, option: str, kind: str, marker: str, data_folders: Sequence[Path]) -> None:
    """Check that a folder can be used for output, without writing anything.

    Args:
        folder: The output folder; it need not exist.
        option: The option that sets it, for the message.
        kind: Kind of content, such as "overlays"; a folder marked as another kind is refused.
        marker: Name of the marker file.
        data_folders: Folders of the user's data; the output folder must be outside them.

    Raises:
        RunError: The folder is a file, is inside the data, or contains other files.
    """
    check_outside(folder, option=option, data_folders=data_folders)
    if not folder.exists():
        return
    fix = f"use {option} with a new folder."
    if not folder.is_dir():
        raise RunError(f"{option} {folder} is a file.", expected="a folder, or a new name", fix=fix)
    if not holds_nothing(folder) and not is_output_folder(folder, kind=kind, marker=marker):
        raise RunError(
            f"{option} {folder} contains other files.",
            expected=f"a new or empty folder, or one with {kind} written by tlkit",
            fix=fix,
        )


def check_outside(path: Path, *, option: str, data_folders: Sequence[Path]) -> None:
    """Check that a path is outside the user's data.

    Raises:
        RunError: `path` is one of `data_folders` or inside one.
    """
    for data_folder in data_folders:
        if path.resolve().is_relative_to(data_folder.resolve()):
            raise RunError(
                f"{option} {path} is inside the data folder {data_folder}.",
                expected="a path outside the data, which tlkit never writes to",
                fix=f"use {option} {Path('..') / path.name}, or another path.",
            )


def name_after(path: Path | str) -> str:
    """Return a name for what is made from a path: a folder's whole name, a file's without its suffix.

    Of a pattern, such as photos/*.jpg, it is the name of the folder without wildcards.
    """
    path = Path(path).resolve()
    while not path.exists() and _WILDCARDS.intersection(path.name):
        path = path.parent
    return (path.stem if path.is_file() else path.name) or "images"


def choose_output_folder(parent: Path, name: str, *, about: str, kind: str, marker: str) -> Path:
    """Return the folder to use if none is given: PARENT/NAME, or NAME-2, NAME-3 … if that one is about something else.

    Args:
        parent: The folder that it is in.
        name: See `name_after`. Data sets in different places may share it.
        about: What the content is made from, in one line, as for `held_output_folder`.
        kind: As for `check_output_folder`.
        marker: Likewise.
    """
    names = (name if number == 1 else f"{name}-{number}" for number in count(1))
    return next(
        folder
        for folder in (parent / each for each in names)
        if not folder.is_dir() or holds_nothing(folder) or _read_marker(folder / marker) == (kind, about)
    )


def choose_picture(out: Path | None, data: Path, name: str) -> Path:
    """Return the path of a figure about a data set: `out`, or runs/DATA-NAME.png.

    Raises:
        RunError: It is inside the data.
        SettingError: It is a folder, or not a PNG file.
    """
    picture = out or Path("runs") / f"{name_after(data)}-{name}.png"
    check_outside(picture, option="--out", data_folders=[data] if data.is_dir() else [])
    if picture.suffix.lower() != ".png" or picture.is_dir():
        raise SettingError(
            f"--out {picture} is {'a folder' if picture.is_dir() else 'not a PNG file'}.",
            expected="a file that ends in .png",
            fix=f"--out {picture / 'picture.png' if picture.is_dir() else picture.with_suffix('.png')}",
        )
    return picture


def make_output_folder(folder: Path, *, kind: str, marker: str, about: str = "") -> None:
    """Create the folder and mark it as tlkit output, made from what `about` names in one line."""
    folder.mkdir(parents=True, exist_ok=True)
    note = f"{_ABOUT}{json.dumps(about)}\n" if about else ""
    write_text(folder / marker, f"{kind}\nWritten by tlkit, which does not read images from this folder.\n{note}")


def holds_nothing(folder: Path) -> bool:
    """Return whether a folder is empty except for a lock or partial files left by a killed process."""
    return all(path.name == LOCK_FILE or path.match(PARTIAL_PATTERN) for path in folder.iterdir())


def is_output_folder(folder: Path, *, kind: str, marker: str) -> bool:
    """Return whether a folder is marked for this kind of output."""
    return _read_marker(folder / marker)[0] == kind


@contextmanager
def held_output_folder(folder: Path, *, kind: str, marker: str, about: str = "") -> Iterator[None]:
    """Create an output folder if necessary, and lock it against other processes for the block.

    The marker is written under the lock, because a previous process whose start failed may be removing the folder.

    Args:
        folder: The folder.
        kind: As for `check_output_folder`.
        marker: Likewise.
        about: What its content is made from, in one line, where `choose_output_folder` chooses among such folders.

    Raises:
        RunError: Another process is using it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        try:
            stack.enter_context(held_lock(folder / LOCK_FILE))
        except BlockingIOError as error:
            raise RunError(
                f"{folder}: another tlkit process is using this folder.",
                expected="one process in a folder at a time",
                fix="wait for it to finish, or use another folder.",
            ) from error
        if _read_marker(folder / marker) != (kind, about):
            make_output_folder(folder, kind=kind, marker=marker, about=about)
        yield


def _read_marker(marker: Path) -> tuple[str, str]:
    """Return the kind of content and what it is about; empty where they are not known."""
    if not marker.is_file():
        return "", ""
    kind, *notes = marker.read_text("utf-8", errors="surrogateescape").splitlines() or [""]
    about = next((line.removeprefix(_ABOUT) for line in notes if line.startswith(_ABOUT)), '""')
    with suppress(ValueError):
        return kind, str(json.loads(about))
    return kind, ""
