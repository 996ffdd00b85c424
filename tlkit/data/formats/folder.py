"""Read a folder of class folders: DATA/CLASS/**, or DATA/{train,validation,test}/CLASS/**."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from tlkit.data.answers import normalize_class_name
from tlkit.data.file_walk import FoundFile, Listing, list_folder, walk_files
from tlkit.data.formats.candidates import SPLIT_SPELLINGS, Candidate, Candidates, find_split
from tlkit.data.manifest import SetAside
from tlkit.data.signatures import looks_like_image
from tlkit.errors import DataError

ANNOTATION_FOLDERS = frozenset({"images", "jpegimages", "annotations", "labels", "imagesets"})


def read_folder(root: Path) -> Candidates:
    """Find the files of a data set whose folders name the classes.

    The folder is read by splits if it holds one named for training, or if one named for validation or test holds folders
    of its own; names are matched whatever their case. Every file at any depth in a class folder is a candidate,
    whatever its suffix. Hidden folders, what systems leave behind and tlkit's own output are skipped.

    Raises:
        DataError: The folder cannot be read, two folders name one split, or a split's folder holds no class folder.
    """
    root = Path(os.path.abspath(root))  # noqa: PTH100 - takes ".." away, which Path.absolute does not
    listing = _list(root)
    split_folders = _find_split_folders(listing)
    if not split_folders:
        return _join(root, [_read_classes(listing, root, split=None)])
    parts = [_read_split(folder, root, split) for split, folder in split_folders.items()]
    others = [folder.name for folder in listing.folders if folder not in split_folders.values()]
    if others:
        parts.append(Candidates(root, (), (), (f"Ignored beside the split folders: {_name_some(others)}.",)))
    if listing.files:
        parts.append(_pass_over_loose_files(listing.files, root))
    return _join(root, parts)


def has_class_folders(root: Path) -> bool:
    """Return whether a folder has folders that may be classes or splits; those that annotated data come in are neither.

    Raises:
        DataError: The folder cannot be read.
    """
    return any(folder.name.lower() not in ANNOTATION_FOLDERS for folder in _list(root).folders)


def _find_split_folders(listing: Listing) -> dict[str, Path]:
    """Return the folder of each split in the order of training, validation, test; empty if the folders are classes."""
    named: dict[str, list[Path]] = {"train": [], "validation": [], "test": []}
    for folder in listing.folders:
        split = find_split(folder.name)
        if split:
            named[split].append(folder)
    if not named["train"]:
        # Without a training folder, "test" may well be a class; its own folders tell.
        named = {split: [item for item in found if _list(item).folders] for split, found in named.items()}
    for split, found in named.items():
        if len(found) > 1:
            raise DataError(
                f"{found[0].parent}: {' and '.join(folder.name for folder in found)} both name the {split} split.",
                expected=f"one folder a split, named {SPLIT_SPELLINGS}",
                fix="merge the two folders, or move one of them away.",
            )
    return {split: found[0] for split, found in named.items() if found}


def _read_split(folder: Path, root: Path, split: str) -> Candidates:
    listing = _list(folder)
    if split != "train" and not listing.folders and not listing.files:
        return Candidates(root, (), (), (f"Empty, so passed over: {folder.name}.",))
    if not listing.folders:
        raise DataError(
            f"{folder}: there are no class folders in it.",
            expected=f"{folder.name}/CLASS/images, one folder a class",
            fix="sort the images into one folder a class, or name their classes in a table.",
        )
    return _read_classes(listing, root, split)


def _read_classes(listing: Listing, root: Path, split: str | None) -> Candidates:
    """Return the candidates of the class folders in one folder."""
    items: list[Candidate] = []
    set_aside: list[SetAside] = []
    notices: list[str] = []
    empty: list[str] = []
    skipped = list(listing.skipped)
    for folder in listing.folders:
        answer = normalize_class_name(folder.name)
        found = list(walk_files(folder, skipped=skipped))
        items += (Candidate(file.path, answer, split) for file in found if file.problem is None)
        set_aside += (SetAside(file.path, file.problem) for file in found if file.problem is not None)
        if all(file.problem is not None for file in found):
            empty.append(str(folder.relative_to(root)))
    if empty:
        notices.append(f"Without any readable file, so no class: {_name_some(empty)}.")
    notices += _name_skipped(skipped)
    loose = _pass_over_loose_files(listing.files, root)
    return Candidates(root, tuple(items), (*set_aside, *loose.set_aside), (*notices, *loose.notices))


def _pass_over_loose_files(files: Sequence[FoundFile], root: Path) -> Candidates:
    """Return the images among files outside any class folder as set aside, with a notice."""
    images = [file.path for file in files if file.problem is None and looks_like_image(file.path)]
    set_aside = tuple(SetAside(path, "in no class folder") for path in images)
    names = _name_some([str(path.relative_to(root)) for path in images])
    notices = (f"Not in a class folder, so without a class: {names}.",) if images else ()
    return Candidates(root, (), set_aside, notices)


def _name_skipped(skipped: Sequence[Path]) -> Iterator[str]:
    """Yield a notice of what systems have left behind, if they have."""
    if skipped:
        counts = sorted(Counter(path.name for path in skipped).items())
        yield f"Skipped, as a system keeps it: {', '.join(f'{number:,} × {name}' for name, number in counts)}."


def _name_some(names: Sequence[str]) -> str:
    """Return the first three names, and how many more there are."""
    shown = ", ".join(names[:3])
    return shown if len(names) <= 3 else f"{shown} and {len(names) - 3} more"


def _list(folder: Path) -> Listing:
    try:
        return list_folder(folder)
    except OSError as error:
        raise DataError(
            f"{folder}: the folder cannot be read ({error.strerror}).",
            expected="a folder that you may read",
            fix="change its permissions, or name another folder.",
        ) from error


def _join(root: Path, parts: Sequence[Candidates]) -> Candidates:
    return Candidates(
        root,
        tuple(item for part in parts for item in part.items),
        tuple(item for part in parts for item in part.set_aside),
        tuple(notice for part in parts for notice in part.notices),
    )
