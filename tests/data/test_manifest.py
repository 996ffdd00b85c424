"""The manifest: counted, labelled, written and read back whole."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from tlkit.data.manifest import ImageRecord, Manifest, SkippedFile, read_manifest, write_manifest
from tlkit.errors import DataError
from tlkit.outputs import MULTILABEL, REGRESSION


def make_manifest(root: Path) -> Manifest:
    records = (
        ImageRecord(root / "train/cat/1.jpg", "aa" * 32, 40, 30, "train", "cat"),
        ImageRecord(root / 'train/dog/2, the "best".jpg', "bb" * 32, 41, 31, "train", "dog"),
        ImageRecord(root / "val/dog/3\nlines.jpg", "cc" * 32, 42, 32, "validation", "dog"),
        ImageRecord(Path("/elsewhere/4.jpg"), "dd" * 32, 43, 33, "validation", "cat", (0.1, 2.0, 40.0, 30.5)),
    )
    skipped = (SkippedFile(root / "train/cat/broken.jpg", "empty file"),)
    return Manifest(root, ("dog", "cat", "emu"), records, skipped, ("One thing.", "Änother."))


def test_a_manifest_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    manifest = make_manifest(tmp_path / "data")
    write_manifest(manifest, tmp_path)
    assert read_manifest(tmp_path) == manifest


def make_task_manifest(root: Path, task: str, answers: list[str], *, metadata: tuple[str, ...] = ()) -> Manifest:
    names = ("wood", "iron") if task == MULTILABEL else ()
    columns = ("boat, or none", "image-width", "left")[: len(metadata)]
    records = tuple(
        ImageRecord(root / f"{number}.png", f"{number}" * 64, 4, 3, "train", answer, metadata=metadata)
        for number, answer in enumerate(answers)
    )
    return Manifest(root, names, records, task=task, metadata_columns=columns)


@pytest.mark.parametrize(
    ("task", "answers"), [(MULTILABEL, ["iron|wood", "", "wood"]), (REGRESSION, ["1e3", "-0.10", "16777217"])]
)
def test_answers_of_every_task_and_metadata_are_read_back_as_they_were(
    tmp_path: Path, task: str, answers: list[str]
) -> None:
    metadata = ('He said "no",\nand\r\nleft', "\r", " 7 ")
    manifest = make_task_manifest(tmp_path, task, answers, metadata=metadata)
    write_manifest(manifest, tmp_path)
    assert read_manifest(tmp_path) == manifest
    np.testing.assert_array_equal(
        read_manifest(tmp_path).targets(manifest.records), manifest.targets(manifest.records), strict=True
    )


def test_the_table_has_a_column_for_each_of_the_metadata(tmp_path: Path) -> None:
    write_manifest(make_task_manifest(tmp_path, REGRESSION, ["7"], metadata=("Heron", "640", "")), tmp_path)
    lines = (tmp_path / "manifest.csv").read_text().splitlines()
    assert lines[0] == (
        "split,answer,path,sha256,width,height,left,top,right,bottom,"
        '"metadata boat, or none",metadata image-width,metadata left'
    )
    assert lines[1] == f"train,7,0.png,{'0' * 64},4,3,,,,,Heron,640,"


def test_names_that_are_not_utf_8_survive(tmp_path: Path) -> None:
    odd = tmp_path / os.fsdecode(b"caf\xe9.jpg")
    manifest = Manifest(
        tmp_path, ("a", "b"), (ImageRecord(odd, "aa" * 32, 4, 3, "train", "a"),), (SkippedFile(odd, "no"),)
    )
    write_manifest(manifest, tmp_path)
    assert read_manifest(tmp_path) == manifest


def test_the_tables_hold_paths_from_the_root(tmp_path: Path) -> None:
    write_manifest(make_manifest(tmp_path / "data"), tmp_path)
    lines = (tmp_path / "manifest.csv").read_text().splitlines()
    assert lines[0] == "split,answer,path,sha256,width,height,left,top,right,bottom"
    assert lines[1] == f"train,cat,train/cat/1.jpg,{'aa' * 32},40,30,,,,"
    assert lines[-1] == f"validation,cat,/elsewhere/4.jpg,{'dd' * 32},43,33,0.1,2.0,40.0,30.5"
    assert (tmp_path / "skipped.csv").read_text() == "path,reason\ntrain/cat/broken.jpg,empty file\n"


def test_equal_data_in_another_place_give_equal_tables(tmp_path: Path) -> None:
    for place in ("one", "two"):
        (tmp_path / place).mkdir()
        records = tuple(ImageRecord(tmp_path / place / f"{i}.jpg", f"{i}" * 64, 4, 3, "train", "a") for i in range(3))
        write_manifest(Manifest(tmp_path / place, ("a", "b"), records), tmp_path / place)
    assert (tmp_path / "one/manifest.csv").read_bytes() == (tmp_path / "two/manifest.csv").read_bytes()


def test_writing_leaves_nothing_else_behind(tmp_path: Path) -> None:
    for _ in range(2):
        write_manifest(make_manifest(tmp_path / "data"), tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "findings.csv",
        "manifest.csv",
        "manifest.json",
        "skipped.csv",
    ]


@pytest.mark.parametrize(
    ("task", "answer", "complaint"),
    [
        (MULTILABEL, "wood|gold", "manifest.csv has an unknown class or split"),
        (REGRESSION, "dear", "the value 'dear' is not a number"),
        (REGRESSION, "", "no value"),
    ],
)
def test_an_answer_that_the_task_does_not_have_is_damage(
    tmp_path: Path, task: str, answer: str, complaint: str
) -> None:
    write_manifest(make_task_manifest(tmp_path, task, [answer]), tmp_path)
    with pytest.raises(DataError) as caught:
        read_manifest(tmp_path)
    assert str(caught.value) == (
        f"{tmp_path}: the manifest cannot be read ({complaint}).\n"
        "  Expected: unchanged manifest.json, manifest.csv and skipped.csv\n"
        "  Fix: restore the three files, or repeat the run."
    )


@pytest.mark.parametrize(
    ("name", "content", "complaint"),
    [
        ("manifest.json", "{", "not JSON from line 1 on"),
        ("manifest.json", "[]", "unexpected content"),
        ("manifest.json", '{"format_version": 3}', "root is missing"),
        ("manifest.json", '{"format_version": 2}', "manifest.json has format version 2"),
        ("manifest.json", "[" * 100_000, "nested too deeply"),
        (
            "manifest.csv",
            "split,path\n",
            "manifest.csv must start with the line split,answer,path,sha256,width,height,left,top,right,bottom",
        ),
        (
            "manifest.csv",
            "split,answer,path,sha256,width,height,left,top,right,bottom\ntrain,cow,1.jpg,aa,4,3,,,,\n",
            "manifest.csv has an unknown class or split",
        ),
        ("skipped.csv", None, "skipped.csv: No such file or directory"),
    ],
)
def test_a_damaged_manifest_is_an_error(tmp_path: Path, name: str, content: str | None, complaint: str) -> None:
    write_manifest(make_manifest(tmp_path / "data"), tmp_path)
    if content is None:
        (tmp_path / name).unlink()
    else:
        (tmp_path / name).write_text(content)
    with pytest.raises(DataError) as caught:
        read_manifest(tmp_path)
    assert str(caught.value) == (
        f"{tmp_path}: the manifest cannot be read ({complaint}).\n"
        "  Expected: unchanged manifest.json, manifest.csv and skipped.csv\n"
        "  Fix: restore the three files, or repeat the run."
    )


@pytest.mark.parametrize(
    ("name", "before", "after"),
    [
        ("manifest.csv", "train,cat", "train,dog"),
        ("manifest.csv", "validation,dog", "train,dog"),
        ("manifest.csv", "aa" * 32, "ab" * 32),
        ("manifest.csv", "30.5", "30.6"),
        ("skipped.csv", "empty file", "empty pile"),
        ("manifest.json", '"dog",\n    "cat"', '"cat",\n    "dog"'),
        ("manifest.json", "One thing.", "Two things."),
    ],
)
def test_a_manifest_that_says_something_else_than_was_written_is_damaged(
    tmp_path: Path, name: str, before: str, after: str
) -> None:
    write_manifest(make_manifest(tmp_path / "data"), tmp_path)
    text = (tmp_path / name).read_text()
    assert before in text
    (tmp_path / name).write_text(text.replace(before, after, 1))
    with pytest.raises(DataError, match="the checksum does not match"):
        read_manifest(tmp_path)


def test_labels_are_positions_in_the_class_names(tmp_path: Path) -> None:
    manifest = make_manifest(tmp_path)
    labels = manifest.targets(manifest.records)
    assert labels.dtype == np.int32
    assert labels.tolist() == [1, 0, 0, 1]
    assert manifest.targets(manifest.in_split("test")).shape == (0,)


def test_records_are_found_by_split(tmp_path: Path) -> None:
    manifest = make_manifest(tmp_path)
    assert [record.width for record in manifest.in_split("validation")] == [42, 43]
    with pytest.raises(ValueError, match="Received: 'valid'"):
        manifest.in_split("valid")


def test_the_class_table_counts_splits_that_exist(tmp_path: Path) -> None:
    columns, rows = make_manifest(tmp_path).class_table()
    assert columns == ("class", "train", "validation", "total")
    assert rows == (
        ("dog", "1", "1", "2"),
        ("cat", "1", "1", "2"),
        ("emu", "0", "0", "0"),
        ("total", "2", "2", "4"),
    )


def test_the_table_of_labels_ends_with_all_images(tmp_path: Path) -> None:
    manifest = make_task_manifest(tmp_path, MULTILABEL, ["iron|wood", "", "wood"])
    assert manifest.class_table() == (
        ("label", "train", "total"),
        (("wood", "2", "2"), ("iron", "1", "1"), ("images", "3", "3")),
    )


def test_the_table_of_values_has_a_row_for_each_split(tmp_path: Path) -> None:
    manifest = make_task_manifest(tmp_path, REGRESSION, ["12345.678", "0", "0.25"])
    assert manifest.class_table() == (
        ("split", "images", "lowest", "median", "highest"),
        (("train", "3", "0", "0.250", "12,346"),),
    )
