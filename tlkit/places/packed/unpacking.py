"""Unpack images below the cache root, once: what the tool then reads is a folder of images, and a table if there are labels.

They lie in `places/NAME-unpacked-HASH/NAME/`, a folder for each packed file if there are several. A packed file that has
not changed is not unpacked again, one that is gone takes its images with it, and one whose unpacking was interrupted is
unpacked anew.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath, PurePosixPath

from tlkit.errors import DataError, PlaceError
from tlkit.files import format_csv_row, written_aside
from tlkit.places.copies import remember_copy
from tlkit.places.copying import Teller, copy_place
from tlkit.places.folders import PLACES, held_path, write_description
from tlkit.places.packed.part import Part, read_part, read_rows
from tlkit.places.packed.patterns import expand_braces
from tlkit.places.packed.tars import LABEL, unpack_tar
from tlkit.places.place import is_place, parse_place, place_text

_ASIDE = "aside"
_SPARE_BYTES = 2**28


@dataclass(frozen=True)
class Unpacked:
    """Unpacked images.

    Attributes:
        folder: The images.
        table: Their table, in the folder; None if they have no labels and may lie in class folders.
    """

    folder: Path
    table: Path | None


def locate_unpacked(text: str, root: Path) -> Path:
    """Return the folder in which the images of packed files lie, or would lie.

    Args:
        text: Their absolute path or URL, which may be a pattern.
        root: The cache root.
    """
    name = _name(text)
    slug = re.sub(r"[^\w.-]+", "_", name)[:64].strip(".-") or "images"
    identity = hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()[:16]
    return root / PLACES / f"{slug}-unpacked-{identity}" / (slug if slug != _ASIDE else "images")


def make_absolute_name(value: str | PurePath) -> str:
    """Return the text by which packed files are known: their URL, or their absolute path."""
    url = place_text(value)
    return str(parse_place(url)) if url is not None else os.path.abspath(value)  # noqa: PTH100 - takes ".." away


def unpack(value: str | PurePath, root: Path, teller: Teller, *, is_image: Callable[[str], bool]) -> Unpacked | Path:
    """Unpack what a path, a URL or a pattern names; return a Parquet file without image bytes as it is.

    Args:
        value: Tars, or Parquet files; braces stand for many: photos-{000..009}.tar.
        root: The cache root.
        teller: Shows progress, and what is not used.
        is_image: Whether a file of this ending, such as `.jpg`, is an image.

    Raises:
        DataError: A file is missing, or is not what its name says, or there is no image.
        PlaceError: A URL cannot be read, or the disk is too small.
        OSError: The disk refuses.
    """
    text = make_absolute_name(value)
    if _is_usual_table(value):
        return Path(value)
    names = expand_braces(text)
    files = [
        copy_place(parse_place(name), root, teller) if is_place(name) else _check(Path(name), text) for name in names
    ]
    column = None
    if text.lower().endswith(".parquet"):
        from tlkit.places.packed.parquet import find_image_bytes

        column = find_image_bytes(files[0])
        if column is None and len(files) == 1:
            return files[0]
        if column is None:
            raise _no_image_bytes(files[0])
    folder = locate_unpacked(text, root)
    with held_path(folder.parent, f"another process that unpacks {text}"):
        parts = _unpack_all(files, folder, column, teller, is_image)
        table = _write_table(parts, folder)
        write_description(folder.parent, text)
    if not sum(part.num_images for _, part in parts):
        raise _no_images(text, parts)
    _tell(text, parts, teller)
    remember_copy(folder, text)
    if table is not None:
        remember_copy(table, text)
    return Unpacked(folder, table)


def _is_usual_table(value: str | PurePath) -> bool:
    """Return whether a local Parquet file holds no image bytes, or cannot be read, which the reader of tables says."""
    path = Path(value)
    if is_place(value) or path.suffix.lower() != ".parquet":
        return False
    from tlkit.places.packed.parquet import find_image_bytes

    is_pattern = len(expand_braces(str(value))) > 1
    return not is_pattern and (not path.is_file() or find_image_bytes(path) is None)


def _check(file: Path, text: str) -> Path:
    if not file.is_file():
        raise DataError(
            f"{file}: no such file.",
            expected="a tar or a Parquet file; braces stand for many: photos-{000..009}.tar",
            fix="check the path." if str(file) == text else f"check the pattern {text}.",
        )
    return file


def _unpack_all(
    files: Sequence[Path], folder: Path, column: str | None, teller: Teller, is_image: Callable[[str], bool]
) -> list[tuple[Path, Part]]:
    """Unpack what is new or changed, and remove what is of no file any more; return each part with its folder."""
    targets = _name_parts(files, folder)
    stamps = [_stamp(file) for file in files]
    known = {target: read_part(target) for target in targets}
    stale = [
        (file, target, stamp)
        for file, target, stamp in zip(files, targets, stamps, strict=True)
        if (part := known[target]) is None or part.stamp != stamp
    ]
    _remove_others(folder, targets)
    num_bytes = sum(file.stat().st_size for file, _, _ in stale)
    aside = folder.parent / _ASIDE
    if stale:
        _check_room(folder.parent, num_bytes)
        what = f"Unpacking {len(stale):,} {'file' if len(stale) == 1 else 'files'}"
        with teller.progress(what, num_bytes, "bytes") as advance:
            for file, target, stamp in stale:
                shutil.rmtree(aside, ignore_errors=True)
                aside.mkdir(parents=True)
                part = Part(stamp)
                if column is None:
                    unpack_tar(file, aside, part, is_image=is_image, advance=advance)
                else:
                    from tlkit.places.packed.parquet import unpack_parquet

                    unpack_parquet(file, column, aside, part, advance=advance)
                part.write_notes(aside)
                shutil.rmtree(target, ignore_errors=True)
                target.parent.mkdir(parents=True, exist_ok=True)
                aside.rename(target)
                known[target] = part
    return [(target, part) for target in targets if (part := known[target]) is not None]


def _name_parts(files: Sequence[Path], folder: Path) -> list[Path]:
    """Return the folder of each file's images: the whole folder for one, and one by its name for each of several."""
    if len(files) == 1:
        return [folder]
    stems = Counter(file.stem for file in files)
    return [
        folder / (file.stem if stems[file.stem] == 1 else f"{number:05d}-{file.stem}")
        for number, file in enumerate(files)
    ]


