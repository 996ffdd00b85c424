"""Read boxes in any of four formats, PASCAL VOC, COCO, YOLO or a table, as one annotation per image."""

from __future__ import annotations

import os
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path, PurePath

from tlkit.data.boxes import Annotation, BoxLabel, Complaint, FindImage
from tlkit.data.formats.box_columns import read_box_tables
from tlkit.data.formats.coco import read_coco
from tlkit.data.formats.companions import COCO, TABLE, VOC, YOLO, recognize_annotation
from tlkit.data.formats.table_file import TABLE_SUFFIXES
from tlkit.data.formats.voc import read_voc
from tlkit.data.formats.yolo import YAML_SUFFIXES, is_label_file, read_yolo
from tlkit.data.signatures import IMAGE_SUFFIXES
from tlkit.data.sources import walk_files
from tlkit.errors import DataError

_READERS: Mapping[str, Callable[[Path, FindImage], Iterator[Annotation | Complaint]]] = {
    "PASCAL VOC": read_voc,
    "COCO": read_coco,
    "YOLO": read_yolo,
    "table": read_box_tables,
}
REPEATED = "box identical to an earlier one; skipped"
_Files = Mapping[str, Sequence[Path]]


@dataclass(frozen=True)
class FoundBoxes:
    """The result of a reader.

    Args:
        format_name: PASCAL VOC, COCO, YOLO or table.
        annotations: One per image, in a fixed order; their boxes are not checked yet.
        complaints: What was fixed or skipped.
        remarks: Decisions about how to read the files, one sentence each.
    """

    format_name: str
    annotations: tuple[Annotation, ...]
    complaints: tuple[Complaint, ...]
    remarks: tuple[str, ...] = ()


def read_boxes(path: Path, *, image_folder: Path) -> FoundBoxes:
    """Read the annotations at a path, in whichever format they are.

    Args:
        path: A folder of XML files (PASCAL VOC), a `.json` file or a folder of them (COCO), a folder of text files or a
            `data.yaml` (YOLO), or a `.csv`, `.tsv` or `.parquet` file (table).
        image_folder: Folder of the images, at any depth; images may also be where the annotations say.

    Raises:
        DataError: The path does not exist, is in no known format, is damaged, or has no annotation of an image.
    """
    path, image_folder = (Path(os.path.abspath(each)) for each in (path, image_folder))  # noqa: PTH100 - takes ".." away
    format_name, remarks = _recognize(path)
    reader = _READERS[format_name]
    annotations, complaints = _merge(reader(path, ImageFinder(image_folder).find))
    if not annotations:
        counts = Counter(complaint.kind for complaint in complaints)
        reasons = "; ".join(f"{number:,} × {kind}" for kind, number in counts.most_common())
        example = f" ({reasons}; e.g. {complaints[0].path})" if complaints else ""
        raise DataError(
            f"{path}: read as {format_name}, it has no annotations of images in {image_folder}{example}.",
            expected="annotations of images in that folder",
            fix="check that the annotations and the images belong together.",
        )
    names = {box.class_name for item in annotations for box in item.boxes}
    if format_name == "YOLO" and names and all(map(str.isdecimal, names)):
        remarks = (
            *remarks,
            f"{path.name} has no class names (data.yaml or classes.txt); classes are named by number.",
        )
    return FoundBoxes(format_name, annotations, complaints, remarks)


