"""Read a folder of annotated images without class folders: their classes come from their boxes, splits from their paths."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

from tlkit.data.boxes import Annotation
from tlkit.data.file_walk import walk_files
from tlkit.data.formats.candidates import Candidate, Candidates
from tlkit.data.formats.split_names import find_split_in_name, find_splits_in_path
from tlkit.data.manifest import SetAside
from tlkit.data.signatures import looks_like_image
from tlkit.errors import DataError


def read_annotated(root: Path, annotations: Mapping[Path, Annotation], *, source: Path) -> Candidates:
    """Return the annotated images below a folder, their classes left open, and the others as set aside.

    A split comes from the lists among the annotations (`data.yaml`, `ImageSets`), from a folder above the image
    (`train/images`, `images/train`), or from a folder or the name of the annotations (`labels/train`,
    `instances_train.json`), in this order. Where some images have a split, those without one are set aside.

    Args:
        root: The data's folder, absolute.
        annotations: By the image's absolute path.
        source: Where they were read; absolute.

    Raises:
        DataError: The folders of an image name several splits.
    """
    inside = {path: item for path, item in sorted(annotations.items()) if path.is_relative_to(root)}
    by_folder = {path: _find_split(path, root) for path in inside}
    by_source = {path: _find_split_of_source(item, source) for path, item in inside.items()}
    if len(set(by_source.values())) == 1:  # a name that all share divides nothing
        by_source = dict.fromkeys(inside)
    splits = {path: item.split or by_folder[path] or by_source[path] for path, item in inside.items()}
    has_splits = any(splits.values())
    items = [Candidate(path, None, split) for path, split in splits.items() if split or not has_splits]
    set_aside = [SetAside(path, "in none of the splits") for path, split in splits.items() if has_splits and not split]
    set_aside += (SetAside(path, "no annotation names it") for path in _find_images(root) if path not in inside)
    notices = [*_describe_splits(splits, by_folder, inside), *_count_outside(annotations, root)]
    return Candidates(root, tuple(items), tuple(set_aside), tuple(notices))


def _find_split(path: Path, root: Path) -> str | None:
    splits = find_splits_in_path(path.relative_to(root))
    if len(splits) > 1:
        raise DataError(
            f"{path}: its folders name both the {splits[0]} and the {splits[1]} split.",
            expected="folders that name one split at most",
            fix="move the image, or rename one of the folders.",
        )
    return splits[0] if splits else None


def _find_split_of_source(annotation: Annotation, source: Path) -> str | None:
    """Return the split that the path of an image's annotation means, from the name of what the user named on."""
    if annotation.source is None or not annotation.source.is_relative_to(source.parent):
        return None
    path = annotation.source.relative_to(source.parent)
    by_folder = next(iter(find_splits_in_path(path)), None)
    has_own_name = path.suffix.lower() in (".xml", ".txt")  # the image's, that is
    return by_folder if by_folder or has_own_name else find_split_in_name(path.stem)


def _find_images(root: Path) -> Iterator[Path]:
    return (file.path for file in walk_files(root) if file.problem is None and looks_like_image(file.path))


def _describe_splits(
    splits: Mapping[Path, str | None], by_folder: Mapping[Path, str | None], annotations: Mapping[Path, Annotation]
) -> Iterator[str]:
    counts = Counter(split for split in splits.values() if split)
    if counts:
        found = ", ".join(f"{counts[split]:,} {split}" for split in ("train", "validation", "test") if counts[split])
        yield f"The splits are those that the data gives: {found}."
    torn = [path for path, split in by_folder.items() if split and split != splits[path]]
    if torn:
        first = torn[0]
        yield (
            f"{len(torn):,} × image in a folder of another split than the list among the annotations gives; the list "
            f"counts, e.g. {first} ({annotations[first].split})."
        )


def _count_outside(annotations: Mapping[Path, Annotation], root: Path) -> Iterator[str]:
    outside = [path for path in annotations if not path.is_relative_to(root)]
    if outside:
        yield f"{len(outside):,} × annotated image outside {root}; left out, e.g. {min(outside)}."
