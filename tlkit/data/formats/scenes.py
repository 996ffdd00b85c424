"""Read the images whose objects are learnt: those with annotations, and others as background."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

from tlkit.data.boxes import Annotation
from tlkit.data.formats.annotated import count_outside
from tlkit.data.formats.candidates import Candidate, Candidates
from tlkit.data.formats.companions import MASK, is_mask_folder
from tlkit.data.formats.given_splits import find_given_splits, is_neutral
from tlkit.data.formats.layout import find_layout, holds_images
from tlkit.data.manifest import SkippedFile
from tlkit.data.signatures import looks_like_image
from tlkit.data.sources import walk_files

NOT_LISTED = "no annotation names it"


def read_scenes(
    root: Path, annotations: Mapping[Path, Annotation], *, source: Path, others: Collection[Path], are_background: bool
) -> Candidates:
    """Return the images below a folder, without answers yet.

    If some images have a split, images without one are skipped. An image without an annotation has the split of its
    folder, or else the one that the annotations give to all other images of its folder.

    Args:
        root: The data's folder.
        annotations: By absolute image path.
        source: Path of the annotations; absolute.
        others: Images below the folder without an annotation.
        are_background: Whether these have no objects; otherwise they are skipped.

    Raises:
        DataError: The folders of an image name several splits.
    """
    root = Path(os.path.abspath(root))  # noqa: PTH100 - takes ".." away, which Path.absolute does not
    inside = {path: item for path, item in sorted(annotations.items()) if path.is_relative_to(root)}
    skipped = [SkippedFile(path, MASK) for path in others if is_mask_folder(path.parent.name)]
    others = [path for path in others if not is_mask_folder(path.parent.name)]
    if not are_background:
        skipped += (SkippedFile(path, NOT_LISTED) for path in others)
        others = []
    completed = {**inside, **_annotate_background(others, inside)}
    given = find_given_splits(completed, root=root, annotations=completed, source=source)
    has_splits = any(given.splits.values())
    items = [Candidate(path, None, split) for path, split in given.splits.items() if split or not has_splits]
    skipped += [
        SkippedFile(path, "not in any split") for path, split in given.splits.items() if has_splits and not split
    ]
    used = {item.path for item in items}
    notices = (
        *given.notices,
        *_describe_background([path for path in others if path in used], root),
        *count_outside(annotations, root),
    )
    return Candidates(root, tuple(items), tuple(skipped), notices)


def list_images(root: Path, *, without: Collection[Path]) -> list[Path]:
    """Return the images at any depth of a folder, sorted, except some of them; all paths absolute."""
    root = Path(os.path.abspath(root))  # noqa: PTH100 - as above
    files = (file.path for file in walk_files(root) if file.problem is None)
    return sorted(path for path in files if path not in without and looks_like_image(path))


def name_class_folders(root: Path) -> list[str]:
    """Return the names of the folders that could be classes, if those of the boxes were not used."""
    layout = find_layout(root)
    folders = [folder for image_root in layout.image_roots for folder in image_root.listing.folders]
    return sorted({each.name for each in folders if not is_neutral(each.name) and holds_images(each)})


def _annotate_background(images: Iterable[Path], annotations: Mapping[Path, Annotation]) -> Mapping[Path, Annotation]:
    """Return annotations without boxes, with the split and the source of the other images in the folder."""
    by_folder: dict[Path, list[Annotation]] = {}
    for path, item in annotations.items():
        by_folder.setdefault(path.parent, []).append(item)
    found = {}
    for path in images:
        beside = by_folder.get(path.parent, [])
        splits = {item.split for item in beside}
        split = next(iter(splits)) if len(splits) == 1 else None
        found[path] = Annotation(path, None, (), source=beside[0].source if beside else None, split=split)
    return found


def _describe_background(images: Collection[Path], root: Path) -> Iterable[str]:
    if images:
        yield (
            f"{len(images):,} × image without annotation, used as background, in which nothing is to be found; if they are "
            f"only not annotated yet, move them out of {root}, e.g. {min(images)}."
        )
