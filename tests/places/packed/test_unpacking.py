"""WebDataset tars and Parquet files with image bytes: unpacked once, and nothing outside the folder is written."""

from __future__ import annotations

import csv
import io
import json
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import tlkit
from tests.places.conftest import Heard
from tests.s3_server import S3Server
from tlkit.data.manifest import read_manifest
from tlkit.errors import DataError
from tlkit.places.copies import forget_copies
from tlkit.places.packed import tars, unpacking
from tlkit.places.packed.unpacking import Unpacked, unpack

SMALLEST = ("--backbone", "mnist_cnn", "--weights", "random", "--image-size", 32)
MakeTar = Callable[..., Path]


@pytest.fixture(autouse=True)
def no_copies() -> Iterator[None]:
    yield
    forget_copies()


@pytest.fixture
def draw(make_image: Callable[..., Image.Image]) -> Callable[..., bytes]:
    def encode(class_name: str, number: int) -> bytes:
        content = io.BytesIO()
        make_image(class_name, number).save(content, "PNG")
        return content.getvalue()

    return encode


def write_tar(path: Path, members: dict[str, bytes | str]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as tar:
        for name, content in members.items():
            data = content.encode() if isinstance(content, str) else content
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return path


def unpack_here(value: object, root: Path, heard: Heard) -> Unpacked:
    unpacked = unpack(str(value), root, heard, is_image=lambda ending: ending in {".png", ".jpg"})
    assert isinstance(unpacked, Unpacked)
    return unpacked


def read_table(unpacked: Unpacked) -> list[dict[str, str]]:
    assert unpacked.table is not None
    with unpacked.table.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize(
    ("texts", "row"),
    [
        ({"cls": "3\n"}, {"label": "3"}),
        ({"txt": "red fish"}, {"label": "red fish"}),
        ({"json": '{"label": "red", "width": 40, "nested": {}}'}, {"label": "red", "width": "40"}),
        ({"cls": "1", "json": '{"width": 40}', "txt": "a caption"}, {"label": "1", "width": "40"}),
    ],
)
def test_labels_are_read_beside_the_images(
    tmp_path: Path, heard: Heard, draw: Callable[..., bytes], texts: dict[str, str], row: dict[str, str]
) -> None:
    members: dict[str, bytes | str] = {
        "a/001.png": draw("red", 1),
        **{f"a/001.{ending}": text for ending, text in texts.items()},
    }
    unpacked = unpack_here(write_tar(tmp_path / "photos.tar", members), tmp_path / "cache", heard)
    assert read_table(unpacked) == [{"path": "a/001.png", **row}]
    assert (unpacked.folder / "a" / "001.png").read_bytes() == members["a/001.png"]
    expected = [
        reason
        for ending, reason in (
            ("json", "the JSON value nested, which is no text or number"),
            ("txt", "a text that is no label"),
        )
        if (ending == "json" and "nested" in texts.get("json", "")) or (ending == "txt" and len(texts) == 3)
    ]
    assert [warning.partition(": ")[2].partition(" (1")[0] for warning in heard.warned] == expected


def test_many_tars_become_one_table_and_only_changed_ones_are_unpacked_again(
    tmp_path: Path, heard: Heard, draw: Callable[..., bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    for shard in range(3):
        members = {f"{number:03d}.{end}": draw("red", shard * 10 + number) if end == "png" else str(shard)
                   for number in range(4) for end in ("png", "cls")}  # fmt: skip
        write_tar(tmp_path / f"photos-{shard:03d}.tar", members)
    pattern = tmp_path / "photos-{000..002}.tar"
    first = unpack_here(pattern, tmp_path / "cache", heard)
    rows = read_table(first)
    assert [row["label"] for row in rows] == list("000011112222")
    assert rows[4]["path"] == "photos-001/000.png"
    assert first.folder.name == "photos"
    unpacked: list[Path] = []
    original = tars.unpack_tar

    def count(tar: Path, *arguments: Any, **options: Any) -> None:
        unpacked.append(tar)
        original(tar, *arguments, **options)

    monkeypatch.setattr(unpacking, "unpack_tar", count)
    assert read_table(unpack_here(pattern, tmp_path / "cache", heard)) == rows
    assert unpacked == []
    write_tar(tmp_path / "photos-001.tar", {"9.png": draw("blue", 1), "9.cls": "7"})
    assert len(read_table(unpack_here(pattern, tmp_path / "cache", heard))) == 9
    assert unpacked == [tmp_path / "photos-001.tar"]


def test_hostile_members_are_refused_and_named(tmp_path: Path, heard: Heard, draw: Callable[..., bytes]) -> None:
    image = draw("red", 1)
    path = tmp_path / "evil.tar"
    with tarfile.open(path, "w") as tar:
        for name in ("good.png", "../evil.png", "/evil.png", "a/../../evil.png", "good.png", "b\\..\\evil.png"):
            member = tarfile.TarInfo(name)
            member.size = len(image)
            tar.addfile(member, io.BytesIO(image))
        for kind, name in ((tarfile.SYMTYPE, "link.png"), (tarfile.LNKTYPE, "hard.png"), (tarfile.CHRTYPE, "device.png"),
                           (tarfile.FIFOTYPE, "pipe.png")):  # fmt: skip
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, "/etc/passwd"
            tar.addfile(member)
    before = set(tmp_path.iterdir())
    unpacked = unpack_here(path, tmp_path / "cache", heard)
    assert [each.name for each in unpacked.folder.rglob("*.png")] == ["good.png"]
    assert not list(unpacked.folder.parent.rglob("evil.png"))
    assert set(tmp_path.iterdir()) - before == {tmp_path / "cache"}
    assert heard.warned == [
        f"Not used of {path}: a link, a device or a sparse file in the tar (4, such as link.png).",
        f"Not used of {path}: an empty part, . or .. in its name (3, such as ../evil.png).",
        f"Not used of {path}: a name that the tar has twice (1, such as good.png).",
        f"Not used of {path}: a backslash or a null character in its name (1, such as b\\..\\evil.png).",
    ]


def test_a_tar_that_claims_more_than_it_has_is_cut_off(
    tmp_path: Path, heard: Heard, draw: Callable[..., bytes]
) -> None:
    path = write_tar(tmp_path / "cut.tar", {"1.png": draw("red", 1), "1.cls": "0", "2.png": draw("red", 2) * 50})
    path.write_bytes(path.read_bytes()[:-15_000])
    unpacked = unpack_here(path, tmp_path / "cache", heard)
    assert [row["path"] for row in read_table(unpacked)] == ["1.png"]
    assert not (unpacked.folder / "2.png").exists()
    assert heard.warned == [
        f"Not used of {path}: a tar that is damaged or cut off behind its first 1 images (1, such as cut.tar)."
    ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            b"\x1f\x8b no tar" * 100,
            "{path}: not a tar file.\n"
            "  Expected: an uncompressed tar of images, with labels beside them: 0001.jpg, 0001.cls\n"
            "  Fix: unpack a compressed one first, with gunzip for instance.",
        ),
        (
            None,
            "{path}: no such file.\n"
            "  Expected: a tar or a Parquet file; braces stand for many: photos-{{000..009}}.tar\n"
            "  Fix: check the path.",
        ),
    ],
)
def test_what_is_no_tar_is_an_error(tmp_path: Path, heard: Heard, content: bytes | None, message: str) -> None:
    path = tmp_path / "photos.tar"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError) as caught:
        unpack_here(path, tmp_path / "cache", heard)
    assert str(caught.value) == message.format(path=path)


