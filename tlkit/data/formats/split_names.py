"""Splits that the names of folders and files give away: `train`, `val2017`, `test_images`, `instances_valid.json`."""

from __future__ import annotations

import re
from pathlib import PurePath

from tlkit.data.formats.candidates import find_split

# Words that say what lies in a folder, not what it is for.
# fmt: off
_NEUTRAL = frozenset({
    "annot", "annotation", "annotations", "annots", "bbox", "bboxes", "box", "boxes", "coco", "darknet", "data",
    "dataset", "image", "images", "img", "imgs", "instances", "jpegimages", "jpg", "label", "labels", "photo", "photos",
    "pic", "pics", "picture", "pictures", "png", "set", "split", "voc", "xml", "xmls", "yolo",
})
# fmt: on
_COMPOUND = re.compile(r"(train|training|valid|validation|val|dev|test|testing)(set|data|images|imgs|labels|split)")


def find_split_in_name(name: str) -> str | None:
    """Return the split that a folder's or a file's name means by itself or among words such as `images`; None if none.

    Numbers count for nothing, as in `val2017`. A name with a word of its own, such as `test_drive`, means no split.
    """
    words = [word for word in re.findall(r"[^\W\d_]+", PurePath(name).name.lower()) if word not in _NEUTRAL]
    if len(words) != 1:
        return None
    if words[0] == "trainval":
        return "train"
    compound = _COMPOUND.fullmatch(words[0])
    return find_split(compound[1] if compound else words[0])


def is_neutral(name: str) -> bool:
    """Tell whether a folder's name says nothing but that pictures or their annotations lie in it."""
    words = re.findall(r"[^\W\d_]+", name.lower())
    return bool(words) and all(word in _NEUTRAL for word in words)


def find_splits_in_path(path: PurePath) -> list[str]:
    """Return the splits that the folders of a relative path mean, each once; the file's own name counts for nothing."""
    return list(dict.fromkeys(split for part in path.parts[:-1] if (split := find_split_in_name(part))))
