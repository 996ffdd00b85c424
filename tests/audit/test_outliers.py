from __future__ import annotations

from pathlib import Path

import numpy as np

from tlkit.audit.outliers import find_outliers, measure_deviations
from tlkit.data.manifest import ImageRecord
from tlkit.similarity.search import find_neighbours


def make_records(number: int) -> list[ImageRecord]:
    return [ImageRecord(Path(f"/photos/{place}.png"), str(place), 9, 9, "train", "cat") for place in range(number)]


def test_an_image_unlike_all_others_is_found_and_its_copy_is_no_excuse() -> None:
    rng = np.random.default_rng(0)
    features = 1 + 0.3 * rng.random((100, 16))
    features[3] = features[4] = rng.permutation([0.0, 4.0] * 8)
    groups = np.full(100, -1)
    groups[[3, 4]] = 0
    nearest, cosines = find_neighbours(features, features, 10, exclude_self=True)
    found = find_outliers(make_records(100), nearest, cosines, groups)
    assert {finding.path.name for finding in found} == {"3.png", "4.png"}
    assert all(finding.kind == "outlier" and 0.5 <= finding.score < 1 for finding in found)
    assert found[0].evidence.startswith("Its nearest images have a cosine of 0.7")


def test_images_of_one_cloud_are_no_outliers() -> None:
    features = 1 + np.random.default_rng(1).random((200, 16))
    nearest, cosines = find_neighbours(features, features, 10, exclude_self=True)
    assert find_outliers(make_records(200), nearest, cosines, np.full(200, -1)) == []


def test_few_images_have_no_outliers() -> None:
    features = np.eye(5)
    nearest, cosines = find_neighbours(features, features, 4, exclude_self=True)
    assert find_outliers(make_records(5), nearest, cosines, np.full(5, -1)) == []


def test_deviations_are_robust_and_zero_where_nothing_varies() -> None:
    values = np.array([*np.linspace(0, 2, 101), 100.0, np.nan])
    deviations = measure_deviations(values)
    assert deviations[-2] > 100
    assert deviations[-1] == 0
    assert deviations[:-2].max() < 2
    assert not measure_deviations(np.ones(9)).any()
    assert not measure_deviations(np.full(3, np.nan)).any()
