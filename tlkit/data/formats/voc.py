"""Read boxes from PASCAL VOC: a folder of XML files, one an image.

By its definition, VOC counts pixels from one and a box includes its last pixel. Most tools that write the format
(labelImg the foremost) count from zero, and nothing in a file tells which it was. So nothing is subtracted: a box of
either kind is right to within a pixel.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from pathlib import Path, PurePath
from xml.etree import ElementTree

from tlkit.data.answers import normalize_class_name
from tlkit.data.boxes import Annotation, BoxLabel, Complaint, FindImage, parse_numbers, parse_size
from tlkit.data.file_walk import walk_files

MAX_XML_BYTES = 4 * 2**20
_CORNERS = ("xmin", "ymin", "xmax", "ymax")


class _UnusableXml(Exception):  # noqa: N818 - it names the file's condition
    """A file that is no annotation; the text says why."""


def read_voc(folder: Path, find_image: FindImage) -> Iterator[Annotation | Complaint]:
    """Yield what the XML files at any depth of a folder say, in sorted order.

    Args:
        folder: Absolute.
        find_image: Asked for a file's `<filename>` and, if there is no such image, for the file's own name.
    """
    for file in walk_files(folder):
        is_wanted = file.path.suffix.lower() == ".xml"
        if file.problem is not None and (is_wanted or file.path.is_dir()):
            yield Complaint(f"{file.problem}; left out", file.path)
        elif is_wanted:
            yield from _read_file(file.path, file.path.parent.relative_to(folder), find_image)


def _read_file(path: Path, under: PurePath, find_image: FindImage) -> Iterator[Annotation | Complaint]:
    try:
        root = _read_xml(path)
    except _UnusableXml as error:
        yield Complaint(f"XML file that {error}; left out", path)
        return
    name = root.findtext("filename", "").strip()
    images = find_image(name, beside=[path.parent], under=under)
    images = images or find_image(path.stem, beside=[path.parent], under=under, any_suffix=True)
    if len(images) != 1:
        yield Complaint("XML file of an image that is " + ("ambiguous" if images else "not there") + "; left out", path)
        return
    boxes = []
    for element in root.iterfind("object"):
        box = _parse_object(element)
        if isinstance(box, BoxLabel):
            boxes.append(box)
        else:
            yield Complaint(box, path)
    size = parse_size(root.findtext("size/width"), root.findtext("size/height"))
    yield Annotation(images[0], size, tuple(boxes))


def _parse_object(element: ElementTree.Element) -> BoxLabel | str:
    """Return an object's box, or what is wrong with it."""
    box = element.find("bndbox")
    if box is None:
        return "object without a box; left out"
    corners = parse_numbers(box.findtext(name) for name in _CORNERS)
    if corners is None:
        return "box whose corners are not numbers; left out"
    left, top, right, bottom = corners
    return BoxLabel(left, top, right, bottom, normalize_class_name(element.findtext("name", "").strip()))


def _read_xml(path: Path) -> ElementTree.Element:
    """Return the root of an XML file, unless it is hostile, broken or something else.

    Only a DOCTYPE can declare entities, the means by which a small file swells up or reads other files. It is looked
    for in decoded text, and the parser gets that same text, so that no encoding can hide it.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MAX_XML_BYTES + 1)
    except OSError as error:
        raise _UnusableXml(f"cannot be read ({error.strerror})") from error
    if len(content) > MAX_XML_BYTES:
        raise _UnusableXml(f"is larger than {MAX_XML_BYTES // 2**20} MiB")
    is_utf16 = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        text = content.decode("utf-16" if is_utf16 else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise _UnusableXml("is not in UTF-8") from error
    if "<!DOCTYPE" in text:
        raise _UnusableXml("has a DOCTYPE")
    try:
        root = ElementTree.fromstring(text)  # noqa: S314 - no DOCTYPE, no entities
    except (ElementTree.ParseError, ValueError) as error:
        raise _UnusableXml("is broken") from error
    if root.tag != "annotation":
        raise _UnusableXml("is no PASCAL VOC annotation")
    return root
