"""A data set from end to end: found, checked, divided, and refused with the reason."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tlkit.data import file_index
from tlkit.data.dataset import read_dataset, read_evaluation_set
from tlkit.data.earlier import EarlierImages
from tlkit.data.file_index import FileIndex
from tlkit.data.manifest import Finding, ImageRecord, Manifest, SkippedFile, write_manifest
from tlkit.errors import DataError, SettingError
from tlkit.outputs import GreyRange
from tlkit.recipes.settings import DataSettings

MakeFolder = Callable[..., Path]


@pytest.fixture(autouse=True)
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files made just now count as settled."""
    monkeypatch.setattr(file_index, "RACY_SECONDS", 0.0)


@pytest.fixture
def read(tmp_path: Path) -> Callable[..., Manifest]:
    """`read(sample=0.5, seed=1, …)`: read the data set in `tmp_path / "data"`, or at `data`."""

    def read(
        *, seed: int = 0, data: Path | None = None, earlier: EarlierImages | None = None, **settings: Any
    ) -> Manifest:
        return read_dataset(
            data or tmp_path / "data",
            DataSettings(**settings),
            seed=seed,
            index=FileIndex(tmp_path / "cache"),
            earlier=earlier,
        )

    return read


@pytest.fixture
def evaluation(tmp_path: Path) -> Callable[..., Manifest]:
    """`evaluation(("red", "blue"), split=…)`: read the evaluation set in `tmp_path / "data"`, or at `data`."""

    def read(
        class_names: Sequence[str], *, split: str | None = None, data: Path | None = None, **settings: Any
    ) -> Manifest:
        return read_evaluation_set(
            data or tmp_path / "data",
            DataSettings(**settings),
            class_names=class_names,
            index=FileIndex(tmp_path / "cache"),
            split=split,
        )

    return read


@pytest.fixture
def fill(tmp_path: Path, make_image_folder: MakeFolder) -> Callable[..., Path]:
    """`fill({"train/red": 4})`: draw images into `tmp_path / "data"`."""

    def fill(layout: dict[str, int], start: int = 0) -> Path:
        return make_image_folder(tmp_path / "data", layout, start=start)

    return fill


def message_of(action: Callable[..., object], *args: Any, **kwargs: Any) -> str:
    with pytest.raises((DataError, SettingError)) as caught:
        action(*args, **kwargs)
    return str(caught.value)


def count(manifest: Manifest) -> dict[tuple[str, str], int]:
    return dict(Counter((record.answer, record.split) for record in manifest.records))


def test_given_splits_are_used_as_they_are(fill: Callable[..., Path], read: Callable[..., Manifest]) -> None:
    fill({"train/red": 3, "train/blue": 4, "val/red": 1, "val/blue": 2, "test/red": 1})
    manifest = read()
    assert manifest.class_names == ("blue", "red")
    assert count(manifest) == {
        ("red", "train"): 3,
        ("blue", "train"): 4,
        ("red", "validation"): 1,
        ("blue", "validation"): 2,
        ("red", "test"): 1,
    }
    assert manifest.notices == ("The test split has no images of class 'blue'.",)
    assert {(record.width, record.height) for record in manifest.records} == {(40, 32)}
    assert all(record.path.is_absolute() and len(record.sha256) == 64 for record in manifest.records)


def test_without_splits_validation_and_test_are_cut_from_all(
    fill: Callable[..., Path], read: Callable[..., Manifest]
) -> None:
    fill({"red": 10, "blue": 20})
    assert count(read(test_fraction=0.1)) == {
        ("red", "train"): 7,
        ("red", "validation"): 2,
        ("red", "test"): 1,
        ("blue", "train"): 14,
        ("blue", "validation"): 4,
        ("blue", "test"): 2,
    }
    assert read(seed=1) == read(seed=1) != read(seed=2)


def test_without_a_validation_folder_it_is_cut_from_training(
    fill: Callable[..., Path], read: Callable[..., Manifest]
) -> None:
    fill({"train/red": 10, "train/blue": 10, "test/red": 5, "test/blue": 5})
    counts = count(read())
    assert counts["red", "train"] == 8
    assert counts["red", "validation"] == 2
    assert counts["red", "test"] == 5