def _stamp(file: Path) -> str:
    status = file.stat()
    return f"{status.st_size}-{status.st_mtime_ns}"


def _remove_others(folder: Path, targets: Sequence[Path]) -> None:
    """Remove the images of files that are no longer named, as a pattern may come to mean fewer."""
    if folder in targets or not folder.is_dir():
        return
    for path in folder.iterdir():
        if path not in targets and path.is_dir():
            shutil.rmtree(path)


def _check_room(folder: Path, num_bytes: int) -> None:
    free = shutil.disk_usage(folder).free
    lacking = num_bytes + _SPARE_BYTES - free
    if lacking > 0:
        raise PlaceError(
            f"{num_bytes / 1e9:,.2f} GB are to be unpacked to {folder}, where {free / 1e9:,.2f} GB are free.",
            expected=f"{lacking / 1e9:,.2f} GB more, so that {_SPARE_BYTES / 1e9:.2f} GB stay free",
            fix="make room, `tlkit cache prune --max-size SIZE` for instance, or set TLKIT_CACHE to a folder on a larger disk.",
        )


def _write_table(parts: Iterable[tuple[Path, Part]], folder: Path) -> Path | None:
    """Write the table of all images; None if nothing is known of them but their names, and they are of one file."""
    parts = list(parts)
    columns = list(dict.fromkeys(name for _, part in parts for name in part.columns))
    table = folder / f"{folder.name}.csv"
    if not columns and len(parts) == 1:
        return None
    columns = [LABEL, *(name for name in columns if name != LABEL)] if LABEL in columns else columns
    with written_aside(table) as file:
        file.write(format_csv_row(["path", *columns]).encode("utf-8", "surrogateescape"))
        for target, _ in parts:
            base = target.relative_to(folder)
            for path, cells in read_rows(target):
                row = [str(PurePosixPath(base.as_posix(), path)), *(cells.get(name, "") for name in columns)]
                file.write(format_csv_row(row).encode("utf-8", "surrogateescape"))
    return table


def _name(text: str) -> str:
    """Return a name for images: that of the file, without its ending and what stands in braces."""
    name = PurePosixPath(text.replace("\\", "/")).name.rpartition(".")[0]
    return re.sub(r"[-_.]*\{.*\}", "", name) or "images"


def _tell(text: str, parts: Sequence[tuple[Path, Part]], teller: Teller) -> None:
    num_images = sum(part.num_images for _, part in parts)
    unused: Counter[str] = Counter()
    for _, part in parts:
        unused.update(part.unused)
    teller.say(f"{text}: {num_images:,} images in {len(parts):,} {'file' if len(parts) == 1 else 'files'}.")
    for reason, number in unused.most_common():
        first = next(name for _, part in parts for name, why in part.left_out.items() if why == reason)
        teller.warn(f"Not used of {text}: {reason} ({number:,}, such as {first}).")


def _no_images(text: str, parts: Iterable[tuple[Path, Part]]) -> DataError:
    first = next((f"; {name}: {why}" for _, part in parts for name, why in part.left_out.items()), "")
    return DataError(
        f"{text}: no images{first}.",
        expected="images with labels beside them, 0001.jpg and 0001.cls, or a column with the bytes of images",
        fix="check the file.",
    )


def _no_image_bytes(file: Path) -> DataError:
    return DataError(
        f"{file}: no column holds bytes of images.",
        expected="a column of binary values, or of {bytes, path} as Hugging Face's data sets have it",
        fix="name a single table of paths and labels, or files with the images in them.",
    )
