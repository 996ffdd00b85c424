"""Read boxes from YOLO: one text file per image, one line per box: class, centre x, centre y, width, height.

The four numbers are fractions of the upright image, because tools that train on the format apply the EXIF orientation.
A line with three or more points is a polygon, and its bounding box is used. Splits come from the `data.yaml`, or from
image lists beside the labels (`train.txt`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePath

from tlkit.data.boxes import Annotation, BoxLabel, Complaint, FindImage, parse_numbers
from tlkit.data.formats.candidates import find_split
from tlkit.data.formats.companions import YOLO, recognize_annotation
from tlkit.data.formats.data_yaml import DataYaml, find_entry, parse_data_yaml, read_text
from tlkit.data.manifest import SPLITS
from tlkit.data.sources import walk_files
from tlkit.outputs import normalize_name

YAML_SUFFIXES = (".yaml", ".yml")
_NAME_FILES = ("data.yaml", "data.yml", "classes.txt", "obj.names", "_darknet.labels")


@dataclass
class _Splits:
    """The images of each split, as given by lists and folders.

    Attributes:
        folders: The folders of each split.
        images: The listed images of each split.
        lists: The list files, which contain no boxes.
    """

    folders: dict[str, list[Path]] = field(default_factory=dict)
    images: dict[str, set[Path]] = field(default_factory=dict)
    lists: set[Path] = field(default_factory=set)

    def find(self, image: Path) -> list[str]:
        """Return an image's splits, in the order of SPLITS."""
        return [
            split
            for split in SPLITS
            if image in self.images.get(split, ()) or any(map(image.is_relative_to, self.folders.get(split, ())))
        ]

    def unite_equal(self) -> Iterator[tuple[str, str]]:
        """Drop each split with the same images as an earlier one, and yield both names."""
        for number, split in enumerate(SPLITS):
            content = self.folders.get(split), self.images.get(split)
            for earlier in SPLITS[:number]:
                if any(content) and content == (self.folders.get(earlier), self.images.get(earlier)):
                    self.folders.pop(split, None)
                    self.images.pop(split, None)
                    yield earlier, split
                    break


def read_yolo(path: Path, find_image: FindImage) -> Iterator[Annotation | Complaint]:
    """Yield annotations from the text files at any depth of a folder, sorted.

    Class names come from `data.yaml`, `classes.txt` or one of Darknet's files, in the folder, its `labels`, its two
    parents or its subfolders. Without them, classes are named by number.

    Args:
        path: The folder, or the `.yaml` file in it; absolute.
        find_image: Called with every text file's name, for its own folder and the `images` folder matching its
            `labels`.
    """
    is_file = path.suffix.lower() in YAML_SUFFIXES and path.is_file()
    folder = path.parent if is_file else path
    found = path if is_file else _find_names(folder)
    yaml, complaint = _read_names(found)
    if complaint:
        yield complaint
    splits, complaints = _read_splits(yaml, found.parent if found else folder, folder, find_image)
    yield from complaints
    for earlier, later in splits.unite_equal():
        yield Complaint(f"list of {later} images identical to {earlier}; skipped", found or folder)
    for file in walk_files(folder):
        is_wanted = is_label_file(file.path) and file.path not in splits.lists
        if file.problem is not None and (is_wanted or file.path.is_dir()):
            yield Complaint(f"{file.problem}; skipped", file.path)
        elif is_wanted:
            yield from _read_file(file.path, folder, yaml, splits, find_image)


def is_label_file(path: Path) -> bool:
    """Return whether a file can contain boxes, by its name."""
    name = path.name.lower()
    return name.endswith(".txt") and name != "classes.txt" and not name.startswith("readme")


def _read_file(
    path: Path, folder: Path, yaml: DataYaml, splits: _Splits, find_image: FindImage
) -> Iterator[Annotation | Complaint]:
    under = PurePath(*(part for part in path.parent.relative_to(folder).parts if part != "labels"))
    images = find_image(path.stem, beside=[_image_folder(path), path.parent], under=under, any_suffix=True)
    if len(images) != 1:
        what = "ambiguous" if images else "missing"
        yield Complaint(f"text file whose image is {what}; skipped", path)
        return
    try:
        lines = read_text(path).splitlines()
    except (OSError, ValueError):
        yield Complaint("text file that is not UTF-8; skipped", path)
        return
    boxes = []
    for line in lines:
        if line.strip():
            parsed = _parse_line(line.split(), yaml)
            boxes += [parsed.box] if parsed.box else []
            yield from [Complaint(parsed.complaint, path)] if parsed.complaint else []
    of_image = splits.find(images[0])
    if len(of_image) > 1:
        yield Complaint(f"image listed for {' and '.join(of_image)}; used for {of_image[-1]}", images[0])
    split = of_image[-1] if of_image else None
    yield Annotation(images[0], None, tuple(boxes), in_fractions=True, shape="centres", source=path, split=split)


