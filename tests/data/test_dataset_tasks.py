"""Data sets of labels, of values and with metadata: found, divided, described, and refused with the reason."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tlkit.data.dataset import read_dataset, read_evaluation_set
from tlkit.data.earlier import EarlierImages
from tlkit.data.file_index import FileIndex
from tlkit.data.manifest import Manifest, SkippedFile
from tlkit.errors import DataError, SettingError
from tlkit.outputs import MULTILABEL, REGRESSION
from tlkit.recipes.settings import DataSettings
from tlkit.tasks import find_task

VALUES: dict[str, Any] = {"task": REGRESSION, "target": "price"}


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with 40 small pictures, 00.png to 39.png, of which no two are equal; the widths go from 10 to 13."""
    root = tmp_path_factory.mktemp("pictures")
    for number in range(40):
        Image.new("RGB" if number % 2 else "L", (10 + number % 4, 8), number).save(root / f"{number:02}.png")
    return root


@pytest.fixture
def make_table(tmp_path: Path, pictures: Path) -> Callable[..., Path]:
    """`make_table("label", ["a", "b"])`: a table of the first pictures with the cells of a column, or of several."""

    def make(header: str, cells: Sequence[str]) -> Path:
        rows = [f"{pictures}/{number:02}.png,{cell}" for number, cell in enumerate(cells)]
        (tmp_path / "photos.csv").write_text("\n".join([f"path,{header}", *rows]) + "\n")
        return tmp_path / "photos.csv"

    return make


MakeTable = Callable[..., Path]


def read(data: Path, *, seed: int = 0, earlier: EarlierImages | None = None, **settings: Any) -> Manifest:
    index = FileIndex(data.parent / "cache")
    return read_dataset(data, DataSettings(**settings), seed=seed, index=index, earlier=earlier)


def evaluate(data: Path, class_names: Sequence[str], **settings: Any) -> Manifest:
    index = FileIndex(data.parent / "cache")
    return read_evaluation_set(data, DataSettings(**settings), class_names=class_names, index=index)


def message_of(action: Callable[..., object], *args: Any, **kwargs: Any) -> str:
    with pytest.raises((DataError, SettingError)) as caught:
        action(*args, **kwargs)
    return str(caught.value)


def count_labels(manifest: Manifest) -> dict[tuple[str, str], int]:
    pairs = ((name, item.split) for item in manifest.records for name in find_task(manifest.task).names_of(item.answer))
    return dict(Counter(pairs))


# Several labels


def test_labels_make_a_data_set_and_a_picture_may_have_none(make_table: MakeTable) -> None:
    manifest = read(make_table("label", ["b|a", "", "c | b", "a", ""] * 4), task=MULTILABEL)
    assert (manifest.task, manifest.class_names) == (MULTILABEL, ("a", "b", "c"))
    assert [record.answer for record in manifest.records[:3]] == ["a|b", "", "b|c"]
    targets = manifest.targets(manifest.records[:3])
    assert (targets.dtype, targets.tolist()) == (np.dtype(np.float32), [[1, 1, 0], [0, 0, 0], [0, 1, 1]])
    assert (manifest.skipped, manifest.notices) == ((), ())


def test_rare_labels_are_shared_out_in_proportion(make_table: MakeTable) -> None:
    table = make_table("label", ["often|rare" if number < 5 else "often" for number in range(40)])
    for seed in range(3):
        assert count_labels(read(table, seed=seed, task=MULTILABEL, test_fraction=0.2)) == {
            ("often", "train"): 24,
            ("often", "validation"): 8,
            ("often", "test"): 8,
            ("rare", "train"): 3,
            ("rare", "validation"): 1,
            ("rare", "test"): 1,
        }


def test_a_sample_has_every_label_in_proportion(make_table: MakeTable) -> None:
    table = make_table("label", ["a", "a", "a", "a|b"] * 10)
    manifest = read(table, task=MULTILABEL, sample=0.4)
    assert len(manifest.records) == 16
    assert Counter(record.answer for record in manifest.records) == {"a": 12, "a|b": 4}


