"""Read a folder of class folders: DATA/CLASS/**, with split folders above or below the classes."""

from __future__ import annotations

import contextlib
import os
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median

from tlkit.data.formats.candidates import Candidate, Candidates
from tlkit.data.formats.companions import (
    ANNOTATION_SUFFIXES,
    LABELME,
    MASK,
    READABLE,
    THUMBNAIL,
    find_companions,
    is_thumbnail_folder,
    recognize_annotation,
)
from tlkit.data.formats.given_splits import find_split_in_name, find_splits_in_path
from tlkit.data.formats.layout import ImageRoot, find_layout, refuse_unread_annotations
from tlkit.data.formats.table import TABLE_SUFFIXES
from tlkit.data.manifest import SkippedFile
from tlkit.data.signatures import looks_like_image
from tlkit.data.sources import FoundFile, walk_files
from tlkit.errors import DataError
from tlkit.outputs import normalize_name


def read_folder(root: Path, *, annotation_files: Collection[Path] = ()) -> Candidates:
    """Find the files of a data set with one folder per class.

    The folder has splits if it contains a training folder, a validation or test folder with subfolders, or if every
    class folder contains split folders. Neutral folders such as `images` may be in between. Names match whatever their
    case. Every file at any depth of a class folder is a candidate, whatever its suffix, except annotations and masks.
    Hidden folders, files of the operating system and tlkit's own output are skipped.

    Args:
        root: The data's folder.
        annotation_files: Files that are already read as annotations.

    Raises:
        DataError: The folder cannot be read, two folders name the same split, a split folder has no class folders, or
            only some classes have split folders.
    """
    root = Path(os.path.abspath(root))  # noqa: PTH100 - takes ".." away, which Path.absolute does not
    layout = find_layout(root)
    used = frozenset(annotation_files)
    parts = [_read_image_root(image_root, root, used) for image_root in layout.image_roots]
    if layout.unused:
        names = ", ".join(str(folder.relative_to(root)) for folder in layout.unused)
        where = "beside the split folders" if layout.image_roots[0].split else "beside the images"
        parts.append(Candidates(root, (), (), (f"Ignored {where}: {names}.",)))
    parts.append(_pass_over_loose_files(layout.loose_files, root, used))
    parts += (_pass_over_annotations(folder, root, used) for folder in layout.annotations)
    parts.append(Candidates(root, (), (), tuple(_name_skipped(layout.skipped))))
    found = _join(root, parts)
    return replace(found, notices=(*found.notices, *_describe_companions(found.skipped, root)))


def _read_image_root(image_root: ImageRoot, root: Path, used: frozenset[Path]) -> Candidates:
    """Return the candidates from the class folders in one folder."""
    listing, split = image_root.listing, image_root.split
    if split not in (None, "train") and not listing.folders and not listing.files:
        return Candidates(root, (), (), (f"Skipped an empty folder: {image_root.folder.relative_to(root)}.",))
    if split is not None and not listing.folders:
        folder = image_root.folder
        refuse_unread_annotations(root)
        raise DataError(
            f"{folder}: no class folders.",
            expected=f"{folder.name}/CLASS/images, one folder per class",
            fix="sort the images into one folder per class, or list their classes in a table.",
        )
    skipped = list(listing.skipped)
    found = {folder: tuple(walk_files(folder, skipped=skipped)) for folder in listing.folders}
    thumbnails = _find_thumbnails(found)
    inner_splits = _find_inner_splits(found) if split is None else {}
    parts = [_read_class(folder, files, split, inner_splits, root, used) for folder, files in found.items()]
    empty = [str(folder.relative_to(root)) for folder, part in zip(found, parts, strict=True) if not part.items]
    parts.append(Candidates(root, (), tuple(SkippedFile(path, THUMBNAIL) for path in thumbnails), ()))
    notices = [f"Not a class, because it has no readable image: {_name_some(empty)}."] if empty else []
    notices += _name_skipped(skipped)
    notices += _name_united(found)
    about_classes = Candidates(root, (), (), (*notices, *_describe_inner_splits(found, inner_splits, split)))
    return _join(root, [*parts, about_classes, _pass_over_loose_files(listing.files, root, used)])


def _read_class(
    folder: Path,
    files: Sequence[FoundFile],
    split: str | None,
    inner_splits: dict[Path, str],
    root: Path,
    used: frozenset[Path],
) -> Candidates:
    """Return the candidates of a class folder; none if it contains only annotations."""
    answer = _find_class_name(folder)
    sound = [file.path for file in files if file.problem is None and file.path not in used]
    companions = find_companions(sound)
    skipped = [SkippedFile(file.path, file.problem) for file in files if file.problem is not None]
    skipped += (SkippedFile(path, kind) for path, kind in companions.items())
    paths = [path for path in sound if path not in companions]
    if all(path.suffix.lower() in ANNOTATION_SUFFIXES for path in paths):
        skipped += (SkippedFile(path, "not an image") for path in paths)
        paths = []
    items = (Candidate(path, answer, inner_splits.get(path, split)) for path in paths)
    return Candidates(root, tuple(items), tuple(skipped), ())


def _find_thumbnails(found: dict[Path, tuple[FoundFile, ...]]) -> list[Path]:
    """Remove thumbnail folders and return their files.

    A thumbnail folder is recognized by its name and by files less than half as large as those of the classes.
    """
    named = [folder for folder in found if is_thumbnail_folder(folder.name)]
    if not named:
        return []
    size_of_others = _find_usual_size(file for folder, files in found.items() if folder not in named for file in files)
    reduced = [folder for folder in named if 2 * _find_usual_size(found[folder]) < size_of_others]
    return [file.path for folder in reduced for file in found.pop(folder) if file.problem is None]


