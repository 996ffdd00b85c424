from __future__ import annotations

import unicodedata
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tlkit.data.file_index import FileFacts, FileIndex
from tlkit.data.manifest import Manifest
from tlkit.data.parts import Part, read_part
from tlkit.data.views import ViewPlan
from tlkit.errors import DataError, SettingError
from tlkit.recipes.settings import DataSettings

ALL_IMAGES = DataSettings()
THREE_VIEWS = ViewPlan("standard", 3)
SPLITS = {"train/red": 6, "train/blue": 6, "validation/red": 2, "validation/blue": 2}


def no_progress(total: int) -> AbstractContextManager[Callable[[int], None]]:
    return nullcontext(lambda count: None)


def read(
    data: Path,
    part: str,
    settings: DataSettings = ALL_IMAGES,
    views: ViewPlan = THREE_VIEWS,
) -> Manifest:
    index = FileIndex(data.parent / "index")
    return read_part(data, settings, Part.parse(part), views=views, index=index, progress=no_progress)


def test_each_image_belongs_to_exactly_one_part_and_the_parts_are_about_equal() -> None:
    root = Path("/data")
    counts = [
        sum(Part(number, 4).holds(root / f"a/{image}.jpg", root) for image in range(4_000)) for number in range(1, 5)
    ]
    assert sum(counts) == 4_000
    assert max(abs(number - 1_000) for number in counts) < 150


def test_the_part_of_an_image_is_the_same_on_every_machine_and_in_every_release() -> None:
    held = [next(n for n in range(1, 9) if Part(n, 8).holds(Path(f"/x/red/{i}.png"), Path("/x"))) for i in range(8)]
    assert held == [1, 7, 5, 2, 4, 4, 1, 2]
    moved = [
        next(n for n in range(1, 9) if Part(n, 8).holds(Path(f"/y/z/red/{i}.png"), Path("/y/z"))) for i in range(8)
    ]
    assert moved == held


def test_a_name_counts_in_its_composed_form_which_file_systems_differ_in() -> None:
    root = Path("/data")
    for name in ("Blässhuhn", "Øresund", "Éclair"):
        forms = [root / unicodedata.normalize(form, name) for form in ("NFC", "NFD")]
        assert Part(1, 2).holds(forms[0], root) == Part(1, 2).holds(forms[1], root)


def test_a_name_that_is_no_unicode_and_a_path_outside_the_root_have_a_part(tmp_path: Path) -> None:
    for path in (tmp_path / "caf\udce9.png", Path("/elsewhere/a.png")):
        assert sum(Part(number, 3).holds(path, tmp_path) for number in (1, 2, 3)) == 1


@pytest.mark.parametrize("text", ["0/3", "4/3", "3", "1/0", "1/-2", "a/b", "", "1/2/3", "1.5/3"])
def test_a_part_that_does_not_exist_is_refused(text: str) -> None:
    with pytest.raises(SettingError) as refusal:
        Part.parse(text)
    assert str(refusal.value) == (
        f"--part is {text!r}.\n"
        "  Expected: number/count, from 1/COUNT to COUNT/COUNT\n"
        "  Fix: use --part 1/8 for the first of eight parts, and --part 8/8 for the last."
    )


def test_parts_together_are_all_images_with_their_given_splits(
    tmp_path: Path, make_image_folder: Callable[..., Path]
) -> None:
    photos = make_image_folder(tmp_path / "photos", SPLITS)
    parts = [read(photos, f"{number}/3") for number in (1, 2, 3)]
    records = [record for part in parts for record in part.records]
    assert sorted(record.path for record in records) == sorted(photos.glob("*/*/*"))
    assert all(record.split == record.path.parts[-3] and record.answer == record.path.parts[-2] for record in records)
    assert all(part.class_names == ("blue", "red") for part in parts)
    assert [part.notices for part in parts] == [
        (f"Part {number}/3: {len(part.records)} of 16 images.",) for number, part in enumerate(parts, start=1)
    ]