def test_without_a_test_folder_it_is_cut_from_training_if_asked_for(
    fill: Callable[..., Path], read: Callable[..., Manifest]
) -> None:
    fill({"train/red": 10, "train/blue": 10, "val/red": 5, "val/blue": 5})
    counts = count(read(test_fraction=0.3))
    assert (counts["red", "train"], counts["red", "validation"], counts["red", "test"]) == (7, 5, 3)


def test_no_image_is_in_two_of_the_splits_that_were_made(
    fill: Callable[..., Path], read: Callable[..., Manifest]
) -> None:
    data = fill({"red": 10, "blue": 10})
    for name in ("red_000", "red_001", "red_002"):
        shutil.copy(data / "red" / f"{name}.png", data / "red" / f"copy of {name}.png")
    for seed in range(10):
        manifest = read(seed=seed, test_fraction=0.2)
        hashes = [{record.sha256 for record in manifest.in_split(split)} for split in ("train", "validation", "test")]
        assert sum(map(len, hashes)) == len(set.union(*hashes)) == 20
        assert len(manifest.records) == 23


def test_earlier_splits_are_kept(fill: Callable[..., Path], read: Callable[..., Manifest]) -> None:
    fill({"red": 10, "blue": 10})
    earlier = {record.sha256: record.split for record in read(seed=1).records}
    fill({"red": 10, "blue": 10}, start=10)
    manifest = read(seed=2, earlier=EarlierImages(("blue", "red"), splits=earlier))
    later = {record.sha256: record.split for record in manifest.records}
    assert len(later) == 40
    assert earlier.items() <= later.items()
    assert Counter(later.values()) == {"train": 32, "validation": 8}


def test_a_sample_is_stratified(fill: Callable[..., Path], read: Callable[..., Manifest]) -> None:
    fill({"train/red": 20, "train/blue": 10, "val/red": 10, "val/blue": 10, "test/red": 10})
    assert count(read(sample=0.3)) == {
        ("red", "train"): 6,
        ("blue", "train"): 3,
        ("red", "validation"): 3,
        ("blue", "validation"): 3,
        ("red", "test"): 3,
    }


def test_a_small_sample_still_makes_a_data_set(fill: Callable[..., Path], read: Callable[..., Manifest]) -> None:
    fill({"red": 10, "blue": 10})
    counts = count(read(sample=0.01))
    assert counts == dict.fromkeys([(c, s) for c in ("red", "blue") for s in ("train", "validation")], 1)


def test_a_table_is_a_data_set(tmp_path: Path, fill: Callable[..., Path], read: Callable[..., Manifest]) -> None:
    data = fill({"pictures": 8})
    rows = [f"pictures/pictures_{index:03d}.png,{'ab'[index % 2]}" for index in range(8)]
    (data / "table.csv").write_text("\n".join(["image,label", *rows, "pictures/gone.png,a"]))
    manifest = read(data=data / "table.csv", validation_fraction=0.25)
    assert count(manifest) == {("a", "train"): 3, ("a", "validation"): 1, ("b", "train"): 3, ("b", "validation"): 1}
    assert manifest.skipped == (SkippedFile(data / "pictures/gone.png", "no such file"),)
    assert manifest.notices == (f"1 file is skipped; the first: {data}/pictures/gone.png (no such file).",)


def test_a_tables_paths_give_splits_if_no_column_does(
    tmp_path: Path, fill: Callable[..., Path], read: Callable[..., Manifest]
) -> None:
    data = fill({"train/valid": 3, "train/invalid": 3, "val/valid": 2, "val/invalid": 2, "extra": 1})
    rows = [
        f"{path.relative_to(data)},{path.parent.name}"
        for path in sorted(data.rglob("*.png"))
        if path.parent.name != "extra"
    ]
    (data / "table.csv").write_text("\n".join(["image,label", *rows]))
    manifest = read(data=data / "table.csv")
    assert Counter(record.split for record in manifest.records) == {"train": 6, "validation": 4}
    assert manifest.notices == ("The splits come from the data: 6 train, 4 validation.",)
    (data / "table.csv").write_text("\n".join(["image,label", *rows, "extra/extra_000.png,valid"]))
    manifest = read(data=data / "table.csv", validation_fraction=0.5)
    assert Counter(record.split for record in manifest.records) != {"train": 6, "validation": 4}
    assert manifest.notices == (
        "Paths or annotations give a split for only 10 of 11 images, so it is not used; without one, e.g. "
        f"{data}/extra/extra_000.png.",
    )