def test_one_label_alone_will_do(make_table: MakeTable) -> None:
    assert read(make_table("label", ["wet", ""] * 5), task=MULTILABEL).class_names == ("wet",)


def test_the_table_of_labels_counts_labels_and_images(make_table: MakeTable) -> None:
    manifest = read(make_table("label,split", ["a|b,train", "b,train", ",train", "a|b,val"]), task=MULTILABEL)
    assert manifest.class_table() == (
        ("label", "train", "validation", "total"),
        (("a", "1", "1", "2"), ("b", "2", "1", "3"), ("images", "3", "1", "4")),
    )


def test_equal_pictures_with_other_labels_are_told_of(make_table: MakeTable, tmp_path: Path, pictures: Path) -> None:
    table = make_table("label", ["a", "b"] * 4)
    (tmp_path / "copy.png").write_bytes((pictures / "00.png").read_bytes())
    table.write_text(table.read_text() + "copy.png,a|b\n")
    assert read(table, task=MULTILABEL).notices == (
        "1 image is with more than one answer, so one of the labels is wrong; a run lists all in findings.csv, for "
        f"example {pictures}/00.png and "
        f"{tmp_path}/copy.png.",
    )


@pytest.mark.parametrize(
    ("header", "cells", "message"),
    [
        (
            "label",
            ["", "|", " "] * 4,
            "{table}: no image has a label.\n"
            "  Expected: label names separated by | in the table's label column\n"
            "  Fix: name the column with --label-column.",
        ),
        (
            "label",
            ["a", "a|b", "a|c"] + ["a"] * 7,
            "{table}: the label 'b' has one usable image; the same goes for 1 other label.\n"
            "  Expected: two or more different images of every label, for training and validation\n"
            "  Fix: add images, or remove the label; unusable files do not count.",
        ),
        (
            "label,split",
            ["a|b,train", "a,train", "b,test", "a,val"],
            "{table}: there are no usable validation images of label 'b', only for train and test.\n"
            "  Expected: validation images of every label, so that it can be measured\n"
            "  Fix: add validation images of 'b', or remove the label.",
        ),
        (
            "label",
            ["a", "b\x1b"] * 4,
            "{table}: the label name 'b\\x1b' is invalid.\n"
            "  Expected: 1 to 200 characters without control characters\n"
            "  Fix: rename the label.",
        ),
    ],
)
def test_labels_that_cannot_be_learnt_are_an_error(
    make_table: MakeTable, header: str, cells: Sequence[str], message: str
) -> None:
    table = make_table(header, cells)
    assert message_of(read, table, task=MULTILABEL) == message.format(table=table)


def test_a_label_that_the_model_does_not_know_is_an_error(make_table: MakeTable) -> None:
    table = make_table("label", ["iron", "wodd|iron"] * 4)
    expected = (
        f"{table}: the model has no label 'wodd'.\n  Expected: its labels: iron, wood\n  Fix: did you mean 'wood'?"
    )
    assert message_of(read, table, task=MULTILABEL, earlier=EarlierImages(("iron", "wood"))) == expected
    assert message_of(evaluate, table, ("iron", "wood"), task=MULTILABEL) == expected


def test_labels_are_evaluated_on_all_images_and_lacking_ones_are_told(make_table: MakeTable) -> None:
    manifest = evaluate(make_table("label", ["b", "", "a|b"]), ("c", "b", "a", "d"), task=MULTILABEL)
    assert manifest.class_names == ("c", "b", "a", "d")
    assert [(record.split, record.answer) for record in manifest.records] == [
        ("test", "b"),
        ("test", ""),
        ("test", "a|b"),
    ]
    assert manifest.notices == ("The test split has no images of labels 'c', 'd'.",)


# Values


def test_values_make_a_data_set_without_names(make_table: MakeTable) -> None:
    manifest = read(make_table("price", [str(number / 2) for number in range(40)]), **VALUES, test_fraction=0.2)
    assert (manifest.task, manifest.class_names, manifest.notices) == (REGRESSION, (), ())
    targets = manifest.targets(manifest.records)
    assert (targets.dtype, targets.tolist()) == (np.dtype(np.float64), [[number / 2] for number in range(40)])
    assert Counter(record.split for record in manifest.records) == {"train": 25, "validation": 10, "test": 5}


