"""Splits: stratified, seeded, duplicates together, earlier splits kept."""

from __future__ import annotations

import hashlib
import random
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest

from tlkit.data.manifest import ImageRecord
from tlkit.data.splits import NOT_GIVEN, assign_splits, complete_splits, sample_stratified
from tlkit.recipes.settings import DataSettings
from tlkit.tasks.objects import SceneObject, find_rarest_names, name_objects, write_objects


def make_hashes(number: int, salt: str = "") -> list[str]:
    return [hashlib.sha256(f"{salt}{index}".encode()).hexdigest() for index in range(number)]


def divide(num_images: int, validation: float = 0.2, test: float = 0.0, seed: int = 0) -> Counter[str]:
    hashes = make_hashes(num_images)
    return Counter(
        assign_splits(hashes, ["a"] * num_images, validation_fraction=validation, test_fraction=test, seed=seed)
    )


@pytest.mark.parametrize(
    ("num_images", "validation", "test", "expected"),
    [
        (10, 0.2, 0.0, (8, 2, 0)),
        (100, 0.29, 0.01, (70, 29, 1)),
        (10, 0.15, 0.15, (7, 2, 1)),
        (3, 0.2, 0.0, (2, 1, 0)),
        (2, 0.2, 0.0, (1, 1, 0)),
        (2, 0.9, 0.0, (1, 1, 0)),
        (2, 0.1, 0.1, (1, 1, 0)),
        (3, 0.1, 0.1, (1, 1, 1)),
        (1, 0.2, 0.0, (1, 0, 0)),
        (10, 0.0, 0.0, (10, 0, 0)),
        (1000, 0.2, 0.1, (700, 200, 100)),
    ],
)
def test_counts_follow_the_fractions(
    num_images: int, validation: float, test: float, expected: tuple[int, int, int]
) -> None:
    counts = divide(num_images, validation, test)
    assert (counts["train"], counts["validation"], counts["test"]) == expected


def test_every_class_is_divided_by_itself() -> None:
    hashes = make_hashes(110)
    classes = ["rare"] * 10 + ["frequent"] * 100
    splits = assign_splits(hashes, classes, validation_fraction=0.3, test_fraction=0.0, seed=0)
    assert Counter(zip(classes, splits, strict=True)) == {
        ("rare", "train"): 7,
        ("rare", "validation"): 3,
        ("frequent", "train"): 70,
        ("frequent", "validation"): 30,
    }


def test_the_seed_decides_and_order_does_not() -> None:
    hashes = make_hashes(50)

    def split(order: list[str], seed: int) -> dict[str, str]:
        splits = assign_splits(order, ["a"] * 50, validation_fraction=0.2, test_fraction=0.2, seed=seed)
        return dict(zip(order, splits, strict=True))

    assert split(hashes, 0) == split(hashes[::-1], 0)
    assert split(hashes, 0) != split(hashes, 1)


def test_images_with_the_same_bytes_stay_together() -> None:
    hashes = make_hashes(20) * 3
    classes = ["a"] * 20 + ["a"] * 20 + ["b"] * 20
    for seed in range(20):
        splits = assign_splits(hashes, classes, validation_fraction=0.3, test_fraction=0.2, seed=seed)
        assert splits[:20] == splits[20:40] == splits[40:]
        assert Counter(splits[:20]) == {"train": 10, "validation": 6, "test": 4}


def test_images_under_two_classes_are_divided_with_the_first_by_name() -> None:
    hashes = make_hashes(20)
    order = (
        [(sha256, "b") for sha256 in hashes[:10]]
        + [(sha256, "a") for sha256 in hashes]
        + [(sha256, "c") for sha256 in hashes[:10]]
    )
    splits = assign_splits(*zip(*order, strict=True), validation_fraction=0.15, test_fraction=0.0, seed=0)
    assert Counter(splits[10:30]) == {"train": 17, "validation": 3}
    assert splits[:10] == splits[10:20] == splits[30:]


def test_one_more_image_moves_almost_nothing() -> None:
    hashes = make_hashes(101)
    before = assign_splits(hashes[:100], ["a"] * 100, validation_fraction=0.2, test_fraction=0.0, seed=0)
    after = assign_splits(hashes, ["a"] * 101, validation_fraction=0.2, test_fraction=0.0, seed=0)
    assert sum(old != new for old, new in zip(before, after, strict=False)) <= 1


def test_earlier_splits_are_kept_and_new_images_fill_up() -> None:
    hashes = make_hashes(20)
    keep = dict.fromkeys(hashes[:8], "train") | dict.fromkeys(hashes[8:10], "validation")
    splits = assign_splits(hashes, ["a"] * 20, validation_fraction=0.3, test_fraction=0.1, seed=0, keep=keep)
    assert splits[:10] == ["train"] * 8 + ["validation"] * 2
    assert Counter(splits) == {"train": 12, "validation": 6, "test": 2}


def test_earlier_splits_are_kept_against_the_fractions() -> None:
    hashes = make_hashes(12)
    keep = dict.fromkeys(hashes[:10], "validation")
    splits = assign_splits(hashes, ["a"] * 12, validation_fraction=0.2, test_fraction=0.0, seed=0, keep=keep)
    assert splits == ["validation"] * 10 + ["train"] * 2