def test_every_broken_file_is_accounted_for(fill: Callable[..., Path], read: Callable[..., Manifest]) -> None:
    data = fill({"red": 4, "blue": 4})
    broken = {"1.jpg": b"", "2.png": b"\x89PNG\r\n\x1a\n", "3.gif": b"text", "faces.db": bytes(range(256))}
    for name, content in broken.items():
        (data / "blue" / name).write_bytes(content)
    manifest = read()
    assert len(manifest.records) == 8
    assert manifest.skipped == (
        SkippedFile(data / "blue/1.jpg", "empty file"),
        SkippedFile(data / "blue/2.png", "damaged or truncated PNG file"),
        SkippedFile(data / "blue/3.gif", "not an image"),
        SkippedFile(data / "blue/faces.db", "not an image"),
    )
    assert manifest.notices == (f"4 files are skipped; the first: {data}/blue/1.jpg (empty file).",)


def quote(text: str) -> str:
    return f'"{text}"' if "," in text else text


def test_copies_across_given_splits_and_classes_are_all_listed(
    tmp_path: Path, fill: Callable[..., Path], read: Callable[..., Manifest]
) -> None:
    data = fill({"train/red": 3, "train/blue": 3, "test/red": 3, "test/blue": 3, "val/red": 1, "val/blue": 1})
    shutil.copy(data / "train/red/red_000.png", data / "test/red/again.png")
    shutil.copy(data / "train/red/red_001.png", data / "train/blue/wrong.png")
    shutil.copy(data / "train/red/red_002.png", data / "train/blue/wrong, too.png")
    manifest = read()
    assert manifest.notices == (
        "1 image is in more than one split, so their scores are too optimistic; a run lists all in findings.csv, for "
        f"example {data}/train/red/red_000.png and {data}/test/red/again.png.",
        "2 images are under more than one class, so one of the labels is wrong; a run lists all in findings.csv, for "
        f"example {data}/train/blue/wrong, too.png and {data}/train/red/red_002.png.",
    )
    write_manifest(manifest, tmp_path)
    assert (tmp_path / "findings.csv").read_text().splitlines() == [
        "path,finding",
        f"train/red/red_000.png,\"in more than one split: 'train' here, 'test' as {data}/test/red/again.png\"",
        f"test/red/again.png,\"in more than one split: 'test' here, 'train' as {data}/train/red/red_000.png\"",
        *(
            line
            for number, copy in ((2, "wrong, too.png"), (1, "wrong.png"))
            for line in (
                f"{quote(f'train/blue/{copy}')},\"under more than one class: 'blue' here, 'red' as "
                f'{data}/train/red/red_00{number}.png"',
                f"train/red/red_00{number}.png,\"under more than one class: 'red' here, 'blue' as "
                f'{data}/train/blue/{copy}"',
            )
        ),
    ]


def test_classes_that_are_spelled_alike_are_all_named(fill: Callable[..., Path], read: Callable[..., Manifest]) -> None:
    fill({"Cat": 2, "cat": 3, "dog_house": 2, "dog house": 2, "Dog-House": 2, "dogs": 2, "C": 2, "C++": 2})
    assert read().notices == (
        "Classes that are spelled alike are kept apart, with their numbers of images: 'Cat' (2) and 'cat' (3); "
        "'Dog-House' (2) and 'dog house' (2) and 'dog_house' (2).",
    )


def test_what_was_fixed_in_annotations_is_listed_file_by_file(
    tmp_path: Path, fill: Callable[..., Path], read: Callable[..., Manifest]
) -> None:
    data = fill({"red": 3, "blue": 3})
    rows = [f"{name}_00{n}.png,{4 - n},1,50,20,{name}" for name in ("red", "blue") for n in range(3)]
    (tmp_path / "boxes.csv").write_text("\n".join(["path,x1,y1,x2,y2,class", *rows, "red_000.png,60,60,70,70,red"]))
    manifest = read(boxes=str(tmp_path / "boxes.csv"))
    assert manifest.findings == (
        *(
            Finding(data / name / f"{name}_00{n}.png", "box that extends beyond the image; clipped")
            for name in ("blue",)
            for n in range(3)
        ),
        Finding(data / "red/red_000.png", "box that extends beyond the image; clipped"),
        Finding(data / "red/red_000.png", "box entirely outside the image; skipped"),
        *(Finding(data / f"red/red_00{n}.png", "box that extends beyond the image; clipped") for n in (1, 2)),
    )


