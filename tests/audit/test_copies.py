from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageEnhance

from tlkit.audit.copies import Copies, group_copies, make_copy_findings
from tlkit.data.looks import read_looks
from tlkit.data.manifest import ImageRecord
from tlkit.similarity.search import find_neighbours
from tlkit.tasks.objects import describe_objects


@contextmanager
def no_progress(total: int) -> Iterator[Callable[[int], None]]:
    yield lambda count: None


def draw_photo(seed: int) -> Image.Image:
    rng = np.random.default_rng(seed)
    pixels = np.zeros((120, 160))
    for edge in (4, 8, 16, 32):
        layer = Image.fromarray(rng.normal(size=(edge, edge)).astype(np.float32))
        pixels += np.asarray(layer.resize((160, 120), Image.Resampling.BICUBIC)) / np.sqrt(edge)
    pixels = (pixels - pixels.min()) / np.ptp(pixels) * 220
    return Image.fromarray(pixels.astype(np.uint8))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("photos") / "cat"
    root.mkdir()
    photos = [draw_photo(seed) for seed in range(7)]
    for number, photo in enumerate(photos):
        photo.save(root / f"{number}.png")
    (root / "0-again.png").write_bytes((root / "0.png").read_bytes())
    photos[1].save(root / "1-pixels.png", compress_level=0)
    photos[2].transpose(Image.Transpose.ROTATE_270).save(root / "2-turned.jpg", quality=90)
    photos[2].transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(root / "2-mirrored.jpg", quality=90)
    photos[3].resize((80, 60)).save(root / "3-small.jpg", quality=90)
    ImageEnhance.Brightness(photos[4]).enhance(0.6).save(root / "4-dark.jpg", quality=90)
    photos[5].crop((20, 6, 156, 108)).save(root / "5-part.jpg", quality=90)
    photos[5].save(root / "5-coarse.jpg", quality=30)
    return root


def read_records(folder: Path, *names: str, **changed: str) -> list[ImageRecord]:
    return [
        ImageRecord(path, hashlib.sha256(path.read_bytes()).hexdigest(), 1, 1, "train", "cat")
        for path in (folder / name for name in names)
    ]


def find(records: list[ImageRecord]) -> Copies:
    features = np.stack([_feature(record.path.name) for record in records])
    nearest = find_neighbours(features, features, 10, exclude_self=True)
    return group_copies(records, nearest, read_looks(records, progress=no_progress))


def _feature(name: str) -> np.ndarray:
    feature: np.ndarray = np.random.default_rng(int(name[0])).normal(size=16)
    return feature


def test_the_largest_picture_is_what_the_others_are_copies_of(folder: Path) -> None:
    names = sorted(path.name for path in folder.iterdir())
    copies = find(read_records(folder, *names))
    groups = [sorted(names[place] for place in group) for group in copies.list_groups()]
    assert groups == [
        ["0-again.png", "0.png"],
        ["1-pixels.png", "1.png"],
        ["2-mirrored.jpg", "2-turned.jpg", "2.png"],
        ["3-small.jpg", "3.png"],
        ["4-dark.jpg", "4.png"],
        ["5-coarse.jpg", "5-part.jpg", "5.png"],
    ]
    relations = {names[place]: relation for place, relation in enumerate(copies.relations)}
    words = {name: f"{each.words} {names[each.other]}" for name, each in relations.items() if each}
    assert words["0-again.png"] == "the same file as 0.png"
    assert words["1-pixels.png"] == "the same pixels as 1.png"
    assert words["2-mirrored.jpg"] in (
        "a copy, mirrored, of 2.png",
        "a copy, mirrored and turned by 90°, of 2-turned.jpg",
    )
    assert words["2.png"] in (
        "a copy, turned by 90° counterclockwise, of 2-turned.jpg",
        "a copy, mirrored, of 2-mirrored.jpg",
    )
    assert words["3-small.jpg"] == "a copy, resized, of 3.png"
    assert words["4-dark.jpg"] == "a copy, darker, of 4.png"
    assert words["5-part.jpg"].startswith("a copy, cut to 85%, of 5")
    assert relations["6.png"] is None


def test_a_group_with_two_labels_is_a_conflict_and_all_its_images_are_listed(folder: Path) -> None:
    records = read_records(folder, "0.png", "6.png", "0-again.png", "3.png", "3-small.jpg")
    records[2] = ImageRecord(records[2].path, records[2].sha256, 1, 1, "validation", "dog")
    found = make_copy_findings(records, find(records))
    assert [(each.kind, each.path.name, each.group, each.evidence) for each in found] == [
        (
            "conflict",
            "0.png",
            0,
            "It is the same file as cat/0-again.png; labels in the group: cat, dog; the copies lie in train and validation.",
        ),
        (
            "conflict",
            "0-again.png",
            0,
            "It is the same file as cat/0.png; labels in the group: cat, dog; the copies lie in train and validation.",
        ),
        ("copy", "3.png", 1, "It is a copy, resized, of cat/3-small.jpg."),
        ("copy", "3-small.jpg", 1, "It is a copy, resized, of cat/3.png."),
    ]
    assert found[0].others == (records[2].path,)
    assert found[0].score > found[2].score


def test_files_that_cannot_be_read_any_more_are_copies_only_by_their_bytes(folder: Path) -> None:
    records = read_records(folder, "0.png", "1.png")
    gone = [ImageRecord(folder / f"gone-{number}", "abc", 1, 1, "train", "cat") for number in range(2)]
    copies = group_copies([*records, *gone], None, read_looks([*records, *gone], progress=no_progress))
    assert copies.groups.tolist() == [-1, -1, 0, 0]


def test_answers_that_say_the_same_are_a_conflict_only_on_the_same_pixels(folder: Path) -> None:
    records = read_records(folder, "0.png", "0-again.png", "3.png", "3-small.jpg")
    answers = [f'[["cat",{left},0,{left + 5},5]]' for left in range(4)]
    records = [dataclasses.replace(record, answer=answer) for record, answer in zip(records, answers, strict=True)]
    found = make_copy_findings(records, find(records), describe=describe_objects)
    assert [(each.kind, each.path.name, each.given) for each in found] == [
        ("conflict", "0.png", "1 × cat"),
        ("conflict", "0-again.png", "1 × cat"),
        ("copy", "3.png", "1 × cat"),
        ("copy", "3-small.jpg", "1 × cat"),
    ]
    assert found[0].evidence == "It is the same file as cat/0-again.png; they are not annotated alike."
    alike = make_copy_findings(records, find(records), describe=describe_objects, agree=lambda answer, other: True)
    assert {each.kind for each in alike} == {"copy"}
