"""Find the image folders of a data set, below split folders and neutral folders such as `images`."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

from tlkit.data.formats.candidates import SPLIT_SPELLINGS
from tlkit.data.formats.companions import READABLE, is_mask_folder, recognize_annotation
from tlkit.data.formats.given_splits import find_split_in_name, is_neutral
from tlkit.data.signatures import looks_like_image
from tlkit.data.sources import FoundFile, Listing, list_folder, walk_files
from tlkit.errors import DataError


@dataclass(frozen=True)
class ImageRoot:
    """A folder of class folders or images, and its split if the path names one."""

    folder: Path
    split: str | None
    listing: Listing


@dataclass
class Layout:
    """The image folders of a data set, and everything else found on the way.

    Attributes:
        image_roots: One per split, in the order training, validation, test; or a single one.
        unused: Folders beside the split folders.
        annotations: Folders without images, or with masks, beside the image folders.
        loose_files: Files outside the image roots.
        skipped: Files of the operating system outside the image roots.
    """

    image_roots: list[ImageRoot] = field(default_factory=list)
    unused: list[Path] = field(default_factory=list)
    annotations: list[Path] = field(default_factory=list)
    loose_files: list[FoundFile] = field(default_factory=list)
    skipped: list[Path] = field(default_factory=list)


def find_layout(root: Path) -> Layout:
    """Find the image folders of a data set.

    Raises:
        DataError: A folder cannot be read, or two folders name the same split.
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
    """Return whether all image roots are below neutral folders such as `images`, which are not classes."""
    return all(is_neutral(each.folder.name) and each.folder != root for each in layout.image_roots)


def has_class_folders(layout: Layout) -> bool:
    """Return whether there are possible class folders: folders with images and a name that is not neutral."""
    return any(
        not is_neutral(folder.name) and not is_mask_folder(folder.name) and holds_images(folder)
        for image_root in layout.image_roots
        for folder in image_root.listing.folders
    )


def refuse_unread_annotations(root: Path) -> None:
    """Raise DataError if a folder without class folders contains annotations.

    Raises:
        DataError: There are annotations.
    """
    for file in walk_files(root):
        kind = recognize_annotation(file.path) if file.problem is None else None
        if kind in READABLE:
            raise DataError(
                f"{root}: no class folders, but a {kind}: {file.path}.",
                expected="one folder per class, a table, or annotations given with --boxes",
                fix=f"add --boxes {root} to train on the classes and boxes of the annotations.",
            )


def _descend(folder: Path, split: str | None, layout: Layout) -> tuple[Path, Listing]:
    """Return the first folder with classes, splits or images, below neutral folders such as `images`.

    Args:
        folder: Where to start.
        split: The folder's split; archives often repeat it as a subfolder.
        layout: Collects everything else on the way.
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
    """Record the entries of a folder that are not descended into."""
    for folder in listing.folders:
        if folder not in taken:
            is_of_annotations = is_mask_folder(folder.name) or (is_neutral(folder.name) and not holds_images(folder))
            (layout.annotations if is_of_annotations else layout.unused).append(folder)
    layout.loose_files += listing.files
    layout.skipped += listing.skipped


def _find_split_folders(listing: Listing) -> dict[str, Path]:
    """Return the folder of each split, in the order training, validation, test; empty if the folders are classes."""
    named: dict[str, list[Path]] = {"train": [], "validation": [], "test": []}
    for folder in listing.folders:
        split = find_split_in_name(folder.name)
        if split:
            named[split].append(folder)
    found_folders = [folder for found in named.values() for folder in found]
    has_classes_beside = any(folder not in found_folders and holds_images(folder) for folder in listing.folders)
    if not named["train"] or (has_classes_beside and not any(_list(folder).folders for folder in found_folders)):
        # Without a training folder, "test" may be a class, and so may "train" beside other classes; their subfolders
        # decide.
        named = {split: [item for item in found if _list(item).folders] for split, found in named.items()}
    for split, found in named.items():
        if len(found) > 1:
            raise DataError(
                f"{found[0].parent}: {' and '.join(folder.name for folder in found)} both name the {split} split.",
                expected=f"one folder per split, named {SPLIT_SPELLINGS}",
                fix="merge the two folders, or move one of them away.",
            )
    return {split: found[0] for split, found in named.items() if found}


def holds_images(folder: Path) -> bool:
    """Return whether any file in a folder, at any depth, looks like an image."""
    return any(file.problem is None and looks_like_image(file.path) for file in walk_files(folder))


def _list(folder: Path) -> Listing:
    try:
        return list_folder(folder)
    except OSError as error:
        raise DataError(
            f"{folder}: the folder cannot be read ({error.strerror}).",
            expected="a readable folder",
            fix="change its permissions, or use another folder.",
        ) from error
