"""Files are looked at and remembered: a look always gives the truth, whatever becomes of the memo."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

from tlkit.data import file_index
from tlkit.data.file_index import FileIndex

CONTENTS = [b"P6 1 1 255\n" + bytes([number] * 3) for number in range(4)]
file_index.RACY_SECONDS = 0.0


def list_files(folder: Path) -> list[Path]:
    """Make the files outside the folder whose changes count."""
    photos = folder.parent / "photos"
    photos.mkdir(exist_ok=True)
    paths = [photos / f"{number}.ppm" for number in range(len(CONTENTS))]
    for path, content in zip(paths, CONTENTS, strict=True):
        if not path.exists():
            path.write_bytes(content)
    return paths


def prepare(folder: Path) -> None:
    FileIndex(folder).look(list_files(folder)[:2])


def act(folder: Path) -> None:
    assert [facts.reason for facts in FileIndex(folder).look(list_files(folder))] == [None] * len(CONTENTS)


def check(folder: Path) -> None:
    found = [facts.sha256 for facts in FileIndex(folder).look(list_files(folder))]
    assert found == [sha256(content).hexdigest() for content in CONTENTS]
