"""Folders that tlkit writes into: never the user's data, never over files that are not tlkit's own.

Each gets a marker file that says what it holds. Reading data skips marked folders, so that yesterday's overlays are not
today's images, and a marked folder of the same kind may be written again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tlkit.errors import RunError, SettingError
from tlkit.files import PARTIAL_PATTERN, held_lock, write_text

LOCK_FILE = ".lock"


def check_output_folder(folder: Path, *, option: str, kind: str, marker: str, data_folders: Sequence[Path]) -> None:
    """Refuse a folder that is in the way of something. Writes nothing.

    Args:
        folder: Where the output shall go; it need not exist.
        option: The option that names it, for the message.
        kind: What it will hold, such as "overlays"; a folder with another kind's marker is refused.
        marker: Name of the marker file.
        data_folders: Folders of the user's data: the output may not be one of them nor lie inside.

    Raises:
        RunError: The folder is a file, lies in the data, or holds something else.
    """
    check_outside(folder, option=option, data_folders=data_folders)
    if not folder.exists():
        return
    fix = f"{option} with a new folder's name."
    if not folder.is_dir():
        raise RunError(f"{option} {folder} is a file.", expected="a folder, or a name that is free", fix=fix)
    if not holds_nothing(folder) and not is_output_folder(folder, kind=kind, marker=marker):
        raise RunError(
            f"{option} {folder} holds other files.",
            expected=f"a new or empty folder, or one with {kind} that tlkit wrote before",
            fix=fix,
        )


def check_outside(path: Path, *, option: str, data_folders: Sequence[Path]) -> None:
    """Refuse a path inside the user's data.

    Raises:
        RunError: `path` is one of `data_folders` or lies inside one.
    """
    for data_folder in data_folders:
        if path.resolve().is_relative_to(data_folder.resolve()):
            raise RunError(
                f"{option} {path} lies in the data folder {data_folder}.",
                expected="a place outside the data; nothing is written into it",
                fix=f"{option} {Path('..') / path.name}, or another place.",
            )


def choose_picture(out: Path | None, data: Path, name: str) -> Path:
    """Return where a picture about a data set goes: `out`, or runs/DATA-NAME.png.

    Raises:
        RunError: It lies in the data.
        SettingError: It is a folder, or of another kind.
    """
    picture = out or Path("runs") / f"{data.resolve().stem}-{name}.png"
    check_outside(picture, option="--out", data_folders=[data] if data.is_dir() else [])
    if picture.suffix.lower() != ".png" or picture.is_dir():
        raise SettingError(
            f"--out {picture} is {'a folder' if picture.is_dir() else 'no PNG file'}.",
            expected="a file that ends in .png",
            fix=f"--out {picture / 'picture.png' if picture.is_dir() else picture.with_suffix('.png')}",
        )
    return picture


def make_output_folder(folder: Path, *, kind: str, marker: str) -> None:
    """Make the folder and mark it as tlkit's own output."""
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / marker, f"{kind}\nWritten by tlkit, which does not read images from this folder.\n")


def holds_nothing(folder: Path) -> bool:
    """Return whether a folder is empty, but for what a process that was killed may have left: its lock, half a file."""
    return all(path.name == LOCK_FILE or path.match(PARTIAL_PATTERN) for path in folder.iterdir())


def is_output_folder(folder: Path, *, kind: str, marker: str) -> bool:
    """Return whether tlkit made a folder for this kind of output."""
    return _read_kind(folder / marker) == kind


@contextmanager
def held_output_folder(folder: Path, *, kind: str, marker: str) -> Iterator[None]:
    """Make an output folder unless it is there, and hold it against other processes; one that dies gives it back.

    It is marked by its holder: the one before, whose start has failed, may be removing it with its mark.

    Raises:
        RunError: Another process is at work there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        try:
            stack.enter_context(held_lock(folder / LOCK_FILE))
        except BlockingIOError as error:
            raise RunError(
                f"{folder}: another process of tlkit is at work there.",
                expected="one process in a folder at a time",
                fix="wait for it to end, or name another folder.",
            ) from error
        if not is_output_folder(folder, kind=kind, marker=marker):
            make_output_folder(folder, kind=kind, marker=marker)
        yield


def _read_kind(marker: Path) -> str | None:
    if not marker.is_file():
        return None
    lines = marker.read_text("utf-8", errors="replace").splitlines()
    return lines[0] if lines else None
