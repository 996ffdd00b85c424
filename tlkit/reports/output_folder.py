"""Output folders: never inside the user's data, never over files that tlkit did not write.

Each has a marker file that names its kind of content. Marked folders are skipped when reading data, so that overlays
are not read as images, and a marked folder of the same kind may be overwritten.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tlkit.errors import RunError, SettingError
from tlkit.files import PARTIAL_PATTERN, held_lock, write_text

LOCK_FILE = ".lock"


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


def choose_picture(out: Path | None, data: Path, name: str) -> Path:
    """Return the path of a figure about a data set: `out`, or runs/DATA-NAME.png.

    Raises:
        RunError: It is inside the data.
        SettingError: It is a folder, or not a PNG file.
    """
    picture = out or Path("runs") / f"{data.resolve().stem}-{name}.png"
    check_outside(picture, option="--out", data_folders=[data] if data.is_dir() else [])
    if picture.suffix.lower() != ".png" or picture.is_dir():
        raise SettingError(
            f"--out {picture} is {'a folder' if picture.is_dir() else 'not a PNG file'}.",
            expected="a file that ends in .png",
            fix=f"--out {picture / 'picture.png' if picture.is_dir() else picture.with_suffix('.png')}",
        )
    return picture


def make_output_folder(folder: Path, *, kind: str, marker: str) -> None:
    """Create the folder and mark it as tlkit output."""
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / marker, f"{kind}\nWritten by tlkit, which does not read images from this folder.\n")


def holds_nothing(folder: Path) -> bool:
    """Return whether a folder is empty except for a lock or partial files left by a killed process."""
    return all(path.name == LOCK_FILE or path.match(PARTIAL_PATTERN) for path in folder.iterdir())


def is_output_folder(folder: Path, *, kind: str, marker: str) -> bool:
    """Return whether a folder is marked for this kind of output."""
    return _read_kind(folder / marker) == kind


@contextmanager
def held_output_folder(folder: Path, *, kind: str, marker: str) -> Iterator[None]:
    """Create an output folder if necessary, and lock it against other processes for the block.

    The marker is written under the lock, because a previous process whose start failed may be removing the folder.

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
        if not is_output_folder(folder, kind=kind, marker=marker):
            make_output_folder(folder, kind=kind, marker=marker)
        yield


def _read_kind(marker: Path) -> str | None:
    if not marker.is_file():
        return None
    lines = marker.read_text("utf-8", errors="replace").splitlines()
    return lines[0] if lines else None