def test_the_data_are_not_written_to(fill: Callable[..., Path], read: Callable[..., Manifest]) -> None:
    data = fill({"red": 3, "blue": 3})
    before = sorted(data.rglob("*"))
    read()
    assert sorted(data.rglob("*")) == before


def test_progress_is_told_of_every_file(tmp_path: Path, fill: Callable[..., Path]) -> None:
    advances: list[int] = []

    @contextmanager
    def progress(total: int) -> Iterator[Callable[[int], None]]:
        advances.append(-total)
        yield advances.append

    fill({"red": 3, "blue": 3})
    read_dataset(tmp_path / "data", DataSettings(), seed=0, index=FileIndex(tmp_path / "cache"), progress=progress)
    assert advances[0] == -6
    assert sum(advances) == 0


def test_pinned_class_names_give_the_labels(fill: Callable[..., Path], read: Callable[..., Manifest]) -> None:
    fill({"red": 3, "blue": 3, "green": 3})
    manifest = read(earlier=EarlierImages(("red", "green", "blue")))
    assert manifest.class_names == ("red", "green", "blue")
    assert {
        record.answer: label for record, label in zip(manifest.records, manifest.targets(manifest.records), strict=True)
    } == {
        "red": 0,
        "green": 1,
        "blue": 2,
    }


def test_the_grey_levels_of_an_earlier_model_are_kept(fill: Callable[..., Path], read: Callable[..., Manifest]) -> None:
    fill({"red": 3, "blue": 3})
    grey = (GreyRange("16-bit", 0.0, 4095.0),)
    assert read(earlier=EarlierImages(("blue", "red"), grey=grey)).grey == grey


