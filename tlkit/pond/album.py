"""Write the pond's pictures into a folder, once, and never over a file that is not the pond's own.

The folder's `pond.json` lists every file with its sha256. It is written before the first picture, without hashes, so
that an interrupted drawing can be told from a stranger's folder; and again when all is done. A file that is there already
must be the one that would be written.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from tlkit.errors import DataError
from tlkit.files import PARTIAL_PATTERN, read_json, written_aside
from tlkit.pond.picture import Box, draw_picture
from tlkit.pond.plan import NUM_NEW_PHOTOS, PHOTOS_PER_KIND, POND_VERSION, PlannedPhoto, plan_photos

MARKER = "pond.json"
TABLE = "photos.csv"
BROKEN = PurePosixPath("new-photos", "catch-9999-torn.jpg")
COLUMNS = (
    "image", "class_name", "split", "x_min", "y_min", "x_max", "y_max", "boat", "hour", "camera_width", "camera_height"
)  # fmt: skip


@dataclass(frozen=True)
class Pond:
    """Where the pictures lie, and how many were drawn now or were there already."""

    folder: Path
    num_drawn: int
    num_reused: int

    @property
    def photos(self) -> Path:
        """Return the folder of labelled pictures, by split and class."""
        return self.folder / "photos"

    @property
    def table(self) -> Path:
        """Return the table of labelled pictures with boxes, boats, hours and cameras."""
        return self.folder / TABLE

    @property
    def new_photos(self) -> Path:
        """Return the folder of pictures without labels, one of them torn."""
        return self.folder / "new-photos"


def draw_pond(
    folder: Path,
    *,
    photos_per_kind: Mapping[str, int] = PHOTOS_PER_KIND,
    num_new: int = NUM_NEW_PHOTOS,
    seed: int = 0,
    advance: Callable[[int], None] = lambda count: None,
) -> Pond:
    """Draw the pond's pictures, or find them drawn.

    Args:
        folder: Where `photos/`, `photos.csv`, `new-photos/` and `pond.json` go; made if need be.
        photos_per_kind: For each split, how many pictures of every kind of fish.
        num_new: How many pictures without labels, besides a torn file.
        seed: The same seed gives the same pictures.
        advance: Is told of every picture finished.

    Returns:
        What is in the folder now.

    Raises:
        DataError: The folder holds something else, another pond, or a picture that was changed or added.
    """
    photos = plan_photos(dict(photos_per_kind), num_new, seed=seed)
    plan = {"pond_version": POND_VERSION, "seed": seed, "photos_per_kind": dict(photos_per_kind), "num_new": num_new}
    known = _read_marker(folder, plan)
    paths = {str(photo.path) for photo in photos} | {str(BROKEN)}
    _check_strangers(folder, paths)
    if known and _is_complete(folder, known):
        advance(len(photos))
        return Pond(folder, 0, len(photos))

    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / MARKER).exists():
        _replace(folder / MARKER, _marker_bytes(plan, {}))
    hashes: dict[str, str] = {}
    rows: list[tuple[PlannedPhoto, Box]] = []
    num_drawn = 0
    for photo in photos:
        content, box = _encode_photo(photo, seed)
        num_drawn += _write_own(folder, str(photo.path), content, hashes)
        rows.append((photo, box))
        advance(1)
    _write_own(folder, str(BROKEN), content[: len(content) // 3], hashes)
    _write_own(folder, TABLE, _table_bytes(rows), hashes)
    _replace(folder / MARKER, _marker_bytes(plan, hashes))
    return Pond(folder, num_drawn, len(photos) - num_drawn)


def _read_marker(folder: Path, plan: Mapping[str, object]) -> dict[str, str]:
    if not folder.exists():
        return {}
    if not folder.is_dir():
        raise _in_the_way(folder, "is a file")
    if not (folder / MARKER).is_file():
        others = [entry.name for entry in folder.iterdir() if not entry.match(PARTIAL_PATTERN)]
        if others and not (folder / MARKER).is_file():  # another demo may have written it by now
            raise _in_the_way(folder, f"holds other files ({min(others)})")
        return {}
    try:
        marker = read_json(folder / MARKER)
        drawn = {key: marker[key] for key in plan}
        files = {str(path): str(sha256) for path, sha256 in marker["files"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise _in_the_way(folder, f"has a {MARKER} that is not this demo's") from None
    if drawn != plan:
        raise _in_the_way(folder, "holds a pond that was drawn otherwise (another tlkit, seed or number of pictures)")
    return files


def _check_strangers(folder: Path, paths: set[str]) -> None:
    for part in ("photos", "new-photos"):
        for found in sorted((folder / part).rglob("*")):
            name = found.relative_to(folder).as_posix()
            if found.is_file() and name not in paths and not found.match(PARTIAL_PATTERN):
                raise _in_the_way(folder, f"holds a file that the demo did not draw ({name})")


def _is_complete(folder: Path, known: Mapping[str, str]) -> bool:
    complete = True
    for name, sha256 in known.items():
        if not (folder / name).is_file():
            complete = False
        elif _hash((folder / name).read_bytes()) != sha256:
            raise _in_the_way(folder, f"holds a picture or table that was changed ({name})")
    return complete


def _in_the_way(folder: Path, found: str) -> DataError:
    return DataError(
        f"{folder} {found}.",
        expected="a new or empty folder, or one in which only `tlkit demo` has drawn its pictures",
        fix="name another folder: tlkit demo OTHER-FOLDER",
    )


def _encode_photo(photo: PlannedPhoto, seed: int) -> tuple[bytes, Box]:
    picture, box = draw_picture(photo.kind, size=photo.boat.camera, hour=photo.hour, random=photo.start_random(seed))
    content = io.BytesIO()
    picture.save(content, format="JPEG", quality=92, subsampling=0)
    return content.getvalue(), box


def _table_bytes(rows: list[tuple[PlannedPhoto, Box]]) -> bytes:
    text = io.StringIO(newline="")
    table = csv.writer(text, lineterminator="\n")
    table.writerow(COLUMNS)
    for photo, box in rows:
        if photo.split != "new":
            where = (box.x_min, box.y_min, box.x_max, box.y_max)
            table.writerow(
                (photo.path, photo.kind.name, photo.split, *where, photo.boat.name, photo.hour, *photo.boat.camera)
            )
    return text.getvalue().encode("utf-8")


def _marker_bytes(plan: Mapping[str, object], hashes: Mapping[str, str]) -> bytes:
    about = "Drawn by `tlkit demo`: this folder may be deleted."
    return (json.dumps({"about": about, **plan, "files": dict(hashes)}, indent=1) + "\n").encode("utf-8")


def _write_own(folder: Path, name: str, content: bytes, hashes: dict[str, str]) -> bool:
    hashes[name] = _hash(content)
    path = folder / name
    if not path.exists():
        _replace(path, content)
        return True
    if path.read_bytes() != content:
        raise _in_the_way(folder, f"holds a picture or table that was changed ({name})")
    return False


def _replace(path: Path, content: bytes) -> None:
    with written_aside(path, is_flushed=False) as file:
        file.write(content)


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
