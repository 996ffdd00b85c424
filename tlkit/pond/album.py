"""Write the pond's images to a folder, without overwriting other files.

`pond.json` lists every file with its sha256. It is written before the first image, without hashes, to recognise an
interrupted run, and again at the end. Existing files must be identical to those that would be written.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from tlkit.errors import DataError
from tlkit.files import PARTIAL_PATTERN, format_csv_row, read_json, written_aside
from tlkit.pond.picture import draw_picture
from tlkit.pond.plan import NUM_NEW_PHOTOS, PHOTOS_PER_KIND, POND_VERSION, plan_photos
from tlkit.pond.shoal import SHOAL_VERSION, SIZE, draw_shoals, encode_picture, write_coco
from tlkit.pond.untidy import FOLDER, UntidyPhoto, plan_untidy

MARKER = "pond.json"
TABLE = "photos.csv"
SHOALS = PurePosixPath("shoals")
NEAR = (0.2, 0.55)
"""Lengths of the fish in `SHOALS`, which a small network still sees."""
BROKEN = PurePosixPath("new-photos", "catch-9999-torn.jpg")
COLUMNS = (
    "image", "class_name", "split", "x_min", "y_min", "x_max", "y_max", "boat", "hour", "camera_width", "camera_height"
)  # fmt: skip


@dataclass(frozen=True)
class Pond:
    """The folder of the images, the numbers of drawn and reused images, and what is in the untidy folder."""

    folder: Path
    num_drawn: int
    num_reused: int
    untidy: tuple[UntidyPhoto, ...]

    @property
    def photos(self) -> Path:
        """The folder of labelled images, by split and class."""
        return self.folder / "photos"

    @property
    def table(self) -> Path:
        """The table of labelled images with boxes, boats, hours and cameras."""
        return self.folder / TABLE

    @property
    def volunteers(self) -> Path:
        """The folder of training images with wrong labels and copies among them."""
        return self.folder / FOLDER

    def list_mislabelled(self) -> set[str]:
        """Return the paths in `volunteers` of the images in a wrong folder."""
        return {photo.name for photo in self.untidy if photo.is_mislabelled}

    def list_copies(self) -> set[str]:
        """Return the paths in `volunteers` of the changed copies."""
        return {photo.name for photo in self.untidy if photo.change}

    @property
    def shoals(self) -> Path:
        """The folder of images with any number of fish."""
        return self.folder / SHOALS / "photos"

    @property
    def boxes(self) -> Path:
        """The boxes of all fish in `shoals`, as COCO's JSON."""
        return self.folder / SHOALS / "fish.json"

    @property
    def new_photos(self) -> Path:
        """The folder of images without labels, one of them truncated."""
        return self.folder / "new-photos"


