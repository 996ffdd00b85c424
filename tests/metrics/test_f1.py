"""Intervals of precision, recall and F1: of the images drawn again, and of fractions that cover the truth."""

from __future__ import annotations

import numpy as np
import pytest

from tlkit.metrics.f1 import compute_f1, measure_macro_f1, measure_micro_f1, measure_name
from tlkit.metrics.intervals import compute_wilson_interval


def score(is_true: np.ndarray, is_claimed: np.ndarray) -> tuple[float, float]:
    """Macro-F1 and micro-F1, by their definitions."""
    counts = [
        (int((true & claimed).sum()), int(claimed.sum()), int(true.sum()))
        for true, claimed in zip(is_true.T, is_claimed.T, strict=True)
    ]
    each = [f1 for f1 in (compute_f1(*count) for count in counts) if f1 is not None]
    pooled = compute_f1(*(sum(column) for column in zip(*counts, strict=True)))
    assert pooled is not None
    return float(np.mean(each)), pooled


def test_the_intervals_are_those_of_resampled_images() -> None:
    rng = np.random.default_rng(3)
    is_true = rng.random((60, 5)) < [0.5, 0.3, 0.2, 0.02, 0]
    is_claimed = is_true ^ (rng.random((60, 5)) < [0.1, 0.1, 0.2, 0.1, 0])
    drawn = [rng.integers(60, size=60) for _ in range(1500)]
    expected = np.array([score(is_true[rows], is_claimed[rows]) for rows in drawn])
    lows, highs = np.percentile(expected, [2.5, 97.5], axis=0)
    measured = measure_macro_f1(is_true, is_claimed), measure_micro_f1(is_true, is_claimed)
    for interval, value, low, high in zip(measured, score(is_true, is_claimed), lows, highs, strict=True):
        assert interval
        assert interval.value == pytest.approx(value)
        assert (interval.low, interval.high) == pytest.approx((low, high), abs=0.02)


def test_the_interval_of_a_perfect_score_has_a_width() -> None:
    is_true = np.eye(3, dtype=bool)[[0] * 13 + [1] * 13 + [2] * 4]
    macro, micro = measure_macro_f1(is_true, is_true), measure_micro_f1(is_true, is_true)
    assert macro
    assert micro
    lows = [measure_name(count, count, count)["f1"].low for count in (13, 13, 4)]
    assert (macro.value, macro.low, macro.high) == pytest.approx((1.0, float(np.mean(lows)), 1.0))
    assert (micro.value, micro.low, micro.high) == (1.0, measure_name(30, 30, 30)["f1"].low, 1.0)
    none = measure_macro_f1(is_true[:, :2], is_true[:, 1::-1])
    assert none
    assert (none.value, none.low) == (0.0, 0.0)
    assert none.high > 0.1


def test_names_that_never_occur_have_no_f1() -> None:
    never = np.zeros((4, 2), bool)
    assert measure_macro_f1(never, never) is None
    assert measure_micro_f1(never, never) is None


def test_a_name_has_intervals_where_it_is_defined() -> None:
    measured = measure_name(9, 10, 12)
    f1 = measured.pop("f1")
    assert measured == {"precision": compute_wilson_interval(9, 10), "recall": compute_wilson_interval(9, 12)}
    assert (f1.value, f1.low, f1.high) == pytest.approx((18 / 22, 0.595203, 0.932304), rel=1e-6)
    assert [*measure_name(0, 0, 3)] == ["recall", "f1"]
    assert measure_name(0, 0, 0) == {}


def test_the_interval_of_an_f1_covers_the_truth_19_times_out_of_20() -> None:
    rng = np.random.default_rng(0)
    hits = 0
    for _ in range(1000):
        right, missed, invented = rng.multinomial(100, [0.2, 0.05, 0.05, 0.7])[:3]
        interval = measure_name(int(right), int(right + invented), int(right + missed))["f1"]
        hits += interval.low <= 0.8 <= interval.high
    assert 930 < hits < 980