class ImageFinder:
    """Finds the images that annotations name.

    An image inside the image folder takes precedence over one outside. The folder is walked only once an image is not
    where its annotation says.

    Args:
        folder: The image folder, absolute.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._listings: dict[Path, _Files] = {}

    def find(
        self, name: str, *, beside: Sequence[Path], under: PurePath | str = "", any_suffix: bool = False
    ) -> list[Path]:
        """Return the matching images; see `FindImage`."""
        name = name.replace("\\", "/")
        if not PurePath(name).name:
            return []
        places = [place / name for place in (*beside, self._folder / under, self._folder)]
        direct = [found for place in places if (found := self._look(Path(os.path.normpath(place)), any_suffix))]
        inside = [found for found in direct if found[0].is_relative_to(self._folder)]
        return next(iter(inside), None) or self._search(PurePath(under, name), any_suffix) or next(iter(direct), [])

    def _look(self, path: Path, any_suffix: bool) -> list[Path]:
        """Return the file at a path, or the files at it with any image suffix."""
        if path.parent not in self._listings:
            self._listings[path.parent] = _index(_list_files(path.parent))
        return _prefer_exact(self._listings[path.parent].get(_key(path, any_suffix), ()), path, any_suffix)

    def _search(self, searched: PurePath, any_suffix: bool) -> list[Path]:
        """Return the files in the folder that share the most trailing parts with the requested path."""
        candidates = _prefer_exact(self._everything.get(_key(searched, any_suffix), ()), searched, any_suffix)
        for start in range(len(searched.parts)):
            parents = searched.parts[start:-1]
            found = [path for path in candidates if _fold(path.parts[-1 - len(parents) : -1]) == _fold(parents)]
            if found:
                return found
        return []

    @cached_property
    def _everything(self) -> _Files:
        return _index(file.path for file in walk_files(self._folder) if file.problem is None)


def _list_files(folder: Path) -> list[Path]:
    try:
        with os.scandir(folder) as scan:
            return [folder / entry.name for entry in sorted(scan, key=lambda entry: entry.name) if entry.is_file()]
    except (OSError, ValueError):  # a name in an annotation can be any text
        return []


def _index(files: Iterable[Path]) -> _Files:
    """Index files by name, and images also by their name without suffix."""
    index: defaultdict[str, list[Path]] = defaultdict(list)
    for path in files:
        index[_key(path, any_suffix=False)].append(path)
        if path.suffix.lower() in IMAGE_SUFFIXES:
            index[_key(path.with_suffix(""), any_suffix=True)].append(path)
    return index


def _key(path: PurePath, any_suffix: bool) -> str:
    return _fold([path.name])[0] + "/*" * any_suffix  # no file name contains a slash


def _fold(names: Sequence[str]) -> list[str]:
    """Normalize names: Unicode form differs between macOS and Linux, and Windows ignores case."""
    return [unicodedata.normalize("NFC", name).casefold() for name in names]


def _prefer_exact(files: Sequence[Path], searched: PurePath, any_suffix: bool) -> list[Path]:
    """Return the files whose spelling matches exactly, including case; all of them if none does."""
    name = unicodedata.normalize("NFC", searched.name)
    exact = [path for path in files if unicodedata.normalize("NFC", path.stem if any_suffix else path.name) == name]
    return exact or list(files)


def _recognize(path: Path) -> tuple[str, tuple[str, ...]]:
    """Return the format of a path, and a remark if a folder has several."""
    suffix = path.suffix.lower()
    if path.is_dir():
        return _recognize_folder(path)
    if path.is_file() and suffix in TABLE_SUFFIXES:
        return "table", ()
    if path.is_file() and suffix in (".json", *YAML_SUFFIXES):
        return ("COCO" if suffix == ".json" else "YOLO"), ()
    raise _fail(path, "not in a box format that tlkit reads" if path.exists() else "no such file or folder")


def _recognize_folder(folder: Path) -> tuple[str, tuple[str, ...]]:
    """Return the format of a folder's files, and a remark if there are several: XML, JSON, tables, text."""
    kinds: Counter[str | None] = Counter()
    suffixes = set()
    for file in walk_files(folder):
        suffix = file.path.suffix.lower()
        if suffix in (".xml", ".json", ".csv", ".tsv") or is_label_file(file.path):
            suffixes.add(suffix)
            kinds[recognize_annotation(file.path) if file.problem is None else None] += 1
    formats = (("PASCAL VOC", VOC), ("COCO", COCO), ("table", TABLE), ("YOLO", YOLO))
    found = {name: kinds[kind] for name, kind in formats if kinds[kind]}
    if len(found) > 1 and found.get("PASCAL VOC", 0) < found.get("YOLO", 0):
        found.pop("PASCAL VOC", None)  # a stray file among many
    if found:
        name, *others = found
        remark = f"{folder} has {' and '.join(found)} annotations; only {name} is read."
        return name, (remark,) if others else ()
    if suffixes & {".xml", ".txt"}:
        return "PASCAL VOC" if ".xml" in suffixes else "YOLO", ()
    raise _fail(folder, "the folder has no annotations as XML, JSON, text files or tables")


def _fail(path: Path, found: str) -> DataError:
    return DataError(
        f"{path}: {found}.",
        expected="a folder of .xml files (PASCAL VOC), .json files (COCO) or .txt files (YOLO), a .json file, a data.yaml, "
        f"or a table ({', '.join(TABLE_SUFFIXES)})",
        fix="use the folder or the file with the boxes.",
    )


def _merge(findings: Iterable[Annotation | Complaint]) -> tuple[tuple[Annotation, ...], tuple[Complaint, ...]]:
    """Return one annotation per image, without repeated boxes, and the complaints."""
    first: dict[Path, Annotation] = {}
    boxes: defaultdict[Path, dict[BoxLabel, None]] = defaultdict(dict)
    complaints: list[Complaint] = []
    for finding in findings:
        if isinstance(finding, Complaint):
            complaints.append(finding)
            continue
        image = finding.image
        earlier = first.setdefault(image, finding)
        if (earlier.size, earlier.in_fractions) != (finding.size, finding.in_fractions):
            complaints.append(Complaint("image annotated again with another size; the later boxes are skipped", image))
            continue
        if earlier is not finding:
            complaints.append(Complaint("image annotated more than once; boxes merged", image))
        num_boxes = len(boxes[image]) + len(finding.boxes)
        boxes[image].update(dict.fromkeys(finding.boxes))
        num_repeated = num_boxes - len(boxes[image])
        complaints += [Complaint(REPEATED, image)] * num_repeated
    return tuple(replace(item, boxes=tuple(boxes[image])) for image, item in first.items()), tuple(complaints)