def test_images_are_compared_in_the_grey_levels_of_an_earlier_model(
    fill: Callable[..., Path], read: Callable[..., Manifest], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    def key(records: Sequence[ImageRecord], *, grey: Sequence[GreyRange], progress: object) -> dict[str, str]:
        seen.append(grey)
        return {record.sha256: record.sha256 for record in records}

    monkeypatch.setattr("tlkit.data.dataset.key_by_similarity", key)
    fill({"red": 3, "blue": 3})
    grey = (GreyRange("16-bit", 0.0, 4095.0),)
    read(earlier=EarlierImages(("blue", "red"), grey=grey), group_by="similarity")
    read(group_by="similarity")
    assert seen == [grey, ()]


def test_missing_data_are_an_error(tmp_path: Path, read: Callable[..., Manifest]) -> None:
    assert message_of(read) == (
        f"{tmp_path}/data: no such file or folder.\n"
        "  Expected: a folder of class folders, or a table (.csv, .tsv, .parquet)\n"
        "  Fix: check the path."
    )
    (tmp_path / "data").write_text("path,label")
    assert message_of(read) == (
        f"{tmp_path}/data: neither a folder nor a table.\n"
        "  Expected: a folder of class folders, or a table (.csv, .tsv, .parquet)\n"
        "  Fix: check the path."
    )


def test_a_folder_without_class_folders_is_an_error(
    tmp_path: Path, read: Callable[..., Manifest], quarters: Image.Image
) -> None:
    (tmp_path / "data").mkdir()
    expected = (
        "  Expected: DATA/CLASS/images, DATA/train/CLASS/images, or a table of paths and labels\n"
        "  Fix: sort the images into one folder per class, or list their classes in a table."
    )
    assert message_of(read) == f"{tmp_path}/data: no images with a class.\n{expected}"
    quarters.save(tmp_path / "data" / "photo.png")
    assert message_of(read) == (
        f"{tmp_path}/data: no images with a class; {tmp_path}/data/photo.png is not in a class folder.\n{expected}"
    )


def test_no_usable_image_at_all_is_an_error(tmp_path: Path, read: Callable[..., Manifest]) -> None:
    for name in ("red", "blue"):
        (tmp_path / "data" / name).mkdir(parents=True)
        (tmp_path / "data" / name / "1.jpg").write_bytes(b"")
    assert message_of(read) == (
        f"{tmp_path}/data: none of 2 files is a usable image; {tmp_path}/data/blue/1.jpg: empty file.\n"
        "  Expected: images in JPEG, PNG, WebP, TIFF or another common format\n"
        "  Fix: check the folder, or the paths in the table."
    )


def test_one_class_alone_is_an_error(tmp_path: Path, fill: Callable[..., Path], read: Callable[..., Manifest]) -> None:
    fill({"red": 5})
    assert message_of(read) == (
        f"{tmp_path}/data: there is only one class, 'red'.\n"
        "  Expected: two or more classes, each a folder of images or a name in the table's label column\n"
        "  Fix: add images of another class; if these folders are not the classes, use the folder above or below."
    )


def test_a_class_with_one_image_is_an_error(
    tmp_path: Path, fill: Callable[..., Path], read: Callable[..., Manifest]
) -> None:
    data = fill({"red": 5, "blue": 1, "green": 5})
    expected = (
        "  Expected: two or more different images of every class, for training and validation\n"
        "  Fix: add images, or remove the class; unusable files do not count."
    )
    assert message_of(read) == f"{data}: the class 'blue' has one usable image.\n{expected}"
    shutil.copy(data / "blue/blue_000.png", data / "blue/copy.png")
    assert message_of(read) == f"{data}: the class 'blue' has one usable image.\n{expected}"
    (data / "empty").mkdir()
    (data / "empty" / "1.jpg").touch()
    (data / "green" / "green_000.png").write_bytes(b"")
    assert message_of(read) == (
        f"{data}: the class 'blue' has one usable image; the same goes for 1 other class.\n{expected}"
    )


def test_a_class_in_one_split_only_is_an_error(fill: Callable[..., Path], read: Callable[..., Manifest]) -> None:
    data = fill({"train/red": 2, "train/blue": 2, "val/red": 2, "val/blue": 2, "val/Red": 2, "test/Red": 1})
    assert message_of(read) == (
        f"{data}: there are no usable train images of class 'Red', only for validation and test.\n"
        "  Expected: train images of every class, so that it can be learned\n"
        "  Fix: add train images of 'Red' (or is it 'red', spelled differently?), or remove the class."
    )
    shutil.rmtree(data / "val/Red")
    shutil.rmtree(data / "test/Red")
    shutil.rmtree(data / "val/blue")
    assert message_of(read) == (
        f"{data}: there are no usable validation images of class 'blue', only for train.\n"
        "  Expected: validation images of every class, so that it can be measured\n"
        "  Fix: add validation images of 'blue', or remove the class."
    )


def test_no_training_images_are_an_error(fill: Callable[..., Path], read: Callable[..., Manifest]) -> None:
    data = fill({"val/red": 2, "test/blue": 2})
    assert message_of(read) == (
        f"{data}: there are no usable training images, only test and validation.\n"
        "  Expected: a split named train or training\n"
        "  Fix: add the training images, or use a folder of class folders."
    )


def test_a_class_that_the_model_does_not_know_is_an_error(
    fill: Callable[..., Path], read: Callable[..., Manifest], evaluation: Callable[..., Manifest]
) -> None:
    data = fill({"red": 3, "bleu": 3})
    expected = (
        f"{data}: the model has no class 'bleu'.\n  Expected: its classes: blue, red\n  Fix: did you mean 'blue'?"
    )
    assert message_of(read, earlier=EarlierImages(("blue", "red"))) == expected
    assert message_of(evaluation, ("blue", "red")) == expected


def test_a_class_of_the_model_that_the_data_lack_is_an_error_in_training(
    fill: Callable[..., Path], read: Callable[..., Manifest]
) -> None:
    data = fill({"train/red": 3, "train/blue": 3, "val/red": 1, "val/blue": 1})
    assert message_of(read, earlier=EarlierImages(("blue", "green", "red"))) == (
        f"{data}: there are no usable train images of class 'green'.\n"
        "  Expected: train images of every class, so that it can be learned\n"
        "  Fix: add train images of 'green', or remove the class."
    )


def test_a_class_name_that_no_model_could_hold_is_an_error(
    fill: Callable[..., Path], read: Callable[..., Manifest]
) -> None:
    data = fill({"red": 3, "blue\n": 3})
    assert message_of(read) == (
        f"{data}: the class name 'blue\\n' is invalid.\n"
        "  Expected: 1 to 200 characters without control characters\n"
        "  Fix: rename the class."
    )


def test_strict_makes_the_first_unusable_file_an_error(
    fill: Callable[..., Path], read: Callable[..., Manifest], evaluation: Callable[..., Manifest]
) -> None:
    data = fill({"red": 3, "blue": 3})
    assert len(read(strict=True).records) == 6
    (data / "red" / "x.jpg").write_bytes(b"")
    expected = (
        f"{data}/red/x.jpg: empty file.\n"
        "  Expected: only usable images, because of --strict\n"
        "  Fix: fix or remove the file, or remove --strict to skip it."
    )
    assert message_of(read, strict=True) == expected
    assert message_of(evaluation, ("blue", "red"), strict=True) == expected


def test_settings_that_do_not_apply_are_refused(fill: Callable[..., Path], read: Callable[..., Manifest]) -> None:
    data = fill({"train/red": 3, "train/blue": 3, "test/red": 1, "test/blue": 1})
    assert message_of(read, test_fraction=0.1) == (
        f"test_fraction is 0.1, but {data} already has a test split.\n"
        "  Expected: a test fraction only if the data has no test split\n"
        "  Fix: remove test_fraction."
    )
    assert message_of(read, label_column="species") == (
        f"label_column is 'species', but {data} is a folder.\n"
        "  Expected: column names only with a table\n"
        "  Fix: remove --label-column, or use a table instead of the folder."
    )
    assert message_of(read, validation_fraction=0.0) == (
        f"{data}: there are no validation images, and validation_fraction is 0.\n"
        "  Expected: images to validate on\n"
        "  Fix: set validation_fraction above 0, such as 0.2."
    )
    shutil.rmtree(data / "test")
    assert message_of(read, validation_fraction=0.5, test_fraction=0.5) == (
        "validation_fraction and test_fraction are 0.5 and 0.5.\n  Expected: a sum below 1\n  Fix: reduce one of them."
    )


def test_an_evaluation_set_is_all_of_a_folder_without_splits(
    fill: Callable[..., Path], evaluation: Callable[..., Manifest]
) -> None:
    fill({"red": 3, "blue": 1})
    manifest = evaluation(("green", "red", "blue"))
    assert manifest.class_names == ("green", "red", "blue")
    assert count(manifest) == {("red", "test"): 3, ("blue", "test"): 1}
    assert manifest.notices == ("The test split has no images of class 'green'.",)


def test_an_evaluation_set_is_the_test_split_or_the_one_asked_for(
    fill: Callable[..., Path], evaluation: Callable[..., Manifest]
) -> None:
    data = fill({"train/red": 3, "train/blue": 3, "val/red": 2, "test/blue": 1})
    assert count(evaluation(("blue", "red"))) == {("blue", "test"): 1}
    assert count(evaluation(("blue", "red"), split="validation")) == {("red", "test"): 2}
    shutil.rmtree(data / "test")
    assert message_of(evaluation, ("blue", "red")) == (
        f"{data}: there is no test split.\n"
        "  Expected: one of the existing splits: train, validation\n"
        "  Fix: use --split validation, or other data."
    )
    assert message_of(evaluation, ("blue", "red"), split="test", data=data / "train") == (
        f"the split 'test' was requested, but {data}/train has no splits.\n"
        "  Expected: --split only with data that has split folders or a split column\n"
        "  Fix: remove --split to use all images."
    )


def test_an_evaluation_set_may_be_a_table_and_a_sample(
    fill: Callable[..., Path], evaluation: Callable[..., Manifest]
) -> None:
    data = fill({"pictures": 20})
    rows = [f"pictures/pictures_{index:03d}.png,{'ab'[index % 2]}" for index in range(20)]
    (data / "table.csv").write_text("\n".join(["image,label", *rows]))
    assert count(evaluation("ab", data=data / "table.csv")) == {("a", "test"): 10, ("b", "test"): 10}
    assert count(evaluation("ab", data=data / "table.csv", sample=0.3)) == {("a", "test"): 3, ("b", "test"): 3}
