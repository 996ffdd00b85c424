"""Where the images of a data set lie: in class folders or side by side, below folders of splits and such as `images`."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

from tlkit.data.file_walk import FoundFile, Listing, list_folder, walk_files
from tlkit.data.formats.candidates import SPLIT_SPELLINGS
from tlkit.data.formats.companions import READABLE, is_mask_folder, recognize_annotation
from tlkit.data.formats.split_names import find_split_in_name, is_neutral
from tlkit.data.signatures import looks_like_image
from tlkit.errors import DataError


@dataclass(frozen=True)
class ImageRoot:
    """A folder that holds class folders, or images, and the split that they belong to, if its path names one."""

    folder: Path
    split: str | None
    listing: Listing


@dataclass
class Layout:
    """Where the images of a data set lie, and what lies beside the way to them.

    Attributes:
        image_roots: One for every split, in the order of training, validation, test; or one alone.
        unused: Folders beside those of splits.
        annotations: Folders without images, or of masks, beside those with images.
        loose_files: Files outside the image roots.
        skipped: What systems have left outside the image roots.
    """

    image_roots: list[ImageRoot] = field(default_factory=list)
    unused: list[Path] = field(default_factory=list)
    annotations: list[Path] = field(default_factory=list)
    loose_files: list[FoundFile] = field(default_factory=list)
    skipped: list[Path] = field(default_factory=list)


def find_layout(root: Path) -> Layout:
    """Return where the images of a data set lie.

    Raises:
        DataError: A folder cannot be read, or two folders name one split.
    """
    layout = Layout()
    folder, listing = _descend(root, None, layout)
    split_folders = _find_split_folders(listing)
    if not split_folders:
        layout.image_roots.append(ImageRoot(folder, None, listing))
        return layout
    _pass_by(listing, split_folders.values(), layout)
    for split, split_folder in split_folders.items():
        inner, inner_listing = _descend(split_folder, split, layout)
        layout.image_roots.append(ImageRoot(inner, split, inner_listing))
    return layout


def lies_below_images(layout: Layout, root: Path) -> bool:
    """Return whether folders such as `images`, which name no class, hold all that there is."""
    return all(is_neutral(each.folder.name) and each.folder != root for each in layout.image_roots)


def has_class_folders(layout: Layout) -> bool:
    """Return whether there are folders that may be classes: folders with images whose names are no mere `images`."""
    return any(
        not is_neutral(folder.name) and not is_mask_folder(folder.name) and holds_images(folder)
        for image_root in layout.image_roots
        for folder in image_root.listing.folders
    )


def refuse_unread_annotations(root: Path) -> None:
    """Raise DataError if a folder whose folders name no classes holds annotations that would.

    Raises:
        DataError: It does.
    """
    for file in walk_files(root):
        kind = recognize_annotation(file.path) if file.problem is None else None
        if kind in READABLE:
            raise DataError(
                f"{root}: there are no class folders, but there is a {kind}: {file.path}.",
                expected="one folder a class, a table, or annotations that are named with --boxes",
                fix=f"add --boxes {root} to learn the classes and boxes that the annotations give.",
            )


def _descend(folder: Path, split: str | None, layout: Layout) -> tuple[Path, Listing]:
    """Return the folder in which classes, splits or images begin: below those that are called `images` and the like.

    Args:
        folder: Where to begin.
        split: The split that the folder means; archives often hold it once more in itself.
        layout: Takes up what lies beside the way.
    """
    listing = _list(folder)
    leads_on = [
        item for item in listing.folders if is_neutral(item.name) or (split and find_split_in_name(item.name) == split)
    ]
    if not leads_on or any(file.problem is None and looks_like_image(file.path) for file in listing.files):
        return folder, listing
    with_images = [item for item in listing.folders if not is_mask_folder(item.name) and holds_images(item)]
    if len(with_images) != 1 or with_images[0] not in leads_on:
        return folder, listing
    _pass_by(listing, with_images, layout)
    return _descend(with_images[0], split, layout)


def _pass_by(listing: Listing, taken: Collection[Path], layout: Layout) -> None:
    """Note what lies in a folder of which only some folders are looked into."""
    for folder in listing.folders:
        if folder not in taken:
            is_of_annotations = is_mask_folder(folder.name) or (is_neutral(folder.name) and not holds_images(folder))
            (layout.annotations if is_of_annotations else layout.unused).append(folder)
    layout.loose_files += listing.files
    layout.skipped += listing.skipped


def _find_split_folders(listing: Listing) -> dict[str, Path]:
    """Return the folder of each split in the order of training, validation, test; empty if the folders are classes."""
    named: dict[str, list[Path]] = {"train": [], "validation": [], "test": []}
    for folder in listing.folders:
        split = find_split_in_name(folder.name)
        if split:
            named[split].append(folder)
    found_folders = [folder for found in named.values() for folder in found]
    has_classes_beside = any(folder not in found_folders and holds_images(folder) for folder in listing.folders)
    if not named["train"] or (has_classes_beside and not any(_list(folder).folders for folder in found_folders)):
        # Without a training folder, "test" may well be a class, and beside other classes "train" may, too; their own
        # folders tell.
        named = {split: [item for item in found if _list(item).folders] for split, found in named.items()}
    for split, found in named.items():
        if len(found) > 1:
            raise DataError(
                f"{found[0].parent}: {' and '.join(folder.name for folder in found)} both name the {split} split.",
                expected=f"one folder a split, named {SPLIT_SPELLINGS}",
                fix="merge the two folders, or move one of them away.",
            )
    return {split: found[0] for split, found in named.items() if found}


def holds_images(folder: Path) -> bool:
    """Return whether a file at any depth of a folder looks like an image."""
    return any(file.problem is None and looks_like_image(file.path) for file in walk_files(folder))


def _list(folder: Path) -> Listing:
    try:
        return list_folder(folder)
    except OSError as error:
        raise DataError(
            f"{folder}: the folder cannot be read ({error.strerror}).",
            expected="a folder that you may read",
            fix="change its permissions, or name another folder.",
        ) from error