def test_a_tar_without_images_is_an_error(tmp_path: Path, heard: Heard) -> None:
    path = write_tar(tmp_path / "texts.tar", {"1.cls": "0"})
    with pytest.raises(DataError) as caught:
        unpack_here(path, tmp_path / "cache", heard)
    assert str(caught.value) == (
        f"{path}: no images; 1.cls: a text without an image.\n"
        "  Expected: images with labels beside them, 0001.jpg and 0001.cls, or a column with the bytes of images\n"
        "  Fix: check the file."
    )


def test_a_run_on_tars_in_a_bucket_names_them_and_can_be_repeated(
    s3: S3Server, tmp_path: Path, run_cli: Callable[..., Any], draw: Callable[..., bytes], untraced: None
) -> None:
    for shard in range(2):
        members: dict[str, bytes | str] = {}
        for number in range(6):
            name = ("red", "blue")[number % 2]
            members |= {f"{number}.png": draw(name, shard * 10 + number), f"{number}.cls": name}
        s3.buckets["bucket"][f"sets/photos-{shard}.tar"] = write_tar(tmp_path / "a.tar", members).read_bytes()
    run, pattern = tmp_path / "run", "s3://bucket/sets/photos-{0..1}.tar"
    assert run_cli("finetune", pattern, *SMALLEST, "--epochs", 1, "--out", run).exit_code == 0
    assert f'data = "{pattern}"' in (run / "recipe.toml").read_text()
    assert json.loads((run / "manifest.json").read_text())["root"] == pattern
    forget_copies()
    manifest = read_manifest(run)
    assert len(manifest.records) == 12
    assert all(record.path.is_file() for record in manifest.records)
    assert run_cli("run", run / "recipe.toml", "--out", tmp_path / "again").exit_code == 0
    result = run_cli("predict", run, "s3://bucket/sets/photos-0.tar")
    paths = [row["path"] for row in csv.DictReader(io.StringIO(result.stdout))]
    assert paths == [f"s3://bucket/sets/photos-0.tar/{number}.png" for number in range(6)]
    listed = run_cli("cache", "list", "--json").json()["copies"]
    assert pattern in [each["place"] for each in listed]


