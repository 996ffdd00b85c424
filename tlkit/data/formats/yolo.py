"""Read boxes from YOLO: a text file an image, a line a box: class, centre x, centre y, width, height.

The four numbers are fractions of the upright picture, as the tools that train on the format heed the EXIF orientation.
A line with three points or more is an outline and gives the box around it. Splits are those of the `data.yaml`, or of
lists of images beside the labels (`train.txt`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePath

from tlkit.data.boxes import Annotation, BoxLabel, Complaint, FindImage, parse_numbers
from tlkit.data.file_walk import walk_files
from tlkit.data.formats.candidates import find_split
from tlkit.data.formats.companions import YOLO, recognize_annotation
from tlkit.data.formats.data_yaml import DataYaml, find_entry, parse_data_yaml, read_text
from tlkit.data.manifest import SPLITS
from tlkit.outputs import normalize_name

YAML_SUFFIXES = (".yaml", ".yml")
_NAME_FILES = ("data.yaml", "data.yml", "classes.txt", "obj.names", "_darknet.labels")


@dataclass
class _Splits:
    """What lists and folders give each split.

    Attributes:
        folders: Of each split.
        images: Those in the lists of each split.
        lists: The files of the lists, which hold no boxes.
    """

    folders: dict[str, list[Path]] = field(default_factory=dict)
    images: dict[str, set[Path]] = field(default_factory=dict)
    lists: set[Path] = field(default_factory=set)

    def find(self, image: Path) -> list[str]:
        """Return the splits that an image belongs to, in the order of SPLITS."""
        return [
            split
            for split in SPLITS
            if image in self.images.get(split, ()) or any(map(image.is_relative_to, self.folders.get(split, ())))
        ]

    def unite_equal(self) -> Iterator[tuple[str, str]]:
        """Drop each split that has the same images as an earlier one, and yield both."""
        for number, split in enumerate(SPLITS):
            content = self.folders.get(split), self.images.get(split)
            for earlier in SPLITS[:number]:
                if any(content) and content == (self.folders.get(earlier), self.images.get(earlier)):
                    self.folders.pop(split, None)
                    self.images.pop(split, None)
                    yield earlier, split
                    break


def read_yolo(path: Path, find_image: FindImage) -> Iterator[Annotation | Complaint]:
    """Yield what the text files at any depth of a folder say, in sorted order.

    Class names stand in `data.yaml`, `classes.txt` or one of Darknet's files, in the folder, in its `labels`, above it,
    above that, or in the folders in it. Without them a class is called by its number.

    Args:
        path: The folder, or the `.yaml` file in it; absolute.
        find_image: Asked for every text file's name, beside it and in the folder `images` that matches its `labels`.
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
        yield Complaint(f"list of {later} images that are those of {earlier}; skipped", found or folder)
    for file in walk_files(folder):
        is_wanted = is_label_file(file.path) and file.path not in splits.lists
        if file.problem is not None and (is_wanted or file.path.is_dir()):
            yield Complaint(f"{file.problem}; skipped", file.path)
        elif is_wanted:
            yield from _read_file(file.path, folder, yaml, splits, find_image)


def is_label_file(path: Path) -> bool:
    """Tell whether a file can hold boxes, going by its name."""
    name = path.name.lower()
    return name.endswith(".txt") and name != "classes.txt" and not name.startswith("readme")


def _read_file(
    path: Path, folder: Path, yaml: DataYaml, splits: _Splits, find_image: FindImage
) -> Iterator[Annotation | Complaint]:
    under = PurePath(*(part for part in path.parent.relative_to(folder).parts if part != "labels"))
    images = find_image(path.stem, beside=[_image_folder(path), path.parent], under=under, any_suffix=True)
    if len(images) != 1:
        what = "ambiguous" if images else "not there"
        yield Complaint(f"text file of an image that is {what}; skipped", path)
        return
    try:
        lines = read_text(path).splitlines()
    except (OSError, ValueError):
        yield Complaint("text file that cannot be read as UTF-8; skipped", path)
        return
    boxes = []
    for line in lines:
        if line.strip():
            parsed = _parse_line(line.split(), yaml)
            boxes += [parsed.box] if parsed.box else []
            yield from [Complaint(parsed.complaint, path)] if parsed.complaint else []
    of_image = splits.find(images[0])
    if len(of_image) > 1:
        yield Complaint(f"image listed for {' and '.join(of_image)}; taken for {of_image[-1]}", images[0])
    split = of_image[-1] if of_image else None
    yield Annotation(images[0], None, tuple(boxes), in_fractions=True, shape="centres", source=path, split=split)


@dataclass(frozen=True)
class _Line:
    """What a line gives: a box, a complaint or both."""

    box: BoxLabel | None
    complaint: str = ""


