"""Read a folder of annotated images without class folders; the classes come from the boxes."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from tlkit.data.boxes import Annotation
from tlkit.data.formats.candidates import Candidate, Candidates
from tlkit.data.formats.companions import MASK, is_mask_folder
from tlkit.data.formats.given_splits import find_given_splits
from tlkit.data.manifest import SkippedFile
from tlkit.data.signatures import looks_like_image
from tlkit.data.sources import walk_files


def read_annotated(root: Path, annotations: Mapping[Path, Annotation], *, source: Path) -> Candidates:
    """Return the annotated images below a folder, without classes yet, and the other images as skipped.

    If some images have a split, images without one are skipped.

    Args:
        root: The data's folder.
        annotations: By absolute image path.
        source: Path of the annotations; absolute.

    Raises:
        DataError: The folders of an image name several splits.
    """
    root = Path(os.path.abspath(root))  # noqa: PTH100 - takes ".." away, which Path.absolute does not
    inside = {path: item for path, item in sorted(annotations.items()) if path.is_relative_to(root)}
    given = find_given_splits(inside, root=root, annotations=annotations, source=source)
    has_splits = any(given.splits.values())
    items = [Candidate(path, None, split) for path, split in given.splits.items() if split or not has_splits]
    skipped = [
        SkippedFile(path, "not in any split") for path, split in given.splits.items() if has_splits and not split
    ]
    skipped += (
        SkippedFile(path, MASK if is_mask_folder(path.parent.name) else "no annotation names it")
        for path in _find_images(root)
        if path not in inside
    )
    return Candidates(root, tuple(items), tuple(skipped), (*given.notices, *count_outside(annotations, root)))


def _find_images(root: Path) -> Iterator[Path]:
    return (file.path for file in walk_files(root) if file.problem is None and looks_like_image(file.path))


def count_outside(annotations: Mapping[Path, Annotation], root: Path) -> Iterator[str]:
    """Yield a notice of annotated images that are not below the data's folder."""
    outside = [path for path in annotations if not path.is_relative_to(root)]
    if outside:
        yield f"{len(outside):,} × annotated image outside {root}; skipped, e.g. {min(outside)}."
