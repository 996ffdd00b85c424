from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from tlkit.data.manifest import ImageRecord, Manifest
from tlkit.data.views import PICTURE_ITSELF
from tlkit.features.calibration import CalibrationSample, Verdict, judge, load_calibration_sample
from tlkit.features.extract import LoadFailure
from tlkit.features.requested_rows import RequestedRows
from tlkit.features.row_keys import RowKey

NUMBER, WIDTH = 80, 12


def make_sample(*, is_exclusive: bool = True) -> tuple[CalibrationSample, np.ndarray]:
    """Images of two classes, and features that tell them apart."""
    classes = np.arange(NUMBER) % 2
    features = np.random.default_rng(0).normal(0, 1, (NUMBER, WIDTH)).astype(np.float32)
    features[:, 0] += 4 * classes
    targets = np.eye(2)[classes] if is_exclusive else classes[:, np.newaxis].astype(np.float64)
    images = np.zeros((NUMBER, 2, 2, 3), np.uint8)
    return CalibrationSample(images, targets, is_exclusive, ("",) * NUMBER), features


def test_equal_features_lose_nothing() -> None:
    sample, features = make_sample()
    verdict = judge(sample, features, features)
    assert verdict.similarity == pytest.approx(1)
    assert verdict.score == verdict.float32_score
    assert (verdict.low, verdict.high) == (0, 0)
    assert verdict.is_good


def test_what_the_head_loses_is_paired_by_image_and_refused_beyond_chance() -> None:
    sample, features = make_sample()
    spoilt = features.copy()
    spoilt[:, 0] = features[:, 0].mean()
    verdict = judge(sample, spoilt, features)
    assert verdict.float32_score is not None
    assert verdict.score is not None
    assert verdict.float32_score > 0.9 > 0.7 > verdict.score
    assert verdict.low < verdict.score - verdict.float32_score < verdict.high < -0.01
    assert not verdict.is_good


def test_labels_and_values_are_scored_by_what_the_head_explains() -> None:
    sample, features = make_sample(is_exclusive=False)
    verdict = judge(sample, features, features)
    assert verdict.score is not None
    assert 0.5 < verdict.score < 1


def test_rows_that_fill_up_a_batch_do_not_count() -> None:
    sample, features = make_sample()
    padded = np.concatenate([features, np.full((3, WIDTH), 1e6, np.float32)])
    assert judge(sample, padded, padded) == judge(sample, features, features)


def test_without_targets_only_the_features_are_compared() -> None:
    sample, features = make_sample()
    verdict = judge(dataclasses.replace(sample, targets=None), features, -features)
    assert verdict.similarity == pytest.approx(-1)
    assert verdict.score is None
    assert not verdict.is_good
    assert verdict.describe() == "median cosine similarity to float32 -1.000"


def test_a_verdict_in_words() -> None:
    verdict = Verdict(202, 0.9968, 0.703, 0.698, -0.012, 0.022)
    assert verdict.describe() == (
        "median cosine similarity to float32 0.997; a linear head scores 0.703, 0.698 in float32 (difference +0.5 points, "
        "-1.2 to +2.2)"
    )


def request(splits: Sequence[str]) -> RequestedRows:
    names = ("cat", "dog")
    records = tuple(
        ImageRecord(Path(f"{number}.png"), f"{number:064x}", 4, 4, split, names[number % 2])
        for number, split in enumerate(splits)
    )
    return RequestedRows(Manifest(Path(), names, records), PICTURE_ITSELF)


def load(keys: Sequence[RowKey]) -> list[np.ndarray]:
    number = int(keys[0].sha256, 16)
    if number == 3:
        raise LoadFailure("truncated")
    return [np.full((4, 4, 3), number, np.uint8)]


def test_training_images_are_drawn_whatever_their_order() -> None:
    splits = ["train"] * 100 + ["validation"] * 100
    requested, turned = request(splits), request(splits)
    turned.files.reverse()
    sample, again = (load_calibration_sample(each, load) for each in (requested, turned))
    assert sample is not None
    assert again is not None
    assert sample.names == again.names
    numbers = [int(name, 16) for name in sample.names]
    assert len(set(numbers)) == len(numbers) in (63, 64)
    assert set(numbers) <= set(range(100)) - {3}, "of the training images, those that can be read"
    assert sample.images[:, 0, 0, 0].tolist() == numbers
    assert sample.targets is not None
    assert sample.targets.argmax(axis=1).tolist() == [number % 2 for number in numbers]


def test_without_training_images_others_will_do_and_without_any_there_is_no_sample() -> None:
    sample = load_calibration_sample(request(["test"] * 3), load)
    assert sample is not None
    assert len(sample.images) == 3
    assert load_calibration_sample(request([]), load) is None


def test_targets_that_are_all_alike_teach_nothing() -> None:
    requested = request(["train"])
    sample = load_calibration_sample(requested, load)
    assert sample is not None
    assert sample.targets is None
