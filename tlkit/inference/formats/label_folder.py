"""A folder with one file of annotations for each image, in subfolders like the images'."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePath

from tlkit.data.sources import OUTPUT_MARKER
from tlkit.errors import RunError
from tlkit.files import written_aside
from tlkit.inference.scoring import count_files
from tlkit.reports.output_folder import check_outside, held_output_folder, holds_nothing
from tlkit.reports.row_file import format_csv_line, write_line
from tlkit.reports.sorting import fold_name, number_name

LABELS = "labels"
ERRORS_FILE = "errors.csv"


def check_label_folder(folder: Path, *, data_folders: Sequence[Path]) -> None:
    """Check that a folder can be used, without writing anything.

    Raises:
        RunError: It is a file or inside the data, or it contains something.
    """
    check_outside(folder, option="--out", data_folders=data_folders)
    if folder.exists() and not (folder.is_dir() and holds_nothing(folder)):
        raise RunError(
            f"--out {folder} is a file." if folder.is_file() else f"--out {folder} is not empty.",
            expected="a new or empty folder, so that its files are those of one prediction",
            fix=f"--out {folder}-2, or remove it.",
        )


class LabelFolder:
    """Writes a file for each image; equal names are numbered, and images that cannot be read are listed in `errors.csv`.

    Args:
        folder: An existing folder.
        suffix: Suffix of the files, such as ".txt".
        roots: Folders of the images, as `Prediction.path` names them; names are relative to them.
        warn: Receives a sentence if names are numbered.
        reserved: Names in the folder that are not an image's.
    """

    def __init__(
        self,
        folder: Path,
        suffix: str,
        *,
        roots: Sequence[str],
        warn: Callable[[str], None],
        reserved: Sequence[str] = (),
    ) -> None:
        self._folder = folder
        self._suffix = suffix
        self._roots = roots
        self._warn = warn
        self._taken = set(map(fold_name, reserved))
        self._num_renamed = 0
        self._has_errors = False

    def write(self, image: str, content: bytes) -> None:
        """Write the file of an image, in one step."""
        name = PurePath(find_relative(image, self._roots)).with_suffix(self._suffix)
        free = (name.parent / number_name(name.name, _NamesBelow(name.parent, self._taken))).as_posix()
        self._taken.add(fold_name(free))
        if free != name.as_posix():
            self._num_renamed += 1
            if self._num_renamed == 1:
                self._warn(f"{image}: {name.as_posix()} is taken, so its labels are in {free}.")
        with written_aside(self._folder / free, is_flushed=False) as file:
            file.write(content)

    def write_error(self, image: str, error: str) -> None:
        """Add an image to `errors.csv`."""
        path = self._folder / ERRORS_FILE
        with path.open("ab") as file:
            if not self._has_errors:
                write_line(file, format_csv_line(("path", "error")))
                self._has_errors = True
            write_line(file, format_csv_line((image, error)))

    def warn_of_renamed(self) -> None:
        """Warn of the number of images whose files are numbered, if more than one."""
        if self._num_renamed > 1:
            self._warn(f"the labels of {count_files(self._num_renamed)} are numbered, because of equal names.")


@contextmanager
def open_label_folder(
    folder: Path, suffix: str, *, roots: Sequence[str], warn: Callable[[str], None], reserved: Sequence[str] = ()
) -> Iterator[LabelFolder]:
    """Create a folder, and yield what writes into it; arguments as for `LabelFolder`.

    Raises:
        RunError: Another process is using it, or it cannot be written to; the files so far are kept.
    """
    try:
        with held_output_folder(folder, kind=LABELS, marker=OUTPUT_MARKER):
            labels = LabelFolder(folder, suffix, roots=roots, warn=warn, reserved=reserved)
            yield labels
            labels.warn_of_renamed()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise RunError(
            f"{error.filename or folder}: {error.strerror or error}.",
            expected="free disk space and a writable folder",
            fix=f"fix this, and run the same command again. The files so far are in {folder}.",
        ) from error


class _NamesBelow:
    """The names that are taken in a subfolder."""

    def __init__(self, folder: PurePath, taken: set[str]) -> None:
        self._folder = folder
        self._taken = taken

    def __contains__(self, name: object) -> bool:
        return fold_name((self._folder / str(name)).as_posix()) in self._taken


def find_relative(path: str, roots: Sequence[str]) -> str:
    """Return a path relative to the first of the roots that it is below; its name if it is below none.

    Examples:
        >>> find_relative("new/a/cat.jpg", ["new"]), find_relative("elsewhere/cat.jpg", ["new"])
        ('a/cat.jpg', 'cat.jpg')
    """
    for root in roots:
        for separator in {"/", os.sep}:
            prefix = "" if root == "." else root.rstrip(separator) + separator
            rest = path.removeprefix(prefix)
            if path.startswith(prefix) and not PurePath(rest).is_absolute() and ".." not in PurePath(rest).parts:
                return rest
    return PurePath(path).name
