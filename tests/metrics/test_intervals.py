"""Intervals: those of the tables, and those that cover the truth as often as they say."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tlkit.metrics import intervals
from tlkit.metrics.intervals import (
    Interval,
    compute_bootstrap_interval,
    compute_paired_interval,
    compute_wilson_interval,
)


@pytest.mark.parametrize(
    ("num_right", "num_images", "low", "high"),
    [
        (9, 10, 0.595850, 0.982124),
        (50, 100, 0.403832, 0.596168),
        (0, 20, 0.0, 0.161125),
        (20, 20, 0.838875, 1.0),
        (1, 1, 0.206549, 1.0),
    ],
)
def test_wilson_intervals_are_those_of_the_tables(num_right: int, num_images: int, low: float, high: float) -> None:
    interval = compute_wilson_interval(num_right, num_images)
    assert interval.low == pytest.approx(low, abs=1e-6)
    assert interval.high == pytest.approx(high, abs=1e-6)
    assert 0 <= interval.low <= interval.value <= interval.high <= 1


def test_wilson_intervals_cover_the_truth_19_times_out_of_20() -> None:
    rng = np.random.default_rng(0)
    hits = [compute_wilson_interval(int(right), 60) for right in rng.binomial(60, 0.9, 2000)]
    assert 0.93 < np.mean([interval.low <= 0.9 <= interval.high for interval in hits]) < 0.98


def test_a_bootstrapped_mean_has_the_interval_that_theory_gives_it() -> None:
    numbers = np.random.default_rng(0).normal(5, 2, 400)
    interval = compute_bootstrap_interval(float(numbers.mean()), lambda counts: numbers @ counts / 400, 400)
    half = 1.96 * numbers.std() / 20
    assert interval.low == pytest.approx(numbers.mean() - half, abs=0.03)
    assert interval.high == pytest.approx(numbers.mean() + half, abs=0.03)


def test_every_resample_has_as_many_images_as_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    totals: list[float] = []

    def compute(counts: np.ndarray) -> np.ndarray:
        totals.extend(counts.sum(axis=0))
        return np.zeros(counts.shape[1])

    monkeypatch.setattr(intervals, "_MAX_COUNTS_AT_ONCE", 7 * 300)
    compute_bootstrap_interval(0.0, compute, 7)
    assert totals == [7.0] * 2000


@pytest.mark.parametrize(("num_passes", "num_resamples"), [(1, 2000), (20_000, 500), (20_000_000, 200)])
def test_large_work_has_fewer_resamples(num_passes: int, num_resamples: int) -> None:
    columns: list[int] = []

    def compute(counts: np.ndarray) -> np.ndarray:
        columns.append(counts.shape[1])
        return np.zeros(counts.shape[1])

    compute_bootstrap_interval(0.0, compute, 10, num_passes=num_passes)
    assert sum(columns) == num_resamples


def test_resamples_without_a_figure_are_left_out_and_the_value_is_always_inside() -> None:
    def half_defined(counts: np.ndarray) -> np.ndarray:
        return np.where(np.arange(counts.shape[1]) % 2, 3.0, np.nan)

    assert compute_bootstrap_interval(2.0, half_defined, 5) == Interval(2.0, 2.0, 3.0)
    assert compute_bootstrap_interval(2.0, lambda counts: counts[0] * np.nan, 5) == Interval(2.0, 2.0, 2.0)


def test_intervals_are_written_in_words_and_in_brief() -> None:
    interval = Interval(0.895, -0.0001, 0.922)
    assert interval.in_words() == "0.895 (95% interval 0.000 to 0.922)"
    assert interval.in_brief("{:z.0%}".format) == "90% (0% to 92%)"


def test_a_paired_gain_has_walds_interval_with_an_image_more_on_either_side() -> None:
    """By hand for 12 won and 2 lost of 50: (13 - 3) / 52, give or take 1.96 * sqrt((16 / 52 - (10 / 52)**2) / 52)."""
    gain = compute_paired_interval(12, 2, 50)
    assert gain.value == 0.2
    half = 1.959964 * math.sqrt((16 / 52 - (10 / 52) ** 2) / 52)
    assert (gain.low, gain.high) == pytest.approx((10 / 52 - half, 10 / 52 + half))
    turned = compute_paired_interval(2, 12, 50)
    assert (turned.value, turned.low, turned.high) == pytest.approx((-gain.value, -gain.high, -gain.low))


def test_few_images_on_which_two_answers_agree_are_no_certainty() -> None:
    few, many = compute_paired_interval(0, 0, 20), compute_paired_interval(0, 0, 2000)
    assert few.high > 0.1
    assert many.high < 0.002


def test_a_paired_interval_holds_the_true_gain_19_times_of_20() -> None:
    rng = np.random.default_rng(0)
    draws = rng.multinomial(200, [0.08, 0.04, 0.88], size=2000)
    intervals = [compute_paired_interval(won, lost, 200) for won, lost, _ in draws.tolist()]
    assert 0.94 < np.mean([each.low <= 0.04 <= each.high for each in intervals]) < 0.97
