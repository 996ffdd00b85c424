"""Recognize splits in folder and file names: `train`, `val2017`, `test_images`, `instances_valid.json`."""

from __future__ import annotations

import re
from pathlib import PurePath

from tlkit.data.formats.candidates import find_split

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