@pytest.mark.parametrize(("validation", "test"), [(0.6, 0.4), (-0.2, 0.1), (1.0, 0.0)])
def test_fractions_must_leave_a_part_for_training(validation: float, test: float) -> None:
    with pytest.raises(ValueError, match="must leave images for training"):
        divide(10, validation, test)


def test_a_sample_has_every_stratum_in_proportion() -> None:
    hashes = make_hashes(160)
    strata = ["a"] * 100 + ["b"] * 50 + ["c"] * 9 + ["d"]
    positions = sample_stratified(hashes, strata, fraction=0.1, seed=0)
    assert Counter(strata[position] for position in positions) == {"a": 10, "b": 5, "c": 2, "d": 1}
    assert positions == sorted(set(positions))


def test_a_sample_is_seeded_and_grows_without_dropping() -> None:
    hashes = make_hashes(100)
    small = sample_stratified(hashes, ["a"] * 100, fraction=0.2, seed=0)
    large = sample_stratified(hashes, ["a"] * 100, fraction=0.5, seed=0)
    assert set(small) < set(large)
    assert small == sample_stratified(hashes, ["a"] * 100, fraction=0.2, seed=0)
    assert small != sample_stratified(hashes, ["a"] * 100, fraction=0.2, seed=1)
    assert small != list(range(20))


def test_a_sample_takes_twins_together() -> None:
    hashes = make_hashes(10) * 2
    positions = set(sample_stratified(hashes, ["a"] * 20, fraction=0.5, seed=0))
    assert len(positions) == 10
    assert all((position + 10) % 20 in positions for position in positions)


def test_a_sample_is_not_the_validation_split() -> None:
    hashes = make_hashes(100)
    sample = sample_stratified(hashes, ["a"] * 100, fraction=0.2, seed=0)
    splits = assign_splits(hashes, ["a"] * 100, validation_fraction=0.2, test_fraction=0.0, seed=0)
    assert sum(splits[position] == "validation" for position in sample) < 12


@pytest.mark.usefixtures("detection")
@pytest.mark.parametrize(("test_fraction", "num_images"), [(0.0, 12), (0.2, 12), (0.4, 7)])
def test_every_class_of_objects_is_trained_and_validated_if_two_images_can_be_found_for_it(
    test_fraction: float, num_images: int
) -> None:
    rng = random.Random(1)
    num_repaired = 0
    for seed in range(150):
        scenes = [rng.sample("abcde", rng.randint(0, 4)) for _ in range(num_images)]
        names = sorted({name for scene in scenes for name in scene})
        if any(sum(name in scene for scene in scenes) < 2 for name in names):
            continue
        answers = [write_objects(SceneObject(name, 0, 0, 9, 9) for name in scene) for scene in scenes]
        records = [
            ImageRecord(Path(f"/data/{number}.png"), f"{seed}/{number}", 64, 48, NOT_GIVEN, answer)
            for number, answer in enumerate(answers)
        ]
        settings = DataSettings(task="detection", test_fraction=test_fraction)
        completed = complete_splits(Path("/data"), names, records, settings, seed, {}, lambda pool: {})
        assert {record.split for record in completed} <= {"train", "validation", "test"}
        found = {split: _find_names(completed, split) for split in ("train", "validation")}
        assert found["train"] == set(names)
        assigned = assign_splits(
            [record.sha256 for record in records],
            find_rarest_names(answers),
            validation_fraction=0.2,
            test_fraction=test_fraction,
            seed=seed,
        )
        before = {
            name for split, scene in zip(assigned, scenes, strict=True) if split == "validation" for name in scene
        }
        num_repaired += len(found["validation"] - before)
        for name in set(names) - found["validation"]:  # its images are the only ones for training of some other
            rest = [record for record in completed if name in name_objects(record.answer) and record.split == "train"]
            for record in rest:
                others = [_find_names([other], "train") for other in completed if other is not record]
                assert set(name_objects(record.answer)) - set().union(*others)
    assert num_repaired > 5


def _find_names(records: Sequence[ImageRecord], split: str) -> set[str]:
    return {name for record in records if record.split == split for name in name_objects(record.answer)}


@pytest.mark.usefixtures("detection")
def test_images_of_an_earlier_run_stay_in_their_split_whatever_their_classes() -> None:
    answers = [write_objects([SceneObject(name, 0, 0, 9, 9)]) for name in "aabb"]
    records = [
        ImageRecord(Path(f"/data/{number}.png"), f"{number}", 64, 48, NOT_GIVEN, answer)
        for number, answer in enumerate(answers)
    ]
    keep = {"0": "train", "1": "train"}
    completed = complete_splits(
        Path("/data"), ["a", "b"], records, DataSettings(task="detection"), 0, keep, lambda pool: {}
    )
    assert [record.split for record in completed[:2]] == ["train", "train"]
    assert {record.split for record in completed[2:]} == {"train", "validation"}
