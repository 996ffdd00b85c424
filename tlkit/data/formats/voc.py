"""Read boxes from PASCAL VOC: a folder of XML files, one per image, with optional split lists in `ImageSets`.

By definition, VOC counts pixels from one and a box includes its last pixel. Most tools, such as labelImg, count from
zero, and a file does not say which. So nothing is subtracted, and every box is correct to within a pixel.

An XML file belongs to the image of the same name. Its `<filename>` is the image's name at annotation time, which goes
stale when files are renamed; it is used only to distinguish images of the same name, and when no image has the XML
file's name.
"""

from __future__ import annotations

import codecs
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePath
from xml.etree import ElementTree

from tlkit.data.boxes import DIFFICULT, Annotation, BoxLabel, Complaint, FindImage, parse_numbers, parse_size
from tlkit.data.formats.candidates import find_split
from tlkit.data.signatures import IMAGE_SUFFIXES
from tlkit.data.sources import walk_files
from tlkit.errors import DataError
from tlkit.files import read_regular_file
from tlkit.outputs import normalize_name

MAX_XML_BYTES = 4 * 2**20
MAX_LIST_BYTES = 16 * 2**20
OTHER_IMAGE = "XML file whose <filename> names another image; the XML file's name is used"
STALE_NAME = "XML file whose <filename> names no image; the XML file's name is used"
BORROWED_IMAGE = (
    "XML file without an image of the same name, whose <filename> names the image of another XML file; skipped"
)
SHARED_NAME = "XML file without an image of the same name, whose <filename> is also in other XML files; skipped"
_CORNERS = ("xmin", "ymin", "xmax", "ymax")
# Encodings that tools use; unlike UTF-7 or EBCDIC, none of them can disguise an ASCII character.
_ENCODINGS = re.compile(
    r"us-ascii|ascii|iso-8859-\d+|latin-?1|(windows-|cp)125\d|koi8-r|gb2312|gbk|gb18030|big5|euc-kr|euc-jp|shift[_-]jis"
)
_FLAGGED = re.compile(r"(.*\S)\s+(?:-1|0|1)")
_DECLARATION = re.compile(rb"""<\?xml[^>]{0,200}?\sencoding\s*=\s*["']([\w.-]{1,40})["']""")


class _UnusableXml(Exception):  # noqa: N818 - it names the file's condition
    """A file that is not an annotation; the message says why."""


@dataclass(frozen=True)
class _XmlFile:
    """An XML file: its path, the images that match its name and its `<filename>`, and its content."""

    path: Path
    own: tuple[Path, ...]
    named: tuple[Path, ...]
    root: ElementTree.Element

    @property
    def has_foreign_name(self) -> bool:
        """Whether `<filename>` differs from the file's own name."""
        name = PurePath(_text(self.root, "filename").replace("\\", "/"))
        return bool(name.name) and self.path.stem not in (name.name, name.stem)

    def find_image(self) -> list[Path]:
        """Return the image of the same name, several if it is ambiguous, or none."""
        both = [path for path in self.own if path in self.named]
        return both if len(self.own) > 1 and len(both) == 1 else list(self.own)


def read_voc(folder: Path, find_image: FindImage) -> Iterator[Annotation | Complaint]:
    """Yield annotations from the XML files at any depth of a folder, sorted; files matched by `<filename>` come last.

    Args:
        folder: Absolute.
        find_image: Called with a file's name, and with its `<filename>`.
    """
    splits = _read_image_sets(folder)
    borrowers: defaultdict[Path, list[_XmlFile]] = defaultdict(list)
    owned: set[Path] = set()
    for xml in _open_files(folder, find_image):
        if isinstance(xml, Complaint):
            yield xml
            continue
        images = xml.find_image()
        if len(images) == 1:
            owned.add(images[0])
            if xml.has_foreign_name:
                yield Complaint(OTHER_IMAGE if xml.named and xml.named != xml.own else STALE_NAME, xml.path)
            yield from _read_objects(xml, images[0], splits)
        elif not images and len(xml.named) == 1:
            borrowers[xml.named[0]].append(xml)
        else:
            what = "ambiguous" if images or xml.named else "missing"
            yield Complaint(f"XML file whose image is {what}; skipped", xml.path)
    for image, files in borrowers.items():
        if image in owned or len({xml.path.stem for xml in files}) > 1:
            yield from (Complaint(BORROWED_IMAGE if image in owned else SHARED_NAME, xml.path) for xml in files)
        else:
            for xml in files:
                yield from _read_objects(xml, image, splits)


def _open_files(folder: Path, find_image: FindImage) -> Iterator[_XmlFile | Complaint]:
    for file in walk_files(folder):
        is_wanted = file.path.suffix.lower() == ".xml"
        if file.problem is not None and (is_wanted or file.path.is_dir()):
            yield Complaint(f"{file.problem}; skipped", file.path)
        elif is_wanted:
            try:
                yield _open_file(file.path, file.path.parent.relative_to(folder), find_image)
            except _UnusableXml as error:
                yield Complaint(f"XML file that {error}; skipped", file.path)