def test_a_part_reads_no_file_of_another_part(
    tmp_path: Path, make_image_folder: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    photos = make_image_folder(tmp_path / "photos", SPLITS)
    looked_at: list[Path] = []
    look = FileIndex.look

    def watch(index: FileIndex, paths: Sequence[Path], **more: Callable[[int], None]) -> list[FileFacts]:
        looked_at.extend(paths)
        return look(index, paths, **more)

    monkeypatch.setattr(FileIndex, "look", watch)
    manifest = read(photos, "2/3")
    assert looked_at == [path for path in looked_at if Part(2, 3).holds(path, photos)]
    assert looked_at == [record.path for record in manifest.records]


def test_without_given_splits_every_image_may_be_one_for_training(
    tmp_path: Path, make_image_folder: Callable[..., Path]
) -> None:
    photos = make_image_folder(tmp_path / "photos", {"red": 4, "blue": 1})
    parts = [read(photos, f"{number}/2") for number in (1, 2)]
    assert {record.split for part in parts for record in part.records} == {"train"}
    assert parts[0].notices[1:] == (
        "All images of the part get 3 views, but those of a split that the data gives: which ones a run holds out for "
        "validation is decided among all images.",
    )
    assert read(photos, "1/2", views=ViewPlan()).notices[1:] == ()


def test_a_part_of_unusable_files_or_of_none_is_no_error(
    tmp_path: Path, make_image_folder: Callable[..., Path]
) -> None:
    photos = make_image_folder(tmp_path / "photos", {"red": 1, "blue": 1})
    for path in photos.glob("*/*"):
        path.write_bytes(b"not an image")
    parts = [read(photos, f"{number}/40", views=ViewPlan()) for number in range(1, 41)]
    assert all(part.records == () for part in parts)
    skipped = [item for part in parts for item in part.skipped]
    assert sorted(item.path for item in skipped) == sorted(photos.glob("*/*"))
    notices = [notice for part in parts for notice in part.notices[1:]]
    assert sorted(notices) == sorted(f"1 file is skipped; the first: {each.path} (not an image)." for each in skipped)


def test_strict_stops_only_the_part_with_the_file(tmp_path: Path, make_image_folder: Callable[..., Path]) -> None:
    photos = make_image_folder(tmp_path / "photos", SPLITS)
    broken = min(photos.glob("*/*/*"))
    broken.write_bytes(b"not an image")
    strict = DataSettings(strict=True)
    own = 1 if Part(1, 2).holds(broken, photos) else 2
    read(photos, f"{3 - own}/2", strict)
    with pytest.raises(DataError) as refusal:
        read(photos, f"{own}/2", strict)
    assert str(refusal.value) == (
        f"{broken}: not an image.\n"
        "  Expected: only usable images, because of --strict\n"
        "  Fix: fix or remove the file, or remove --strict to skip it."
    )


def test_deep_grey_is_refused_since_its_range_needs_all_images(
    tmp_path: Path, make_image_folder: Callable[..., Path]
) -> None:
    photos = make_image_folder(tmp_path / "photos", SPLITS)
    deep = min(photos.glob("*/*/*"))
    Image.fromarray(np.arange(64, dtype=np.uint16).reshape(8, 8) * 900).save(deep)
    own = 1 if Part(1, 2).holds(deep, photos) else 2
    with pytest.raises(DataError) as refusal:
        read(photos, f"{own}/2")
    assert str(refusal.value) == (
        f"{deep}: 16-bit grey, of which part {own}/2 cannot know what is black and what is white.\n"
        "  Expected: images of 8 bits with --part; the range of deeper grey is measured on all images\n"
        "  Fix: remove --part, or convert the images to 8 bits."
    )


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            DataSettings(sample=0.5),
            "sample is 0.5, and --part is given: a sample is drawn from all images, by their content.\n"
            "  Expected: all images of the part\n"
            "  Fix: remove --sample, or remove --part.",
        ),
        (
            DataSettings(group_by="similarity"),
            "group_by is similarity, and --part is given: near copies can be in different parts.\n"
            "  Expected: no --group-by with --part; it makes no difference to features\n"
            "  Fix: remove --group-by.",
        ),
    ],
)
def test_settings_that_need_all_images_are_refused(tmp_path: Path, settings: DataSettings, message: str) -> None:
    with pytest.raises(SettingError) as refusal:
        read(tmp_path, "1/2", settings)
    assert str(refusal.value) == message


def test_images_without_a_usable_box_are_said_to_be_computed(
    tmp_path: Path, make_image_folder: Callable[..., Path]
) -> None:
    photos = make_image_folder(tmp_path / "photos", SPLITS)
    table = tmp_path / "boxes.csv"
    rows = [f"{path},{path.parts[-2]},1,1,9,9" for path in sorted(photos.glob("*/*/*"))[1:]]
    table.write_text("\n".join(["path,label,left,top,right,bottom", *rows]) + "\n")
    parts = [read(photos, f"{number}/2", DataSettings(boxes=str(table))) for number in (1, 2)]
    assert sum(len(part.records) for part in parts) == 16
    assert parts[0].notices[-1] == "Images without a usable box are computed, too: boxes are checked among all images."