def test_a_tar_of_class_folders_is_read_as_folders(tmp_path: Path, draw: Callable[..., bytes]) -> None:
    members = {f"{name}/{number}.png": draw(name, number) for name in ("red", "blue") for number in range(4)}
    manifest = tlkit.read_data(write_tar(tmp_path / "photos.tar", dict(members)))
    assert manifest.class_names == ("blue", "red")
    assert len(manifest.records) == 8
    assert manifest.columns()["path"][0].startswith(f"{tmp_path}/photos.tar/")


@pytest.mark.parametrize("form", ["struct", "binary"])
def test_images_in_parquet_files_are_read_with_the_names_of_their_classes(
    tmp_path: Path, draw: Callable[..., bytes], form: str
) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    contents = [draw(("red", "blue")[number % 2], number) for number in range(10)]
    images = [{"bytes": content, "path": f"{number}.png"} for number, content in enumerate(contents)]
    columns = {
        "image": images if form == "struct" else contents,
        "label": pa.array([number % 2 for number in range(10)], pa.int64()),
        "width": list(range(10)),
        "tags": [["a"]] * 10,
    }
    features = {"label": {"names": ["red", "blue"], "_type": "ClassLabel"}, "image": {"_type": "Image"}}
    table = pa.table(columns)
    metadata = {b"huggingface": json.dumps({"info": {"features": features}}).encode()}
    pq.write_table(table.replace_schema_metadata(metadata), tmp_path / "train.parquet", row_group_size=3)
    manifest = tlkit.read_data(tmp_path / "train.parquet", metadata="width")
    assert manifest.class_names == ("blue", "red")
    assert [record.answer for record in manifest.records] == ["red", "blue"] * 5
    assert [record.metadata for record in manifest.records] == [(str(number),) for number in range(10)]
    assert manifest.records[3].path.read_bytes() == contents[3]


def test_a_parquet_table_of_paths_stays_a_table(
    tmp_path: Path, make_image_folder: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    photos = make_image_folder(tmp_path, {"red": 3, "blue": 3})
    paths = sorted(path.relative_to(photos).as_posix() for path in photos.rglob("*.png"))
    thumbnails = [b"small"] * len(paths)
    table = pa.table({"path": paths, "label": [path.partition("/")[0] for path in paths], "thumbnail": thumbnails})
    pq.write_table(table, tmp_path / "list.parquet")
    monkeypatch.chdir(tmp_path)
    assert len(tlkit.read_data("list.parquet").records) == 6


def test_columns_of_bytes_that_could_all_be_meant_are_refused(tmp_path: Path, heard: Heard) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = tmp_path / "two.parquet"
    pq.write_table(pa.table({"left": [b"a"], "right": [b"b"], "label": ["x"]}), path)
    with pytest.raises(DataError) as caught:
        unpack_here(path, tmp_path / "cache", heard)
    assert str(caught.value) == (
        f"{path}: several columns hold bytes: left, right.\n"
        "  Expected: one column of images, or one that is named image\n"
        "  Fix: leave out the other columns, or name the one with the images `image`."
    )
