"""Parse the parts of YOLO's `data.yaml` that tlkit uses: class names, split paths, and whether there are key points.

Only a small subset of YAML is read: top-level keys with a string, a list or a mapping, in brackets or one item a line.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from tlkit.data.formats.candidates import find_split
from tlkit.data.formats.given_splits import find_split_in_name
from tlkit.outputs import normalize_name

MAX_TEXT_BYTES = 16 * 2**20
SPLIT_KEYS = ("train", "val", "valid", "validation", "test")
# One item of a YAML list or mapping in brackets; a quoted name may contain a comma.
_FLOW_ITEM = re.compile(r"""(?:^|,)\s*((?:["']?\w+["']?\s*:\s*)?(?:"[^"]*"|'(?:[^']|'')*'|[^,"'][^,]*))""")
_CLASS_NUMBER = re.compile(r"[0-9]{1,9}")


@dataclass(frozen=True)
class DataYaml:
    """The content of a `data.yaml`.

    Args:
        names: Class names by number; None if they are missing or unreadable.
        splits: The folders or image lists of each split, as written.
        base: Its `path`, to which they are relative; empty if it has none.
        has_key_points: Whether lines have key points after the box.
    """

    names: Mapping[int, str] | None = None
    splits: Mapping[str, Sequence[str]] = field(default_factory=dict)
    base: str = ""
    has_key_points: bool = False


def parse_data_yaml(text: str) -> DataYaml:
    """Parse the text of a `data.yaml`."""
    lines = [re.sub(r"(^|\s)#.*", "", line).rstrip() for line in text.splitlines()]
    splits: dict[str, list[str]] = {}
    for key in SPLIT_KEYS:
        items, _ = _read_items(lines, key)
        texts = [_unquote(item) for item in items]
        splits.setdefault(find_split(key) or key, []).extend(text for text in texts if text not in ("", "null", "~"))
    base, _ = _read_items(lines, "path")
    has_key_points = bool(_read_items(lines, "kpt_shape")[0])
    given = {split: entries for split, entries in splits.items() if entries}
    return DataYaml(_parse_names(lines), given, _unquote(base[0]) if len(base) == 1 else "", has_key_points)


def find_entry(entry: str, *, folder: Path, base: str) -> Path | None:
    """Return the folder or list that a `data.yaml` entry refers to; None if it does not exist.

    The file often comes from another machine or is relative to a subfolder, as in `../train/images` for `train/images`.
    So paths below the folder are tried first, with as many trailing parts of the entry as exist.
    """
    entry, base = entry.replace("\\", "/"), base.replace("\\", "/")
    literal = [Path(os.path.normpath(folder / base / entry)), Path(os.path.normpath(folder / entry))]
    parts = [part for part in PurePosixPath(entry).parts if part not in ("/", "..")]
    named = list(filter(None, map(find_split_in_name, parts)))
    tails = [parts[start:] for start in range(len(parts))]
    shortened = [folder.joinpath(*tail) for tail in tails if [*filter(None, map(find_split_in_name, tail))] == named]
    inside = [path for path in (*literal, *shortened) if path.is_relative_to(folder)]
    return next((path for path in (*inside, *literal) if _exists(path)), None)


def read_text(path: Path) -> str:
    """Return a file's text.

    Raises:
        OSError: It cannot be read.
        ValueError: It is too large, or not UTF-8.
    """
    with path.open("rb") as file:
        content = file.read(MAX_TEXT_BYTES + 1)
    if len(content) > MAX_TEXT_BYTES:
        raise ValueError("larger than 16 MiB")
    return content.decode("utf-8-sig")


def _exists(path: Path) -> bool:
    """Return whether the path is a folder or a regular file, not a pipe or a device."""
    try:
        return path.is_dir() or path.is_file()
    except (OSError, ValueError):  # an entry can be any text
        return False


def _parse_names(lines: Sequence[str]) -> dict[int, str] | None:
    items, is_list = _read_items(lines, "names")
    pairs = [(str(number), item) for number, item in enumerate(items)] if is_list else map(_split_pair, items)
    names = {int(key): normalize_name(_unquote(name)) for key, name in pairs if _CLASS_NUMBER.fullmatch(key)}
    return names if items and len(names) == len(items) else None


def _read_items(lines: Sequence[str], key: str) -> tuple[list[str], bool]:
    """Return the items of a key, or its single string, and whether it is a list."""
    pattern = re.compile(rf"""(["']?){key}\1\s*:(?=\s|$)""")
    start = next((number for number, line in enumerate(lines) if pattern.match(line)), None)
    if start is None:
        return [], False
    value = lines[start].partition(":")[2].strip()
    if value.startswith(("[", "{")):
        items = [item.strip() for item in _FLOW_ITEM.findall(_take_brackets([value, *lines[start + 1 :]]))]
        return (items if not items or items[-1] else items[:-1]), value.startswith("[")  # a trailing comma is allowed
    if value:
        return [value], False
    items = list(_take_block(lines[start + 1 :]))
    is_list = bool(items) and all(item.startswith("-") for item in items)
    return [item.removeprefix("-").strip() for item in items] if is_list else items, is_list


def _take_brackets(lines: Iterable[str]) -> str:
    """Return the text inside the brackets that the first line opens; empty if they are not closed."""
    parts = []
    for line in lines:
        parts.append(line.strip())
        if line.endswith(("]", "}")):
            return " ".join(parts)[1:-1]
    return ""


def _take_block(lines: Iterable[str]) -> Iterator[str]:
    """Yield the items of the key above, one per line."""
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