def draw_pond(
    folder: Path,
    *,
    photos_per_kind: Mapping[str, int] = PHOTOS_PER_KIND,
    num_new: int = NUM_NEW_PHOTOS,
    num_shoals: int = 0,
    seed: int = 0,
    advance: Callable[[int], None] = lambda count: None,
) -> Pond:
    """Draw the pond's images, reusing existing ones.

    Args:
        folder: Folder for `photos/`, `photos.csv`, `volunteers/`, `new-photos/`, `shoals/` and `pond.json`; created if
            necessary.
        photos_per_kind: Number of images of every kind of fish, for each split.
        num_new: Number of images without labels, without the truncated file.
        num_shoals: Number of images with any number of fish.
        seed: The same seed gives the same images.
        advance: Called with the number of new images.

    Returns:
        The content of the folder.

    Raises:
        DataError: The folder contains other files, another pond, or changed or added images.
    """
    photos = plan_photos(dict(photos_per_kind), num_new, seed=seed)
    plan = {
        "pond_version": [POND_VERSION, SHOAL_VERSION],
        "seed": seed,
        "photos_per_kind": dict(photos_per_kind),
        "num_new": num_new,
        "num_shoals": num_shoals,
    }
    untidy = plan_untidy(photos, seed=seed)
    known = _read_marker(folder, plan)
    shoals = [SHOALS / "fish.json", *(SHOALS / "photos" / f"fish-{place:04}.jpg" for place in range(1, num_shoals + 1))]
    own = (*(photo.path for photo in photos), *(copy.path for copy in untidy), *shoals, BROKEN)
    _check_strangers(folder, {str(path) for path in own})
    num_pictures = len(photos) + num_shoals
    if known and _is_complete(folder, known):
        advance(num_pictures)
        return Pond(folder, 0, num_pictures, untidy)

    if not (folder / MARKER).exists():
        _write_marker(folder, plan, {})
    hashes: dict[str, str] = {}
    rows: list[tuple[object, ...]] = [COLUMNS]
    num_drawn = 0
    for photo in photos:
        boat = photo.boat
        picture, box = draw_picture(photo.kind, size=boat.camera, hour=photo.hour, random=photo.start_random(seed))
        content = io.BytesIO()
        picture.save(content, format="JPEG", quality=92, subsampling=0)
        num_drawn += _write_own(folder, str(photo.path), content.getvalue(), hashes)
        if photo.split != "new":
            rows.append((photo.path, photo.kind.name, photo.split, *box, boat.name, photo.hour, *boat.camera))
        advance(1)
    _write_own(folder, str(BROKEN), content.getvalue()[: len(content.getvalue()) // 3], hashes)
    _write_own(folder, TABLE, "".join(map(format_csv_row, rows)).encode(), hashes)
    for copy in untidy:
        _write_own(folder, str(copy.path), copy.make((folder / copy.source.path).read_bytes()), hashes)
    if num_shoals:
        num_drawn += _draw_shoals(folder, num_shoals, seed, hashes, advance)
    _write_marker(folder, plan, hashes)
    return Pond(folder, num_drawn, num_pictures - num_drawn, untidy)


def _draw_shoals(folder: Path, number: int, seed: int, hashes: dict[str, str], advance: Callable[[int], None]) -> int:
    """Draw the images with any number of fish and write their boxes; return how many images are new."""
    num_drawn, seen = 0, []
    for name, shoal in draw_shoals(number, seed=seed, lengths=NEAR):
        num_drawn += _write_own(folder, str(SHOALS / "photos" / name), encode_picture(shoal.picture), hashes)
        seen.append((name, SIZE, shoal.fish))
        advance(1)
    _write_own(folder, str(SHOALS / "fish.json"), write_coco(seen, class_name="fish").encode(), hashes)
    return num_drawn


def _read_marker(folder: Path, plan: Mapping[str, object]) -> dict[str, str]:
    if not folder.exists():
        return {}
    if not folder.is_dir():
        raise _in_the_way(folder, "is a file")
    if not (folder / MARKER).is_file():
        others = [entry.name for entry in folder.iterdir() if not entry.match(PARTIAL_PATTERN)]
        if others and not (folder / MARKER).is_file():  # another demo may have written it by now
            raise _in_the_way(folder, f"contains other files ({min(others)})")
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
    for part in ("photos", "new-photos", FOLDER, str(SHOALS)):
        for found in sorted((folder / part).rglob("*")):
            name = found.relative_to(folder).as_posix()
            if found.is_file() and name not in paths and not found.match(PARTIAL_PATTERN):
                raise _in_the_way(folder, f"holds a file that the demo did not draw ({name})")


def _is_complete(folder: Path, known: Mapping[str, str]) -> bool:
    there = {name: (folder / name).read_bytes() for name in known if (folder / name).is_file()}
    for name, content in there.items():
        _check_own(folder, name, is_own=_hash(content) == known[name])
    return len(there) == len(known)


def _write_own(folder: Path, name: str, content: bytes, hashes: dict[str, str]) -> bool:
    hashes[name] = _hash(content)
    path = folder / name
    if path.exists():
        _check_own(folder, name, is_own=path.read_bytes() == content)
        return False
    with written_aside(path, is_flushed=False) as file:
        file.write(content)
    return True


def _check_own(folder: Path, name: str, *, is_own: bool) -> None:
    if not is_own:
        raise _in_the_way(folder, f"holds a picture or table that was changed ({name})")


def _in_the_way(folder: Path, found: str) -> DataError:
    return DataError(
        f"{folder} {found}.",
        expected="a new or empty folder, or one in which only `tlkit demo` has drawn its pictures",
        fix="name another folder: tlkit demo OTHER-FOLDER",
    )


def _write_marker(folder: Path, plan: Mapping[str, Any], hashes: Mapping[str, str]) -> None:
    about = "Drawn by `tlkit demo`: this folder may be deleted."
    with written_aside(folder / MARKER, is_flushed=False) as file:
        file.write((json.dumps({"about": about, **plan, "files": dict(hashes)}, indent=1) + "\n").encode())


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
