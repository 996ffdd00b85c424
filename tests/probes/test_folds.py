"""Folds: every image predicted once, duplicates and groups whole, strata in proportion."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from tlkit.probes.folds import Fold, make_group_folds, make_stratified_folds


def places_of(folds: Sequence[Fold]) -> list[list[int]]:
    return [fold.test.tolist() for fold in folds]


@pytest.mark.parametrize("seed", range(5))
def test_every_image_is_predicted_once_and_never_learnt_from_in_the_same_fold(seed: int) -> None:
    strata = np.random.default_rng(seed).integers(0, 3, 100).tolist()
    folds = make_stratified_folds(strata, seed=seed)
    assert len(folds) == 5
    assert sorted(place for fold in places_of(folds) for place in fold) == list(range(100))
    for fold in folds:
        assert sorted([*fold.train.tolist(), *fold.test.tolist()]) == list(range(100))


def test_each_fold_has_each_class_in_proportion() -> None:
    strata = ["rare"] * 10 + ["usual"] * 90
    for fold in make_stratified_folds(strata):
        assert sum(strata[place] == "rare" for place in fold.test) == 2
        assert len(fold.test) == 20


@pytest.mark.parametrize(("fewest", "num_folds"), [(1, 3), (2, 3), (3, 3), (4, 4), (5, 5), (9, 5)])
def test_a_class_of_few_images_makes_fewer_folds(fewest: int, num_folds: int) -> None:
    assert len(make_stratified_folds(["a"] * fewest + ["b"] * 30)) == num_folds


def test_there_may_be_fewer_folds() -> None:
    assert len(make_stratified_folds(["a"] * 30, most=3)) == 3


def test_folds_depend_on_the_seed_alone() -> None:
    strata = [0, 1] * 50
    assert places_of(make_stratified_folds(strata)) == places_of(make_stratified_folds(strata))
    assert places_of(make_stratified_folds(strata)) != places_of(make_stratified_folds(strata, seed=1))


@pytest.mark.parametrize("seed", range(5))
def test_equal_twins_never_fall_apart_and_only_one_is_learnt_from(seed: int) -> None:
    rng = np.random.default_rng(seed)
    strata, duplicates = rng.integers(0, 3, 80).tolist(), [f"sha{key}" for key in rng.integers(0, 30, 80)]
    for fold in make_stratified_folds(strata, duplicates=duplicates, seed=seed):
        learnt = [duplicates[place] for place in fold.train]
        assert not {duplicates[place] for place in fold.test} & set(learnt)
        assert len(learnt) == len(set(learnt))


@pytest.mark.parametrize("seed", range(5))
def test_groups_are_held_out_whole_in_folds_of_like_size(seed: int) -> None:
    groups = np.random.default_rng(seed).integers(0, 20, 400).tolist()
    folds = make_group_folds(groups, seed=seed)
    assert len(folds) == 5
    for fold in folds:
        assert not {groups[place] for place in fold.test} & {groups[place] for place in fold.train}
        assert 70 <= len(fold.test) <= 90
    assert sorted(place for fold in places_of(folds) for place in fold) == list(range(400))


def test_there_are_no_more_folds_than_groups() -> None:
    assert len(make_group_folds(["north"] * 5 + ["south"] * 7)) == 2


def test_a_twin_in_another_group_is_not_learnt_from() -> None:
    groups, duplicates = ["north", "north", "south", "south"], ["a", "b", "b", "c"]
    learnt = {tuple(fold.train.tolist()) for fold in make_group_folds(groups, duplicates=duplicates)}
    assert learnt == {(0,), (3,)}


def test_too_few_images_or_groups_are_refused() -> None:
    with pytest.raises(ValueError, match=r"two distinct images\. Received: 1"):
        make_stratified_folds(["a", "b"], duplicates=["same", "same"])
    with pytest.raises(ValueError, match=r"two groups\. Received: 1"):
        make_group_folds(["north", "north"])
    with pytest.raises(ValueError, match="Received: a fold with duplicates of all other images"):
        make_group_folds(["north", "south"], duplicates=["same", "same"])
    with pytest.raises(ValueError, match=r"a key for each of 2 images\. Received: 1 keys"):
        make_stratified_folds(["a", "b"], duplicates=["one"])
