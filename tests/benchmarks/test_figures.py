"""The arithmetic of the benchmark's table."""

from __future__ import annotations

import pytest

from benchmarks.side_by_side.figures import (
    GROWTH,
    MILLISECONDS,
    PART,
    RATE,
    SECONDS,
    TIMES,
    Figure,
    Goal,
    compare,
    fit_exponent,
    judge,
)


def test_a_figure_is_written_as_median_and_spread() -> None:
    assert str(Figure((160.04, 158.0, 1163.2), RATE)) == "160.0 images/s (158.0 to 1,163.2)"
    assert str(Figure((52.0, 48.0), PART)) == "1/50 (48 to 52)"


def test_a_single_round_has_no_spread() -> None:
    assert str(Figure((1.5,), SECONDS)) == "1.50 s"


def test_more_images_a_second_and_fewer_seconds_are_both_better() -> None:
    assert compare(Figure((60.0, 80.0), RATE), Figure((10.0, 20.0), RATE)) == Figure((6.0, 4.0), TIMES)
    assert compare(Figure((2.0, 1.0), SECONDS), Figure((10.0, 20.0), SECONDS)).values == (5.0, 20.0)


def test_a_side_with_fewer_rounds_is_compared_in_those() -> None:
    assert compare(Figure((60.0, 80.0, 1.0), RATE), Figure((10.0, 20.0), RATE)).values == (6.0, 4.0)


@pytest.mark.parametrize(
    ("value", "verdict"), [(7.6, "aim reached"), (7.5, "aim reached"), (6.0, "reached"), (5.9, "**not reached**")]
)
def test_a_ratio_is_judged_by_its_median(value: float, verdict: str) -> None:
    assert judge(Figure((0.0, value, 100.0), TIMES), Goal(6, 7.5)) == verdict


@pytest.mark.parametrize(("value", "verdict"), [(1.01, "aim reached"), (1.1, "reached"), (1.2, "**not reached**")])
def test_growth_and_seconds_are_to_stay_below(value: float, verdict: str) -> None:
    assert judge(Figure((value,), GROWTH), Goal(1.1, 1.02)) == verdict
    assert judge(Figure((1000 * value,), MILLISECONDS), Goal(1100, 1020)) == verdict


def test_without_an_aim_reached_is_the_best_verdict() -> None:
    assert judge(Figure((1.0,), SECONDS), Goal(2)) == "reached"


def test_where_nothing_is_wanted_nothing_is_judged() -> None:
    assert judge(Figure((1.0,), TIMES), None) == ""


@pytest.mark.parametrize("exponent", [0.0, 0.5, 1.0, 2.0])
def test_the_exponent_of_a_power_is_found(exponent: float) -> None:
    sizes = [250, 1_000, 4_000, 16_000]
    assert fit_exponent(sizes, [3 * size**exponent for size in sizes]) == pytest.approx(exponent)


def test_the_exponent_of_a_noisy_power_is_the_least_squares_one() -> None:
    # By hand: logarithms to base 2 are 0, 1, 2 and 0, 2, 3; the slope is 3/2.
    assert fit_exponent([1, 2, 4], [1, 4, 8]) == pytest.approx(1.5)
