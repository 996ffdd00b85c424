"""Near copies across splits, and kept together: found by pixels, on pictures drawn here."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tlkit.data import file_index, near_copies
from tlkit.data.dataset import read_dataset
from tlkit.data.file_index import FileIndex
from tlkit.data.manifest import Manifest
from tlkit.data.near_copies import find_split_copies, key_by_similarity
from tlkit.errors import SettingError
from tlkit.recipes import DataSettings

NUM_PHOTOS = 24


@contextmanager
def no_progress(total: int) -> Iterator[Callable[[int], None]]:
    yield lambda count: None


def draw_photo(seed: int) -> Image.Image:
    rng = np.random.default_rng(seed)
    pixels = np.zeros((60, 80))
    for edge in (4, 8, 16, 32):
        layer = Image.fromarray(rng.normal(size=(edge, edge)).astype(np.float32))
        pixels += np.asarray(layer.resize((80, 60), Image.Resampling.BICUBIC)) / np.sqrt(edge)
    pixels = (pixels - pixels.min()) / np.ptp(pixels) * 255
    return Image.fromarray(pixels.astype(np.uint8))


def draw_folder(root: Path, *, split: str = "", copies_in: str = "") -> Path:
    """Draw photos of two classes, and a mirrored copy of every second one."""
    for number in range(NUM_PHOTOS):
        name = "cat" if number % 4 < 2 else "dog"
        photo = draw_photo(number)
        for folder in (root / split / name, root / copies_in / name):
            folder.mkdir(parents=True, exist_ok=True)
        photo.save(root / split / name / f"{number}.png")
        if number % 2:
            photo.transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(root / copies_in / name / f"{number}-mirrored.jpg")
    return root


def read(data: Path, seed: int = 0, **settings: object) -> Manifest:
    return read_dataset(data, DataSettings(**settings), seed=seed, index=FileIndex(data.parent / "index"))  # type: ignore[arg-type]


def list_torn(manifest: Manifest) -> set[str]:
    splits: dict[str, set[str]] = {}
    for record in manifest.records:
        splits.setdefault(record.path.stem.split("-")[0], set()).add(record.split)
    return {number for number, found in splits.items() if len(found) > 1}


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_folder(tmp_path_factory.mktemp("copies") / "photos")


def test_copies_on_both_sides_of_a_split_are_found_and_said_in_one_line(photos: Path) -> None:
    manifest = read(photos)
    torn = list_torn(manifest)
    assert torn
    copies = find_split_copies(manifest, can_be_grouped=True, progress=no_progress)
    assert {record.path.stem.split("-")[0] for record in copies.in_split("validation")} == torn
    assert all(one.path.stem.split("-")[0] == other.path.stem.split("-")[0] for one, other in copies.copies)
    assert {other.split for _, other in copies.copies} == {"train"}
    number = len(copies.copies)
    assert copies.sentence() == (
        f"Of {copies.num_compared} images compared, {number} validation images have a near copy among the training "
        "images, so scores are too optimistic; a run lists them in findings.csv; where tlkit makes the split, --group-by similarity keeps copies together."
    )


def test_group_by_similarity_keeps_copies_together(photos: Path) -> None:
    for seed in range(3):
        manifest = read(photos, seed, group_by="similarity", test_fraction=0.2)
        assert list_torn(manifest) == set()
        assert {record.split for record in manifest.records} == {"train", "validation", "test"}
        found = find_split_copies(manifest, can_be_grouped=False, progress=no_progress)
        assert (found.copies, found.sentence()) == ((), "")


def test_only_copies_share_a_key_with_other_images(photos: Path) -> None:
    records = read(photos).records
    keys = key_by_similarity(records, progress=no_progress)
    groups: dict[str, set[str]] = {}
    for record in records:
        groups.setdefault(keys[record.sha256], set()).add(record.path.stem.split("-")[0])
    assert len(groups) == NUM_PHOTOS
    assert all(len(group) == 1 for group in groups.values())
    assert all(key in keys for key in groups)


def test_images_without_facts_are_looked_at_again(photos: Path) -> None:
    manifest = read(photos)
    stored = dataclasses.replace(
        manifest, records=tuple(dataclasses.replace(record, facts=None) for record in manifest.records)
    )
    first, again = (find_split_copies(each, can_be_grouped=True, progress=no_progress) for each in (manifest, stored))
    assert first.copies == again.copies


def test_of_a_large_data_set_some_images_are_compared(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    manifest = read(photos)
    num_train = len(manifest.in_split("train"))
    monkeypatch.setattr(near_copies, "MAX_COMPARISONS", 3 * num_train)
    assert find_split_copies(manifest, can_be_grouped=True, progress=no_progress).num_compared == 3


def test_copies_in_a_given_split_are_found_too(tmp_path: Path) -> None:
    data = draw_folder(tmp_path / "photos", split="train", copies_in="test")
    copies = find_split_copies(read(data), can_be_grouped=False, progress=no_progress)
    assert len(copies.in_split("test")) == NUM_PHOTOS // 2 - sum(
        record.split == "validation" and int(record.path.stem) % 2
        for record in read(data).records
        if "-" not in record.path.stem
    )
    assert copies.sentence().endswith("a run lists them in findings.csv; `tlkit audit` lists all copies.")


def test_there_is_nothing_to_group_where_the_data_has_all_its_splits(tmp_path: Path) -> None:
    data = draw_folder(tmp_path / "photos", split="train", copies_in="validation")
    with pytest.raises(SettingError) as caught:
        read(data, group_by="similarity")
    assert str(caught.value) == (
        f"group_by is similarity, but {data} has all its splits already.\n"
        "  Expected: data of which a split is made here\n"
        "  Fix: remove --group-by, or use a folder of class folders without split folders."
    )


def test_the_small_picture_of_the_index_is_the_upright_one(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[274] = 6
    lying = Image.new("RGB", (800, 400), "black")
    lying.paste("white", (0, 0, 400, 400))
    lying.save(tmp_path / "lying.jpg", exif=exif)
    for _ in range(2):
        (facts,) = FileIndex(tmp_path / "index").look([tmp_path / "lying.jpg"])
        small = np.frombuffer(facts.thumbnail, np.uint8).reshape(16, 16)
        assert small[:7].min() > 240
        assert small[9:].max() < 15


def test_the_small_picture_is_remembered(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_index, "RACY_SECONDS", 0)
    paths = sorted(photos.rglob("*.png"))[:3]
    before = FileIndex(tmp_path).look(paths)
    monkeypatch.setattr(file_index, "decode_image", None)
    assert FileIndex(tmp_path).look(paths) == before
    assert all(len(facts.thumbnail) == 256 for facts in before)
