"""The file index: a second look costs one stat, and never tells an old tale."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from PIL import Image

from tlkit.data import file_index
from tlkit.data.file_index import FileFacts, FileIndex
from tlkit.data.images import LOADER_VERSION, UnusableImage, read_content


@pytest.fixture(autouse=True)
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files made just now count as settled, or each test would wait two seconds."""
    monkeypatch.setattr(file_index, "RACY_SECONDS", 0.0)


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the files that were opened."""
    names: list[str] = []

    def read_and_note(path: Path) -> bytes:
        names.append(path.name)
        return read_content(path)

    monkeypatch.setattr(file_index, "read_content", read_and_note)
    return names


@pytest.fixture
def photos(tmp_path: Path, make_image: Callable[..., Image.Image]) -> list[Path]:
    folder = tmp_path / "photos"
    folder.mkdir()
    for index in range(3):
        make_image("red", index).save(folder / f"{index}.png")
    (folder / "3.png").write_bytes(b"")
    return sorted(folder.iterdir())


def test_facts_come_in_the_order_asked_for(tmp_path: Path, photos: list[Path]) -> None:
    counts: list[int] = []
    missing = tmp_path / "gone.png"
    asked = [photos[3], missing, photos[0], photos[2], photos[0]]
    facts = FileIndex(tmp_path).look(asked, advance=counts.append)
    assert [fact.path for fact in facts] == asked
    assert facts[0] == FileFacts(
        photos[3], "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", 0, 0, 1, "empty file"
    )
    assert facts[1] == FileFacts(missing, "", 0, 0, 1, "no such file")
    assert (facts[2].width, facts[2].height, facts[2].reason) == (40, 32, None)
    assert len(facts[2].sha256) == 64
    assert sum(counts) == 5


def test_a_second_look_opens_no_file(tmp_path: Path, photos: list[Path], reads: list[str]) -> None:
    first = FileIndex(tmp_path / "cache").look(photos)
    assert sorted(reads) == ["0.png", "1.png", "2.png", "3.png"]
    reads.clear()
    counts: list[int] = []
    assert FileIndex(tmp_path / "cache").look(photos, advance=counts.append) == first
    assert reads == []
    assert sum(counts) == 4


def test_a_path_written_otherwise_is_the_same_file(
    tmp_path: Path, photos: list[Path], reads: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    FileIndex(tmp_path).look(photos)
    reads.clear()
    monkeypatch.chdir(tmp_path)
    relative = Path("photos/../photos/0.png")
    assert FileIndex(tmp_path).look([relative])[0].path == relative
    assert reads == []


def test_a_changed_file_is_looked_at_again(tmp_path: Path, photos: list[Path], reads: list[str]) -> None:
    before = FileIndex(tmp_path).look(photos)
    reads.clear()
    time.sleep(0.02)
    photos[1].write_bytes(photos[0].read_bytes())
    after = FileIndex(tmp_path).look(photos)
    assert reads == ["1.png"]
    assert after[1].sha256 == before[0].sha256 != before[1].sha256


def test_a_change_that_keeps_size_and_time_is_noticed(tmp_path: Path, reads: list[str]) -> None:
    path = tmp_path / "photo.ppm"
    path.write_bytes(b"P6 1 1 255\nabc")
    os.utime(path, (1e9, 1e9))
    before = FileIndex(tmp_path).look([path])[0]
    time.sleep(0.02)
    path.write_bytes(b"P6 1 1 255\nxyz")
    os.utime(path, (1e9, 1e9))
    after = FileIndex(tmp_path).look([path])[0]
    assert before.reason is after.reason is None
    assert before.sha256 != after.sha256
    assert len(reads) == 2


def test_a_file_touched_just_now_is_not_remembered(
    tmp_path: Path, photos: list[Path], reads: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_index, "RACY_SECONDS", 3600.0)
    for _ in range(2):
        FileIndex(tmp_path).look(photos)
    assert len(reads) == 8


def test_another_loader_looks_again(
    tmp_path: Path, photos: list[Path], reads: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    FileIndex(tmp_path).look(photos)
    monkeypatch.setattr(file_index, "LOADER_VERSION", LOADER_VERSION + 1)
    FileIndex(tmp_path).look(photos)
    FileIndex(tmp_path).look(photos)
    assert len(reads) == 8


def test_what_does_not_follow_from_the_bytes_is_not_remembered(
    tmp_path: Path, photos: list[Path], reads: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(content: bytes, **how: object) -> None:
        try:
            raise MemoryError
        except MemoryError as error:
            raise UnusableImage("more pixels than memory can hold") from error

    with monkeypatch.context() as patch:
        patch.setattr(file_index, "decode_image", fail)
        assert FileIndex(tmp_path).look(photos[:1])[0].reason == "more pixels than memory can hold"
    assert FileIndex(tmp_path).look(photos[:1])[0].reason is None
    assert len(reads) == 2


def test_names_that_are_not_utf_8_are_remembered(tmp_path: Path, photos: list[Path], reads: list[str]) -> None:
    odd = photos[0].rename(photos[0].with_name(os.fsdecode(b"caf\xe9.png")))
    for _ in range(2):
        assert FileIndex(tmp_path).look([odd])[0].reason is None
    assert len(reads) == 1


@pytest.mark.parametrize("damage", ["garbage", "cut", "overwritten", "other schema"])
def test_a_broken_index_is_rebuilt(tmp_path: Path, photos: list[Path], reads: list[str], damage: str) -> None:
    whole = FileIndex(tmp_path).look(photos)
    path = tmp_path / "files.sqlite"
    content = path.read_bytes()
    if damage == "garbage":
        path.write_bytes(b"this is no database" * 1000)
    elif damage == "cut":
        path.write_bytes(content[: len(content) // 2])
    elif damage == "overwritten":
        path.write_bytes(content[:4096] + b"\xff" * (len(content) - 4096))
    else:
        path.unlink()
        connection = sqlite3.connect(path)
        connection.execute("CREATE TABLE files (name TEXT)")
        connection.close()
    for _ in range(3):
        assert FileIndex(tmp_path).look(photos) == whole
    reads.clear()
    assert FileIndex(tmp_path).look(photos) == whole
    assert reads == []


def look_afresh(tmp_path: Path, photos: list[Path]) -> list[FileFacts]:
    return FileIndex(tmp_path / "another").look(photos)


def test_whichever_byte_of_the_index_is_altered_the_files_win(tmp_path: Path, photos: list[Path]) -> None:
    expected = look_afresh(tmp_path, photos)
    FileIndex(tmp_path).look(photos)
    path = tmp_path / "files.sqlite"
    content = path.read_bytes()
    used = [place for place, byte in enumerate(content) if byte]
    for place in [*used[:: len(used) // 60], *range(0, len(content), len(content) // 20)]:
        altered = bytearray(content)
        altered[place] ^= 1 << place % 8
        path.write_bytes(altered)
        assert FileIndex(tmp_path).look(photos) == expected, place
        assert FileIndex(tmp_path).look(photos) == expected, place


def alter(path: Path, statement: str) -> None:
    connection = sqlite3.connect(path)
    connection.executescript(statement)
    connection.close()


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE files SET entry = (SELECT entry FROM files ORDER BY path LIMIT 1)",
        "UPDATE files SET entry = NULL",
        "UPDATE files SET entry = 'text'",
        "UPDATE files SET entry = x'00'",
        "DROP TABLE files",
        "DROP TABLE files; CREATE TABLE files (path TEXT)",
        "DROP TABLE files; CREATE VIEW files AS SELECT x'00' AS path, 1 AS entry",
        "CREATE TRIGGER t BEFORE INSERT ON files BEGIN SELECT RAISE(ABORT, 'no'); END",
    ],
)
def test_what_somebody_else_has_written_is_not_believed(tmp_path: Path, photos: list[Path], statement: str) -> None:
    expected = look_afresh(tmp_path, photos)
    FileIndex(tmp_path).look(photos)
    with contextlib.suppress(sqlite3.IntegrityError):
        alter(tmp_path / "files.sqlite", statement)
    for _ in range(3):
        assert FileIndex(tmp_path).look(photos) == expected


def test_an_index_that_another_process_holds_is_done_without_and_kept(
    tmp_path: Path, photos: list[Path], monkeypatch: pytest.MonkeyPatch, reads: list[str]
) -> None:
    monkeypatch.setattr(file_index, "_LONGEST_WAIT_SECONDS", 0.05)
    FileIndex(tmp_path).look(photos[:2])
    other = sqlite3.connect(tmp_path / "files.sqlite", isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    assert FileIndex(tmp_path).look(photos) == look_afresh(tmp_path, photos)
    other.execute("ROLLBACK")
    other.close()
    reads.clear()
    FileIndex(tmp_path).look(photos)
    assert sorted(reads) == ["2.png", "3.png"]


def test_a_folder_in_the_place_of_the_index_is_done_without(tmp_path: Path, photos: list[Path]) -> None:
    (tmp_path / "files.sqlite").mkdir()
    assert FileIndex(tmp_path).look(photos) == look_afresh(tmp_path, photos)


def test_without_a_place_for_the_index_files_are_looked_at_afresh(
    tmp_path: Path, photos: list[Path], reads: list[str]
) -> None:
    (tmp_path / "taken").write_text("a file")
    for _ in range(2):
        assert FileIndex(tmp_path / "taken").look(photos)[0].width == 40
    assert len(reads) == 8


def test_several_looks_at_once_agree(tmp_path: Path, photos: list[Path]) -> None:
    with ThreadPoolExecutor(6) as pool:
        results = list(pool.map(lambda _: FileIndex(tmp_path).look(photos), range(12)))
    assert all(result == results[0] for result in results)


def test_more_files_than_a_chunk_are_all_found(
    tmp_path: Path, photos: list[Path], reads: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_index, "_CHUNK", 2)
    first = FileIndex(tmp_path).look(photos)
    assert [fact.path for fact in first] == photos
    assert FileIndex(tmp_path).look(photos) == first
    assert len(reads) == 4


def test_what_was_found_before_an_interruption_is_remembered(
    tmp_path: Path, photos: list[Path], reads: list[str]
) -> None:
    def interrupt(count: int) -> None:
        if count and len(reads) >= 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        FileIndex(tmp_path).look(photos, advance=interrupt)
    reads.clear()
    FileIndex(tmp_path).look(photos)
    assert len(reads) <= 3
