"""Errors of values: by hand, for a model that knows nothing and one that knows all, and where there is nothing to say."""

from __future__ import annotations

import json

import numpy as np
import pytest

from tlkit.errors import NumericsError
from tlkit.tasks.regression_report import RegressionReport, compute_regression_report
from tlkit.tasks.report import Report


def score(values: list[float], predicted: list[float]) -> RegressionReport:
    return compute_regression_report(np.array(values, np.float64), np.array(predicted, np.float32), "price_usd")


def test_the_report_of_a_small_set_is_what_one_computes_by_hand() -> None:
    report = score([1, 2, 3, 10], [2, 2, 5, 6])
    assert report.num_images == 4
    assert report.mean_absolute_error.value == (1 + 0 + 2 + 4) / 4
    assert report.root_mean_squared_error == pytest.approx(((1 + 0 + 4 + 16) / 4) ** 0.5)
    assert report.median_absolute_error == 1.5
    assert report.guess_error == (1.5 + 0.5 + 0.5 + 7.5) / 4
    assert report.r2
    assert report.r2.value == pytest.approx(1 - 21 / (9 + 4 + 1 + 36))


def test_always_saying_the_mean_has_an_r2_of_0() -> None:
    values = np.random.default_rng(0).lognormal(12, 1, 200)
    report = compute_regression_report(values, np.full(200, values.mean()), "price_usd")
    assert report.r2
    assert report.r2.value == pytest.approx(0, abs=1e-12)
    assert report.r2.low < -0.001


def test_always_saying_the_median_has_the_error_of_the_guess() -> None:
    values = np.random.default_rng(0).lognormal(12, 1, 201)
    report = compute_regression_report(values, np.full(201, np.median(values)), "price_usd")
    assert report.mean_absolute_error.value == pytest.approx(report.guess_error)


def test_perfect_predictions_have_no_error_and_an_r2_of_1() -> None:
    values = np.linspace(1, 9, 50)
    report = compute_regression_report(values, values, "price_usd")
    assert report.mean_absolute_error == type(report.mean_absolute_error)(0, 0, 0)
    assert report.r2 == type(report.mean_absolute_error)(1, 1, 1)
    assert [quarter.mean_error for quarter in report.quarters] == [0, 0, 0, 0]


def test_answers_unrelated_to_the_values_have_no_good_score() -> None:
    rng = np.random.default_rng(0)
    report = compute_regression_report(rng.normal(0, 1, 500), rng.normal(0, 1, 500), "price_usd")
    assert report.r2
    assert report.r2.high < 0
    assert report.mean_absolute_error.low > report.guess_error


@pytest.mark.parametrize("offset", [0, 1e9])
def test_intervals_hold_the_value_and_narrow_with_more_images(offset: float) -> None:
    rng = np.random.default_rng(3)

    def widths(number: int) -> np.ndarray:
        values = rng.normal(0, 1, number) + offset
        report = compute_regression_report(values, values + rng.normal(0, 0.5, number), "price_usd")
        assert report.r2
        for interval in (report.mean_absolute_error, report.r2):
            assert interval.low < interval.value < interval.high
        return np.array(
            [report.mean_absolute_error.high - report.mean_absolute_error.low, report.r2.high - report.r2.low]
        )

    assert (widths(800) < widths(40) / 2).all()


def test_the_interval_of_r2_is_that_of_resampled_images() -> None:
    rng = np.random.default_rng(1)
    values = rng.lognormal(0, 1, 60)
    predicted = values * rng.lognormal(0, 0.4, 60)
    figures = []
    for _ in range(3000):
        drawn = rng.integers(60, size=60)
        spread = ((values[drawn] - values[drawn].mean()) ** 2).sum()
        figures.append(1 - ((predicted - values)[drawn] ** 2).sum() / spread)
    r2 = compute_regression_report(values, predicted, "x").r2
    assert r2
    assert np.allclose([r2.low, r2.high], np.percentile(figures, [2.5, 97.5]), atol=0.06)


@pytest.mark.parametrize("values", [[7.0], [7.0, 7.0, 7.0], [0.1] * 9, [0.0]])
def test_equal_true_values_have_no_r2_and_no_warning(values: list[float]) -> None:
    report = score(values, [value + 1 for value in values])
    assert report.r2 is None
    assert report.mean_absolute_error.value == pytest.approx(1)
    assert report.facts()["R²"] == "-"
    assert report.to_payload()["r2"] is None
    assert "R² - (all true values are equal), on" in report.headline()
    assert len(report.quarters) == 1