def test_low_and_high_values_are_in_every_split(make_table: MakeTable) -> None:
    table = make_table("price", [str(1.5**number) for number in range(40)])
    for seed in range(3):
        manifest = read(table, seed=seed, **VALUES, test_fraction=0.2)
        for split in ("train", "validation", "test"):
            values = manifest.targets(manifest.in_split(split))[:, 0]
            fifths = Counter(np.floor(np.log(values) / np.log(1.5) / 8 + 1e-9).astype(int).tolist())
            assert set(fifths) == {0, 1, 2, 3, 4}
            assert len(set(fifths.values())) == 1


def test_the_table_of_values_has_their_range_by_split(make_table: MakeTable) -> None:
    cells = ["1000000,train", "2,train", "3,train", "4.5,val", "5.5,val", "-7,test"]
    assert read(make_table("price,split", cells), **VALUES).class_table() == (
        ("split", "images", "lowest", "median", "highest"),
        (
            ("train", "3", "2", "3", "1,000,000"),
            ("validation", "2", "4.50", "5", "5.50"),
            ("test", "1", "-7", "-7", "-7"),
        ),
    )


def test_pictures_without_a_value_are_skipped(make_table: MakeTable, pictures: Path) -> None:
    manifest = read(make_table("price", ["", "dear", *map(str, range(20))]), **VALUES)
    assert manifest.skipped == (
        SkippedFile(pictures / "00.png", "no value in line 2"),
        SkippedFile(pictures / "01.png", "the value 'dear' is not a number in line 3"),
    )
    assert manifest.notices == (f"2 files are skipped; the first: {pictures}/00.png (no value in line 2).",)
    assert message_of(read, make_table("price", ["", *map(str, range(20))]), **VALUES, strict=True) == (
        f"{pictures}/00.png: no value in line 2.\n"
        "  Expected: only usable images, because of --strict\n"
        "  Fix: fix or remove the file, or remove --strict to skip it."
    )


@pytest.mark.parametrize(
    ("header", "cells", "message"),
    [
        (
            "price",
            list(map(str, range(9))),
            "{table}: only 9 usable images with a value.\n"
            "  Expected: ten or more different images, for training and validation\n"
            "  Fix: add images; unusable files do not count.",
        ),
        (
            "price",
            ["7", "7.0"] * 10,
            "{table}: the train images have 1 different value.\n"
            "  Expected: 2 or more different values\n"
            "  Fix: add images, or choose another column with --target.",
        ),
        (
            "price,split",
            ["1,train", "2,train", "3,val"],
            "{table}: the validation images have 1 different value.\n"
            "  Expected: 2 or more different values\n"
            "  Fix: add images, or choose another column with --target.",
        ),
    ],
)
def test_values_that_cannot_be_learnt_are_an_error(
    make_table: MakeTable, header: str, cells: Sequence[str], message: str
) -> None:
    table = make_table(header, cells)
    assert message_of(read, table, **VALUES) == message.format(table=table)


@pytest.mark.parametrize(
    ("settings", "header", "what", "reason"),
    [
        ({}, "label", "class", "no label in line 2"),
        (VALUES, "price", "value", "no value in line 2"),
    ],
)
def test_a_table_without_any_answer_is_an_error(
    make_table: MakeTable, pictures: Path, settings: dict[str, Any], header: str, what: str, reason: str
) -> None:
    table = make_table(header, ["", ""])
    expected = (
        f"{table}: no row names an image and its {what}; {pictures}/00.png: {reason}.\n"
        f"  Expected: a column of paths and a column with the {what} of each image\n"
        "  Fix: fill in the table, or name its columns with --image-column and "
        f"{'--target' if settings else '--label-column'}."
    )
    assert message_of(read, table, **settings) == expected


