"""Read boxes from YOLO: a text file an image, a line a box: class, centre x, centre y, width, height.

The four numbers are fractions of the upright picture, as the tools that train on the format heed the EXIF orientation.
A line with three points or more is an outline and gives the box around it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePath

from tlkit.data.answers import normalize_class_name
from tlkit.data.boxes import Annotation, BoxLabel, Complaint, FindImage, parse_numbers
from tlkit.data.file_walk import walk_files

MAX_TEXT_BYTES = 16 * 2**20
YAML_SUFFIXES = (".yaml", ".yml")
_NAME_FILES = ("data.yaml", "data.yml", "classes.txt")
# One item of a YAML list or mapping in brackets; quotes around a name may hold a comma.
_FLOW_ITEM = re.compile(r"""(?:^|,)\s*((?:["']?\w+["']?\s*:\s*)?(?:"[^"]*"|'(?:[^']|'')*'|[^,"'][^,]*))""")
_CLASS_NUMBER = re.compile(r"[0-9]{1,9}")


def read_yolo(path: Path, find_image: FindImage) -> Iterator[Annotation | Complaint]:
    """Yield what the text files at any depth of a folder say, in sorted order.

    Class names stand in `data.yaml` or `classes.txt` in the folder, in its `labels`, above it or above that. Without them a class is
    called by its number.

    Args:
        path: The folder, or the `.yaml` file in it; absolute.
        find_image: Asked for every text file's name, beside it and in the folder `images` that matches its `labels`.
    """
    is_file = path.suffix.lower() in YAML_SUFFIXES and path.is_file()
    folder = path.parent if is_file else path
    names, complaint = _read_names(path if is_file else _find_names(folder))
    if complaint:
        yield complaint
    for file in walk_files(folder):
        is_wanted = is_label_file(file.path)
        if file.problem is not None and (is_wanted or file.path.is_dir()):
            yield Complaint(f"{file.problem}; left out", file.path)
        elif is_wanted:
            yield from _read_file(file.path, folder, names, find_image)


def is_label_file(path: Path) -> bool:
    """Tell whether a file can hold boxes, going by its name."""
    name = path.name.lower()
    return name.endswith(".txt") and name != "classes.txt" and not name.startswith("readme")


def _read_file(
    path: Path, folder: Path, names: Mapping[int, str] | None, find_image: FindImage
) -> Iterator[Annotation | Complaint]:
    under = PurePath(*(part for part in path.parent.relative_to(folder).parts if part != "labels"))
    images = find_image(path.stem, beside=[_image_folder(path), path.parent], under=under, any_suffix=True)
    if len(images) != 1:
        what = "ambiguous" if images else "not there"
        yield Complaint(f"text file of an image that is {what}; left out", path)
        return
    try:
        lines = _read_text(path).splitlines()
    except (OSError, ValueError):
        yield Complaint("text file that cannot be read as UTF-8; left out", path)
        return
    boxes = []
    for line in lines:
        if line.strip():
            parsed = _parse_line(line.split(), names)
            boxes += [parsed.box] if parsed.box else []
            yield from [Complaint(parsed.complaint, path)] if parsed.complaint else []
    yield Annotation(images[0], None, tuple(boxes), in_fractions=True)


@dataclass(frozen=True)
class _Line:
    """What a line gives: a box, a complaint or both."""

    box: BoxLabel | None
    complaint: str = ""


def _parse_line(words: list[str], names: Mapping[int, str] | None) -> _Line:
    numbers = parse_numbers(words)
    if numbers is None:
        return _Line(None, "line with something that is not a number; left out")
    number, *places = numbers
    if number < 0 or number != int(number):
        return _Line(None, "line that does not begin with the number of a class; left out")
    complaint = ""
    if len(places) == 5:
        complaint = "line with a sixth column, a confidence perhaps; the column left out"
    if len(places) in (4, 5):
        left, right = _compute_edges(places[0], places[2])
        top, bottom = _compute_edges(places[1], places[3])
    elif len(places) >= 6 and len(places) % 2 == 0:
        left, right = min(places[::2]), max(places[::2])
        top, bottom = min(places[1::2]), max(places[1::2])
    else:
        return _Line(None, "line that is neither a box nor an outline; left out")
    class_name = str(int(number)) if names is None else names.get(int(number))
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
    return next((place for place in places if place.is_file()), None)


def _read_names(path: Path | None) -> tuple[dict[int, str] | None, Complaint | None]:
    """Return the class names by their numbers, None if there are none; and what is wrong with their file."""
    if path is None:
        return None, None
    try:
        text = _read_text(path)
    except (OSError, ValueError):
        return None, Complaint("file of class names that cannot be read as UTF-8; classes called by number", path)
    if path.suffix.lower() in YAML_SUFFIXES:
        names = _parse_yaml_names(text)
    else:
        lines = [line.strip() for line in text.splitlines()]
        names = {number: normalize_class_name(line) for number, line in enumerate(lines) if line}
    if names:
        return names, None
    return None, Complaint("file of class names that gives none; classes called by number", path)


def _read_text(path: Path) -> str:
    with path.open("rb") as file:
        content = file.read(MAX_TEXT_BYTES + 1)
    if len(content) > MAX_TEXT_BYTES:
        raise ValueError("larger than 16 MiB")
    return content.decode("utf-8-sig")


def _parse_yaml_names(text: str) -> dict[int, str] | None:
    """Return the `names` of a data.yaml: a list or a mapping, in brackets or one item a line."""
    lines = [re.sub(r"(^|\s)#.*", "", line).rstrip() for line in text.splitlines()]
    start = next((number for number, line in enumerate(lines) if re.match(r"""(["']?)names\1\s*:""", line)), None)
    if start is None:
        return None
    value = lines[start].partition(":")[2].strip()
    if value.startswith(("[", "{")):
        items = [item.strip() for item in _FLOW_ITEM.findall(_take_brackets([value, *lines[start + 1 :]]))]
        items = items if not items or items[-1] else items[:-1]  # a comma may follow the last one
        is_list = value.startswith("[")
    else:
        items = list(_take_block(lines[start + 1 :]))
        is_list = all(item.startswith("-") for item in items)
        items = [item.removeprefix("-").strip() for item in items] if is_list else items
    pairs = [(str(number), item) for number, item in enumerate(items)] if is_list else map(_split_pair, items)
    names = {int(key): normalize_class_name(_unquote(name)) for key, name in pairs if _CLASS_NUMBER.fullmatch(key)}
    return names if len(names) == len(items) else None


def _take_brackets(lines: Iterable[str]) -> str:
    """Return what stands in the brackets that the first line opens, or an empty text if no line closes them."""
    parts = []
    for line in lines:
        parts.append(line.strip())
        if line.endswith(("]", "}")):
            return " ".join(parts)[1:-1]
    return ""


def _take_block(lines: Iterable[str]) -> Iterator[str]:
    """Yield the items, one a line, that belong to the key above."""
    for line in lines:
        if line and not line.startswith((" ", "\t", "-")):
            return
        if line:
            yield line.strip()


def _split_pair(item: str) -> tuple[str, str]:
    key, _, name = item.partition(":")
    return _unquote(key), name


def _unquote(text: str) -> str:
    text = text.strip()
    if len(text) >= 2 and text[0] == text[-1] and text[0] in "\"'":
        return text[1:-1].replace("''", "'") if text[0] == "'" else text[1:-1]
    return text