def test_resamples_of_equal_values_are_left_out_of_the_interval_of_r2() -> None:
    r2 = score([0.1, 0.7, 1.3], [0.2, 0.9, 1.0]).r2
    assert r2
    assert r2.low > -10


def test_quarters_part_the_images_by_true_value_and_show_the_pull_to_the_mean() -> None:
    values = np.arange(1, 101, dtype=np.float64)
    report = compute_regression_report(values, 50 + (values - 50) / 2, "price_usd")
    assert [(quarter.low, quarter.high, quarter.num_images) for quarter in report.quarters] == [
        (1, 25, 25),
        (26, 50, 25),
        (51, 75, 25),
        (76, 100, 25),
    ]
    errors = [quarter.mean_error for quarter in report.quarters]
    assert errors == [18.5, 6, -6.5, -19]
    assert report.quarters[3].mean_absolute_error == 19


def test_equal_values_stay_in_one_quarter() -> None:
    report = score([0, 0, 0, 0, 0, 0, 1, 5], [0] * 8)
    assert [(quarter.low, quarter.high, quarter.num_images) for quarter in report.quarters] == [(0, 0, 6), (1, 5, 2)]


def test_the_words_have_thousands_apart_and_say_what_a_guess_would_do() -> None:
    report: Report = score([100_000, 200_000, 300_000, 600_000], [150_000.25, 200_000, 250_000, 400_000])
    assert report.headline() == (
        "Mean absolute error of price_usd 75,000 (95% interval 12,500 to 162,500), "
        "against 150,000 for always predicting the median; R² 0.679 (95% interval 0.000 to 0.750), on 4 images."
    )
    assert report.facts() == {
        "mean absolute error": "75,000 (12,500 to 162,500)",
        "always predicting the median": "150,000 (50,000 to 275,000)",
        "median absolute error": "50,000 (0 to 200,000)",
        "root mean squared error": "106,066 (25,000 to 175,000)",
        "R²": "0.679 (0.000 to 0.750)",
        "images": "4",
    }
    assert report.score_table() == (
        ("true price_usd", "images", "mean absolute error", "mean of predicted - true"),
        [
            ("100,000 to 100,000", "1", "50,000", "+50,000"),
            ("200,000 to 200,000", "1", "0", "0"),
            ("300,000 to 300,000", "1", "50,000", "-50,000"),
            ("600,000 to 600,000", "1", "200,000", "-200,000"),
        ],
    )


def test_the_payload_is_json() -> None:
    payload = json.loads(json.dumps(score([1, 2], [1, 3]).to_payload(), allow_nan=False))
    assert payload["images"] == 2
    assert set(payload["mean_absolute_error"]) == {"value", "low", "high"}
    assert payload["quarters"][1] == {
        "low": 2.0,
        "high": 2.0,
        "num_images": 1,
        "mean_absolute_error": 1.0,
        "mean_error": 1.0,
        "intervals": {key: {"value": 1.0, "low": 1.0, "high": 1.0} for key in ("mean_absolute_error", "mean_error")},
    }


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_answers_that_are_no_numbers_are_an_error(bad: float) -> None:
    with pytest.raises(NumericsError) as caught:
        score([1, 2, 3], [1, bad, 3])
    assert str(caught.value) == (
        "the model's output is not finite for 1 of 3 images.\n"
        "  Expected: finite values for every image\n"
        "  Fix: train again with a lower learning rate; the weights have diverged."
    )


@pytest.mark.parametrize(
    ("values", "predicted"),
    [(np.zeros(2), np.zeros(3)), (np.zeros(0), np.zeros(0)), (np.zeros((2, 1)), np.zeros((2, 1)))],
)
def test_values_and_predictions_that_do_not_fit_together_are_refused(values: np.ndarray, predicted: np.ndarray) -> None:
    with pytest.raises(ValueError) as caught:
        compute_regression_report(values, predicted, "price_usd")
    assert str(caught.value) == (
        "expected values and predictions of one shape (n,), n >= 1. "
        f"Received: values.shape={values.shape}, predicted.shape={predicted.shape}"
    )


def test_true_values_that_are_no_numbers_are_refused() -> None:
    with pytest.raises(ValueError) as caught:
        score([1, np.nan], [1, 1])
    assert str(caught.value) == "expected finite values. Received: nan"