def _open_file(path: Path, under: PurePath, find_image: FindImage) -> _XmlFile:
    root = _read_xml(path)
    own = find_image(path.stem, beside=[path.parent], under=under, any_suffix=True)
    name, folder = _text(root, "filename"), _text(root, "folder")
    named = find_image(name, beside=[path.parent], under=under)
    if len(named) > 1 and folder:
        named = find_image(f"{folder}/{name}", beside=[path.parent], under=under)
    return _XmlFile(path, tuple(own), tuple(named), root)


def _read_objects(xml: _XmlFile, image: Path, splits: dict[str, str]) -> Iterator[Annotation | Complaint]:
    boxes = []
    for element in xml.root.iterfind("object"):
        box = _parse_object(element)
        if isinstance(box, BoxLabel):
            boxes.append(box)
        else:
            yield Complaint(box, xml.path)
    size = parse_size(xml.root.findtext("size/width"), xml.root.findtext("size/height"))
    yield Annotation(image, size, tuple(boxes), source=xml.path, split=_find_split_of(xml.path, splits))


def _parse_object(element: ElementTree.Element) -> BoxLabel | str:
    """Return an object's box, or what is wrong with it."""
    box = element.find("bndbox")
    if box is None:
        return "object without a box; skipped"
    corners = parse_numbers(box.findtext(name) for name in _CORNERS)
    if corners is None:
        return "box whose corners are not numbers; skipped"
    left, top, right, bottom = corners
    mark = DIFFICULT if _text(element, "difficult").lower() in ("1", "true") else ""
    return BoxLabel(left, top, right, bottom, normalize_name(_text(element, "name")), mark)


def _text(element: ElementTree.Element, name: str) -> str:
    return element.findtext(name, "").strip()


def _read_image_sets(folder: Path) -> dict[str, str]:
    """Return the splits from the lists in `ImageSets`, inside or beside the folder, by the listed image names.

    A name may contain spaces and folders; its suffix is removed. A list of one class (`cat_train.txt`) is ignored, and
    `trainval.txt` gives only what neither of its parts lists.
    """
    places = [folder / "ImageSets", folder.parent / "ImageSets", *sorted(folder.glob("*/ImageSets"))]
    lists = [path for place in places for pattern in ("*.txt", "Main/*.txt") for path in sorted(place.glob(pattern))]
    splits: dict[str, str] = {}
    for path in sorted(filter(Path.is_file, lists), key=lambda path: path.stem == "trainval"):
        split = "train" if path.stem == "trainval" else find_split(path.stem)
        if split:
            for name in _read_image_names(path):
                splits.setdefault(name, split)
    return splits


def _read_image_names(path: Path) -> list[str]:
    """Return the names in a list, without VOC's flag for whether the image shows the class."""
    lines = [line.strip() for line in _read_lines(path) if line.strip()]
    flagged = [_FLAGGED.fullmatch(line) for line in lines]
    names = [match[1] for match in flagged if match]
    paths = [PurePath(name.replace("\\", "/")) for name in (names if len(names) == len(lines) else lines)]
    return [str(path.with_suffix("") if path.suffix.lower() in IMAGE_SUFFIXES else path) for path in paths]


def _find_split_of(path: Path, splits: dict[str, str]) -> str | None:
    """Return the split of an image, by the longest listed tail of its path without suffix."""
    parts = path.with_suffix("").parts
    return next(filter(None, (splits.get(str(PurePath(*parts[start:]))) for start in range(len(parts)))), None)


def _read_lines(path: Path) -> list[str]:
    try:
        return read_regular_file(path, max_bytes=MAX_LIST_BYTES).decode("utf-8", "replace").splitlines()
    except OSError as error:
        raise DataError(
            f"{path}: the split list cannot be read: {error.strerror}.",
            expected=f"a text file of at most {MAX_LIST_BYTES:,} bytes, with one image per line",
            fix="fix the file, or move it out of ImageSets.",
        ) from error


def _read_xml(path: Path) -> ElementTree.Element:
    """Return the root of an XML file; refuse one that is hostile, damaged or something else.

    Only a DOCTYPE can declare entities, which let a small file expand or read other files. It is searched for in the
    decoded text that is also given to the parser, so that no encoding can hide it.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MAX_XML_BYTES + 1)
    except OSError as error:
        raise _UnusableXml(f"cannot be read ({error.strerror})") from error
    if len(content) > MAX_XML_BYTES:
        raise _UnusableXml(f"is larger than {MAX_XML_BYTES // 2**20} MiB")
    text = _decode(content)
    if "<!DOCTYPE" in text:
        raise _UnusableXml("has a DOCTYPE")
    try:
        root = ElementTree.fromstring(text)  # noqa: S314 - no DOCTYPE, no entities
    except (ElementTree.ParseError, ValueError) as error:
        raise _UnusableXml("is damaged") from error
    if root.tag != "annotation":
        raise _UnusableXml("is not a PASCAL VOC annotation")
    return root


def _decode(content: bytes) -> str:
    """Decode UTF-8, UTF-16 or the declared encoding, if it is a known one."""
    declared = _DECLARATION.match(content)
    encoding = declared[1].decode("ascii").lower() if declared else ""
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        encoding = "utf-16"
    elif not _ENCODINGS.fullmatch(encoding):
        encoding = "utf-8-sig"
    try:
        return content.decode(encoding)
    except (UnicodeDecodeError, LookupError) as error:
        name = "UTF-8" if encoding == "utf-8-sig" else encoding.upper()
        raise _UnusableXml(f"is not in {name}") from error
