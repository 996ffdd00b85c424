"""Write found objects as PASCAL VOC: an XML file for each image.

Corners are continuous pixels of the upright image, counted from zero, as most tools write them. An object has a `score`
in addition.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePath
from xml.etree import ElementTree

from tlkit.inference.formats.label_folder import LabelFolder, open_label_folder
from tlkit.tasks.predictions import FoundObject, Prediction

_CORNERS = ("xmin", "ymin", "xmax", "ymax")
_NOT_IN_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@contextmanager
def open_voc(folder: Path, *, roots: Sequence[str], warn: Callable[[str], None]) -> Iterator[VocWriter]:
    """Yield a writer for predictions.

    Args:
        folder: The folder, new or empty.
        roots: As for `LabelFolder`.
        warn: Likewise.

    Raises:
        RunError: The folder is in use or cannot be written to.
    """
    with open_label_folder(folder, ".xml", roots=roots, warn=warn) as labels:
        yield VocWriter(labels)


class VocWriter:
    """Writes the file of each image."""

    def __init__(self, labels: LabelFolder) -> None:
        self._labels = labels

    def write(self, prediction: Prediction) -> None:
        """Write the file of one image."""
        if prediction.error or prediction.upright_size is None:
            self._labels.write_error(prediction.path, prediction.error)
            return
        height, width = prediction.upright_size
        path = PurePath(prediction.path)
        root = ElementTree.Element("annotation")
        _add(root, folder=path.parent.name, filename=path.name)
        _add(ElementTree.SubElement(root, "size"), width=width, height=height, depth=3)
        for each in prediction.objects or ():
            _add_object(root, each)
        ElementTree.indent(root)
        self._labels.write(prediction.path, ElementTree.tostring(root, "utf-8", xml_declaration=True) + b"\n")


def _add_object(root: ElementTree.Element, found: FoundObject) -> None:
    element = ElementTree.SubElement(root, "object")
    _add(element, name=found.class_name, pose="Unspecified", truncated=0, difficult=0, score=found.score)
    corners = (round(edge, 2) for edge in found.box)
    _add(ElementTree.SubElement(element, "bndbox"), **dict(zip(_CORNERS, corners, strict=True)))


def _add(parent: ElementTree.Element, **values: object) -> None:
    for name, value in values.items():
        ElementTree.SubElement(parent, name).text = _NOT_IN_XML.sub("\N{REPLACEMENT CHARACTER}", str(value))