def _find_usual_size(files: Iterable[FoundFile]) -> float:
    """Return the median file size in bytes, 0 without files."""
    sizes = []
    for file in files:
        with contextlib.suppress(OSError):  # deleted, or a broken link
            sizes.append(file.path.stat().st_size)
    return median(sizes or [0])


def _find_class_name(folder: Path) -> str:
    """Return a folder's class: its name without surrounding spaces."""
    return normalize_name(folder.name.strip(" \u00a0\u3000") or folder.name)


def _name_united(folders: Collection[Path]) -> Iterator[str]:
    """Yield a notice of folders merged into one class, because they differ only in spaces or Unicode form."""
    by_class: defaultdict[str, list[str]] = defaultdict(list)
    for folder in folders:
        by_class[_find_class_name(folder)].append(ascii(folder.name))
    for name, spellings in by_class.items():
        if len(spellings) > 1:
            yield f"Merged into one class, {name!r}: the folders {' and '.join(spellings)}."


def _find_inner_splits(found: dict[Path, tuple[FoundFile, ...]]) -> dict[Path, str]:
    """Return the split of every file if the class folders contain split folders (CLASS/train), else nothing.

    Raises:
        DataError: Only some classes have split folders.
    """
    splits: dict[Path, dict[Path, str]] = {}
    whole = {}
    for folder, files in found.items():
        images = [
            file.path for file in files if file.problem is None and file.path.suffix.lower() not in ANNOTATION_SUFFIXES
        ]
        named = {
            path: find_split_in_name(path.relative_to(folder).parts[0]) for path in images if path.parent != folder
        }
        splits[folder] = {path: split for path, split in named.items() if split}
        whole[folder] = len(splits[folder]) == len(images)
    divided = [folder for folder, named in splits.items() if "train" in named.values() and len(set(named.values())) > 1]
    undivided = [folder for folder in found if not whole[folder]]
    if divided and undivided:
        raise DataError(
            f"{divided[0]} has split folders, but some images of {undivided[0].name} are not in split folders.",
            expected="folders named train, validation and test in every class folder, or in none",
            fix="move the other images into split folders, or put the split folders above the classes.",
        )
    return {path: split for named in splits.values() for path, split in named.items()} if divided else {}


def _describe_inner_splits(
    found: dict[Path, tuple[FoundFile, ...]], inner_splits: dict[Path, str], split: str | None
) -> Iterator[str]:
    """Yield a notice of folders below the classes that are named like splits."""
    if inner_splits:
        yield "The splits come from the folders inside the class folders."
        return
    named = [
        file.path
        for folder, files in found.items()
        for file in files
        if any(name != split for name in find_splits_in_path(file.path.relative_to(folder)))
    ]
    if named:
        yield (
            f"{len(named):,} × file in a folder named like a split, but inside a class folder; not used as a split, "
            f"e.g. {named[0]}."
        )


def _pass_over_loose_files(files: Sequence[FoundFile], root: Path, used: frozenset[Path]) -> Candidates:
    """Return images and annotations outside the class folders as skipped, with a notice."""
    sound = [file.path for file in files if file.problem is None and file.path not in used]
    companions = find_companions(sound)
    images = [path for path in sound if path not in companions and looks_like_image(path)]
    skipped = [SkippedFile(path, "not in a class folder") for path in images]
    skipped += (SkippedFile(path, kind) for path, kind in companions.items())
    names = _name_some([str(path.relative_to(root)) for path in images])
    notices = [f"Skipped images outside the class folders: {names}."] if images else []
    tables = [path.name for path in sound if path.suffix.lower() in TABLE_SUFFIXES and path not in companions]
    if tables:
        notices.append(
            f"Not used: {', '.join(tables)}, beside the folders; pass the table instead of the folder to use it."
        )
    return Candidates(root, (), tuple(skipped), tuple(notices))


def _pass_over_annotations(folder: Path, root: Path, used: frozenset[Path]) -> Candidates:
    """Return annotations and masks in a folder beside the images as skipped."""
    paths = [file.path for file in walk_files(folder) if file.problem is None and file.path not in used]
    kinds = {path: recognize_annotation(path) or (MASK if looks_like_image(path) else None) for path in paths}
    skipped = tuple(SkippedFile(path, kind) for path, kind in kinds.items() if kind)
    notices = () if skipped or not paths else (f"Ignored beside the images: {folder.relative_to(root)}.",)
    return Candidates(root, (), skipped, notices)


def _describe_companions(skipped: Sequence[SkippedFile], root: Path) -> Iterator[str]:
    """Yield a notice for each kind of annotation or mask that was skipped."""
    counts = Counter(item.reason for item in skipped if item.reason in (*READABLE, LABELME, MASK, THUMBNAIL))
    for kind, number in counts.items():
        example = next(item.path for item in skipped if item.reason == kind)
        hint = f"; add --boxes {root} to train on the boxes" if kind in READABLE else ""
        yield f"{number:,} × {kind}, skipped, e.g. {example}{hint}."


def _name_skipped(skipped: Sequence[Path]) -> Iterator[str]:
    """Yield a notice of skipped files of the operating system."""
    if skipped:
        counts = sorted(Counter(path.name for path in skipped).items())
        yield f"Skipped files of the operating system: {', '.join(f'{number:,} × {name}' for name, number in counts)}."


def _name_some(names: Sequence[str]) -> str:
    """Join the first three names with commas, and add the number of the rest."""
    shown = ", ".join(names[:3])
    return shown if len(names) <= 3 else f"{shown} and {len(names) - 3} more"


def _join(root: Path, parts: Sequence[Candidates]) -> Candidates:
    return Candidates(
        root,
        tuple(item for part in parts for item in part.items),
        tuple(item for part in parts for item in part.skipped),
        tuple(notice for part in parts for notice in part.notices),
    )