def test_values_are_evaluated_whatever_they_are(make_table: MakeTable) -> None:
    manifest = evaluate(make_table("price", ["7", "7"]), (), **VALUES)
    assert [(record.split, record.answer) for record in manifest.records] == [("test", "7"), ("test", "7")]
    assert manifest.notices == ()


# Metadata


def test_records_hold_columns_and_facts_in_the_order_asked_for(make_table: MakeTable, pictures: Path) -> None:
    table = make_table("label,hour,boat", [f"{'ab'[number % 2]},{number},Heron" for number in range(10)])
    manifest = read(table, metadata="boat:category,image-shape,hour,image-mode")
    assert manifest.metadata_columns == ("boat", "image-shape", "hour", "image-mode")
    assert [record.metadata for record in manifest.records[:3]] == [
        ("Heron", "10x8", "0", "L"),
        ("Heron", "11x8", "1", "RGB"),
        ("Heron", "12x8", "2", "L"),
    ]
    scored = evaluate(table, ("a", "b"), metadata="image-bytes,hour")
    assert scored.metadata_columns == ("image-bytes", "hour")
    assert scored.records[5].metadata == (str((pictures / "05.png").stat().st_size), "5")


def test_columns_of_a_table_need_no_facts_of_the_files(make_table: MakeTable, monkeypatch: pytest.MonkeyPatch) -> None:
    table = make_table("label,hour", [f"{'ab'[number % 2]},{number}" for number in range(10)])
    monkeypatch.setattr("tlkit.data.dataset.describe_record", lambda record: pytest.fail("facts were asked for"))
    assert [record.metadata for record in read(table, metadata="hour").records[:2]] == [("0",), ("1",)]
    assert [record.metadata for record in read(table).records[:2]] == [(), ()]


def test_metadata_stay_with_their_image_when_files_are_skipped_and_a_sample_is_drawn(
    make_table: MakeTable, pictures: Path
) -> None:
    table = make_table("label,number", [f"{'ab'[number % 2]},{number:02}" for number in range(40)])
    text = table.read_text().replace(f"{pictures}/00.png", "gone.png")
    table.write_text(text)
    for names in ("number", "number,image-width"):
        manifest = read(table, metadata=names, sample=0.5)
        assert 10 <= len(manifest.records) < 39
        assert all(record.path.stem == record.metadata[0] for record in manifest.records)
        assert all(f"{record.width}" == record.metadata[-1] for record in manifest.records if "," in names)


def test_a_folder_has_facts_of_its_files(tmp_path: Path, make_image_folder: Callable[..., Path]) -> None:
    data = make_image_folder(tmp_path / "data", {"red": 3, "blue": 3})
    manifest = read(data, metadata="image-shape,image-format")
    assert {record.metadata for record in manifest.records} == {("40x32", "PNG")}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"task": MULTILABEL},
            "task is multilabel, but {data} is a folder.\n"
            "  Expected: a table for multilabel: folders give each image only one class\n"
            "  Fix: use a table of paths and targets instead of the folder.",
        ),
        (
            VALUES,
            "task is regression, but {data} is a folder.\n"
            "  Expected: a table for regression: folders give each image only one class\n"
            "  Fix: use a table of paths and targets instead of the folder.",
        ),
        (
            {"metadata": "image-width,boat,hour:number"},
            "metadata is 'boat,hour:number', but {data} is a folder.\n"
            "  Expected: column names only with a table\n"
            "  Fix: remove --metadata, or use a table instead of the folder.",
        ),
        (
            {"split_column": "part"},
            "split_column is 'part', but {data} is a folder.\n"
            "  Expected: column names only with a table\n"
            "  Fix: remove --split-column, or use a table instead of the folder.",
        ),
    ],
)
def test_what_only_a_table_can_tell_is_refused_of_a_folder(
    tmp_path: Path, make_image_folder: Callable[..., Path], settings: dict[str, Any], message: str
) -> None:
    data = make_image_folder(tmp_path / "data", {"red": 3, "blue": 3})
    assert message_of(read, data, **settings) == message.format(data=data)
    assert message_of(evaluate, data, ("blue", "red"), **settings) == message.format(data=data)