def _parse_line(words: list[str], yaml: DataYaml) -> _Line:
    numbers = parse_numbers(words)
    if numbers is None:
        return _Line(None, "line with something that is not a number; skipped")
    number, *places = numbers
    if number < 0 or number != int(number):
        return _Line(None, "line that does not begin with the number of a class; skipped")
    if yaml.has_key_points:
        places = places[:4]
    complaint = ""
    if len(places) == 5:
        complaint = "line with a sixth column, a confidence perhaps; the column is ignored"
    if len(places) in (4, 5):
        left, right = _compute_edges(places[0], places[2])
        top, bottom = _compute_edges(places[1], places[3])
    elif len(places) >= 6 and len(places) % 2 == 0:
        left, right = min(places[::2]), max(places[::2])
        top, bottom = min(places[1::2]), max(places[1::2])
    else:
        return _Line(None, "line that is neither a box nor an outline; skipped")
    class_name = str(int(number)) if yaml.names is None else yaml.names.get(int(number))
    if class_name is None:
        complaint = complaint or "line with the number of an unknown class; its box has no class"
    return _Line(BoxLabel(left, top, right, bottom, class_name or ""), complaint)


def _compute_edges(centre: float, extent: float) -> tuple[float, float]:
    """Return where a box begins and ends along one axis; a negative extent is an empty one."""
    return centre - max(extent, 0.0) / 2, centre + max(extent, 0.0) / 2


def _image_folder(path: Path) -> Path:
    """Return the folder whose path has `images` where a text file's has `labels`, the last time."""
    parts = list(path.parent.parts)
    if "labels" in parts:
        parts[len(parts) - 1 - parts[::-1].index("labels")] = "images"
    return Path(*parts)


def _find_names(folder: Path) -> Path | None:
    places = (place / name for place in (folder, folder / "labels", *folder.parents[:2]) for name in _NAME_FILES)
    inner = (path for name in _NAME_FILES for depth in ("*", "*/*") for path in sorted(folder.glob(f"{depth}/{name}")))
    return next((place for place in (*places, *inner) if place.is_file()), None)


def _read_names(path: Path | None) -> tuple[DataYaml, Complaint | None]:
    """Return the class names by their numbers and what else a `data.yaml` gives; and what is wrong with the file."""
    if path is None:
        return DataYaml(), None
    try:
        text = read_text(path)
    except (OSError, ValueError):
        return DataYaml(), Complaint("file of class names that cannot be read as UTF-8; classes called by number", path)
    if path.suffix.lower() in YAML_SUFFIXES:
        yaml = parse_data_yaml(text)
    else:
        lines = [line.strip() for line in text.splitlines()]
        yaml = DataYaml({number: normalize_name(line) for number, line in enumerate(lines) if line} or None)
    if yaml.names is not None:
        return yaml, None
    return yaml, Complaint("file of class names that gives none; classes called by number", path)


def _read_splits(
    yaml: DataYaml, yaml_folder: Path, folder: Path, find_image: FindImage
) -> tuple[_Splits, list[Complaint]]:
    """Return the splits that a `data.yaml` or the lists in the folder give, and what is wrong with them."""
    splits, complaints = _Splits(), []
    places = [
        (split, entry, find_entry(entry, folder=yaml_folder, base=yaml.base))
        for split, entries in yaml.splits.items()
        for entry in entries
    ] or [(find_split(path.stem) or "", path.name, path) for path in _find_lists(folder)]
    for split, entry, place in places:
        if place is None:
            complaints.append(Complaint("entry of the data.yaml that is not there; skipped", yaml_folder / entry))
        elif place.is_dir():
            splits.folders.setdefault(split, []).append(place)
        else:
            splits.lists.add(place)
            images, missing = _read_list(place, yaml_folder, find_image)
            splits.images.setdefault(split, set()).update(images)
            complaints += missing
    return splits, complaints


def _find_lists(folder: Path) -> Sequence[Path]:
    """Return the text files beside the labels that are named for a split and hold no boxes."""
    files = sorted(path for path in folder.glob("*.txt") if find_split(path.stem))
    return [path for path in files if path.is_file() and recognize_annotation(path) != YOLO]


def _read_list(path: Path, folder: Path, find_image: FindImage) -> tuple[set[Path], list[Complaint]]:
    """Return the images in a list of paths, and the lines that name none."""
    try:
        lines = [line.strip() for line in read_text(path).splitlines()]
    except (OSError, ValueError):
        return set(), [Complaint("list of images that cannot be read as UTF-8; skipped", path)]
    found: set[Path] = set()
    complaints = []
    for line in filter(None, lines):
        images = find_image(line, beside=[path.parent, folder])
        found.update(images)
        if not images:
            complaints.append(Complaint("line of a list that names no image; skipped", path))
    return found, complaints