@dataclass(frozen=True)
class _Line:
    """The result of a line: a box, a complaint or both."""

    box: BoxLabel | None
    complaint: str = ""


def _parse_line(words: list[str], yaml: DataYaml) -> _Line:
    numbers = parse_numbers(words)
    if numbers is None:
        return _Line(None, "line with a value that is not a number; skipped")
    number, *places = numbers
    if number < 0 or number != int(number):
        return _Line(None, "line that does not start with a class number; skipped")
    if yaml.has_key_points:
        places = places[:4]
    complaint = ""
    if len(places) == 5:
        complaint = "line with a sixth column, perhaps a confidence; the column is ignored"
    if len(places) in (4, 5):
        left, right = _compute_edges(places[0], places[2])
        top, bottom = _compute_edges(places[1], places[3])
    elif len(places) >= 6 and len(places) % 2 == 0:
        left, right = min(places[::2]), max(places[::2])
        top, bottom = min(places[1::2]), max(places[1::2])
    else:
        return _Line(None, "line that is neither a box nor a polygon; skipped")
    class_name = str(int(number)) if yaml.names is None else yaml.names.get(int(number))
    if class_name is None:
        complaint = complaint or "line with an unknown class number; its box has no class"
    return _Line(BoxLabel(left, top, right, bottom, class_name or ""), complaint)


def _compute_edges(centre: float, extent: float) -> tuple[float, float]:
    """Return the start and end of a box along one axis; a negative extent is empty."""
    return centre - max(extent, 0.0) / 2, centre + max(extent, 0.0) / 2


def _image_folder(path: Path) -> Path:
    """Return the folder of a text file with the last `labels` in its path replaced by `images`."""
    parts = list(path.parent.parts)
    if "labels" in parts:
        parts[len(parts) - 1 - parts[::-1].index("labels")] = "images"
    return Path(*parts)


def _find_names(folder: Path) -> Path | None:
    places = (place / name for place in (folder, folder / "labels", *folder.parents[:2]) for name in _NAME_FILES)
    inner = (path for name in _NAME_FILES for depth in ("*", "*/*") for path in sorted(folder.glob(f"{depth}/{name}")))
    return next((place for place in (*places, *inner) if place.is_file()), None)


def _read_names(path: Path | None) -> tuple[DataYaml, Complaint | None]:
    """Return the content of a `data.yaml` or a file of class names, and what is wrong with it."""
    if path is None:
        return DataYaml(), None
    try:
        text = read_text(path)
    except (OSError, ValueError):
        return DataYaml(), Complaint("file of class names that is not UTF-8; classes named by number", path)
    if path.suffix.lower() in YAML_SUFFIXES:
        yaml = parse_data_yaml(text)
    else:
        lines = [line.strip() for line in text.splitlines()]
        yaml = DataYaml({number: normalize_name(line) for number, line in enumerate(lines) if line} or None)
    if yaml.names is not None:
        return yaml, None
    return yaml, Complaint("file of class names without any; classes named by number", path)


def _read_splits(
    yaml: DataYaml, yaml_folder: Path, folder: Path, find_image: FindImage
) -> tuple[_Splits, list[Complaint]]:
    """Return the splits from a `data.yaml` or from lists in the folder, and what is wrong with them."""
    splits, complaints = _Splits(), []
    places = [
        (split, entry, find_entry(entry, folder=yaml_folder, base=yaml.base))
        for split, entries in yaml.splits.items()
        for entry in entries
    ] or [(find_split(path.stem) or "", path.name, path) for path in _find_lists(folder)]
    for split, entry, place in places:
        if place is None:
            complaints.append(Complaint("data.yaml entry that does not exist; skipped", yaml_folder / entry))
        elif place.is_dir():
            splits.folders.setdefault(split, []).append(place)
        else:
            splits.lists.add(place)
            images, missing = _read_list(place, yaml_folder, find_image)
            splits.images.setdefault(split, set()).update(images)
            complaints += missing
    return splits, complaints


def _find_lists(folder: Path) -> Sequence[Path]:
    """Return the text files beside the labels that are named like a split and contain no boxes."""
    files = sorted(path for path in folder.glob("*.txt") if find_split(path.stem))
    return [path for path in files if path.is_file() and recognize_annotation(path) != YOLO]


def _read_list(path: Path, folder: Path, find_image: FindImage) -> tuple[set[Path], list[Complaint]]:
    """Return the images in a list of paths, and complaints about lines that match none."""
    try:
        lines = [line.strip() for line in read_text(path).splitlines()]
    except (OSError, ValueError):
        return set(), [Complaint("image list that is not UTF-8; skipped", path)]
    found: set[Path] = set()
    complaints = []
    for line in filter(None, lines):
        images = find_image(line, beside=[path.parent, folder])
        found.update(images)
        if not images:
            complaints.append(Complaint("list entry that matches no image; skipped", path))
    return found, complaints
