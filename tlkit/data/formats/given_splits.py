"""Find splits given by lists, by folders above the images, or by the names of annotation files."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePath

from tlkit.data.boxes import Annotation
from tlkit.data.formats.candidates import Candidates, find_split
from tlkit.errors import DataError

# Words for the content of a folder, which do not name a split or class.
# fmt: off
_NEUTRAL = frozenset({
    "annot", "annotation", "annotations", "annots", "bbox", "bboxes", "box", "boxes", "coco", "darknet", "data",
    "dataset", "image", "images", "img", "imgs", "instances", "jpegimages", "jpg", "label", "labels", "photo", "photos",
    "pic", "pics", "picture", "pictures", "png", "set", "split", "voc", "xml", "xmls", "yolo",
})
# fmt: on
_COMPOUND = re.compile(r"(train|training|valid|validation|val|dev|test|testing)(set|data|images|imgs|labels|split)")


def find_split_in_name(name: str) -> str | None:
    """Return the split in a folder or file name, alone or with neutral words such as `images`; None if none.

    Numbers are ignored, as in `val2017`. A name with another word, such as `test_drive`, is not a split.
    """
    words = [word for word in re.findall(r"[^\W\d_]+", PurePath(name).name.lower()) if word not in _NEUTRAL]
    if len(words) != 1:
        return None
    if words[0] == "trainval":
        return "train"
    compound = _COMPOUND.fullmatch(words[0])
    return find_split(compound[1] if compound else words[0])


def is_neutral(name: str) -> bool:
    """Return whether a folder's name only says that it contains images or annotations."""
    words = re.findall(r"[^\W\d_]+", name.lower())
    return bool(words) and all(word in _NEUTRAL for word in words)


def find_splits_in_path(path: PurePath) -> list[str]:
    """Return the distinct splits that the folders of a relative path name; the file name is ignored."""
    return list(dict.fromkeys(split for part in path.parts[:-1] if (split := find_split_in_name(part))))


_NO_ANNOTATIONS: Mapping[Path, Annotation] = {}
_NO_CLASSES: Mapping[Path, str] = {}


@dataclass(frozen=True)
class GivenSplits:
    """The split of each image, or None, by its path; and notices about contradictions."""

    splits: Mapping[Path, str | None]
    notices: tuple[str, ...] = ()


def find_given_splits(
    paths: Iterable[Path],
    *,
    root: Path,
    annotations: Mapping[Path, Annotation] = _NO_ANNOTATIONS,
    source: Path | None = None,
    classes: Mapping[Path, str] = _NO_CLASSES,
) -> GivenSplits:
    """Return the splits of images.

    A split comes, in this order, from lists in the annotations (`data.yaml`, `ImageSets`), from a folder above the
    image (`train/images`, `images/train`), or from the folder or name of the annotation file (`labels/train`,
    `instances_train.json`).

    Args:
        paths: The images.
        root: The data's folder, absolute; folders above it are ignored.
        annotations: By absolute image path.
        source: Path of the annotations; absolute.
        classes: Known classes of the images; a folder named like an image's class is not a split.

    Raises:
        DataError: The folders of an image name several splits.
    """
    paths = list(paths)
    by_list = {path: annotations[path].split if path in annotations else None for path in paths}
    by_folder = {path: _find_split_of_folders(path, root, classes.get(path, "")) for path in paths}
    by_source = {path: _find_split_of_source(annotations.get(path), source) for path in paths}
    if len(set(by_source.values())) == 1:  # one name for all images is not a split
        by_source = dict.fromkeys(paths)
    splits = {path: by_list[path] or by_folder[path] or by_source[path] for path in paths}
    return GivenSplits(splits, (*_count_splits(splits), *_describe_torn(splits, by_folder)))


def give_splits(
    found: Candidates, *, annotations: Mapping[Path, Annotation] = _NO_ANNOTATIONS, source: Path | None = None
) -> Candidates:
    """Add splits from paths or annotations to candidates without splits, if every candidate gets one.

    Raises:
        DataError: The folders of an image name several splits.
    """
    if any(item.split for item in found.items):
        return found
    classes = {item.path: item.answer or "" for item in found.items}
    given = find_given_splits(classes, root=found.root, annotations=annotations, source=source, classes=classes)
    missing = [path for path, split in given.splits.items() if not split]
    if not missing and len(set(given.splits.values())) > 1:
        items = tuple(replace(item, split=given.splits[item.path]) for item in found.items)
        return replace(found, items=items, notices=(*found.notices, *given.notices))
    if len(missing) == len(given.splits) or not missing:
        return found
    notice = (
        f"Paths or annotations give a split for only {len(given.splits) - len(missing):,} of {len(given.splits):,} "
        f"images, so it is not used; without one, e.g. {missing[0]}."
    )
    return replace(found, notices=(*found.notices, notice))


def _find_split_of_folders(path: Path, root: Path, class_name: str) -> str | None:
    parts = path.relative_to(root).parts if path.is_relative_to(root) else ()
    splits = find_splits_in_path(PurePath(*(part for part in parts if part != class_name)))
    if len(splits) > 1:
        raise DataError(
            f"{path}: its folders name both the {splits[0]} and the {splits[1]} split.",
            expected="folders that name at most one split",
            fix="move the image, or rename one of the folders.",
        )
    return splits[0] if splits else None


def _find_split_of_source(annotation: Annotation | None, source: Path | None) -> str | None:
    """Return the split that the path of an annotation gives, starting at the user's path."""
    file = annotation.source if annotation else None
    if file is None or source is None or not file.is_relative_to(source.parent):
        return None
    path = file.relative_to(source.parent)
    by_folder = next(iter(find_splits_in_path(path)), None)
    has_own_name = path.suffix.lower() in (".xml", ".txt")  # named after the image
    return by_folder if by_folder or has_own_name else find_split_in_name(path.stem)


def _count_splits(splits: Mapping[Path, str | None]) -> Iterator[str]:
    counts = Counter(split for split in splits.values() if split)
    if counts:
        found = ", ".join(f"{counts[split]:,} {split}" for split in ("train", "validation", "test") if counts[split])
        yield f"The splits come from the data: {found}."


def _describe_torn(splits: Mapping[Path, str | None], by_folder: Mapping[Path, str | None]) -> Iterator[str]:
    torn = [path for path, split in by_folder.items() if split and split != splits[path]]
    if torn:
        yield (
            f"{len(torn):,} × image whose folder and list in the annotations give different splits; the list is used, "
            f"e.g. {torn[0]} ({splits[torn[0]]})."
        )
