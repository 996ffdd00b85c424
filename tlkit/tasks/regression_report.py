"""Score predicted values against true ones, and against a constant guess."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tlkit.metrics.intervals import Interval, compute_bootstrap_interval, compute_mean_interval
from tlkit.outputs import format_value
from tlkit.tasks.report import ScoreTable, check_finite
from tlkit.tasks.verdicts import name_quarter


@dataclass(frozen=True)
class QuarterScore:
    """The scores of the images in one quarter of the true values.

    Attributes:
        low: Their smallest true value.
        high: Their largest true value.
        num_images: Number of images; equal values stay together, so quarters may differ in size.
        mean_absolute_error: In the unit of the values.
        mean_error: Mean of predicted minus true. Positive for small values and negative for large ones shows a bias
            towards the mean.
        intervals: Both errors with their bootstrap intervals.
    """

    low: float
    high: float
    num_images: int
    mean_absolute_error: float
    mean_error: float
    intervals: Mapping[str, Interval]


@dataclass(frozen=True)
class RegressionReport:
    """The scores of a set of images, in the unit of the values except `r2`.

    Attributes:
        name: Name of the values.
        num_images: Number of scored images.
        mean_absolute_error: With its bootstrap interval.
        root_mean_squared_error: Gives large errors more weight.
        median_absolute_error: Half of the errors are smaller.
        guess_error: Mean absolute error of always predicting the median of the true values.
        r2: Coefficient of determination with its bootstrap interval: 1 is perfect, 0 is no better than always
            predicting the mean. None if all true values are equal.
        intervals: The errors without one above, with their bootstrap intervals.
        quarters: The scores by quarter of the true values, ascending; fewer than four if there are too few values.
    """

    name: str
    num_images: int
    mean_absolute_error: Interval
    root_mean_squared_error: float
    median_absolute_error: float
    guess_error: float
    r2: Interval | None
    intervals: Mapping[str, Interval]
    quarters: tuple[QuarterScore, ...]

    def more_tables(self) -> list[tuple[str, ScoreTable]]:
        """Return none."""
        return []

    def details(self) -> dict[str, Any]:
        """Return nothing."""
        return {}

    def mistakes_table(self) -> None:
        """Return None: there are no classes."""

    def score_file(self) -> None:
        """Return None: there are no classes and labels."""

    def headline(self) -> str:
        """Return mean absolute error and R² in a sentence, with the error of a constant guess."""
        r2 = self.r2.in_words() if self.r2 else "- (all true values are equal)"
        return (
            f"Mean absolute error of {self.name} {self.mean_absolute_error.in_words(format_value)}, "
            f"against {format_value(self.guess_error)} for always predicting the median; "
            f"R² {r2}, on {self.num_images:,} images."
        )

    def facts(self) -> dict[str, str]:
        """Return the key figures by name."""
        return {
            "mean absolute error": self.mean_absolute_error.in_brief(format_value),
            "always predicting the median": self.intervals["guess_error"].in_brief(format_value),
            "median absolute error": self.intervals["median_absolute_error"].in_brief(format_value),
            "root mean squared error": self.intervals["root_mean_squared_error"].in_brief(format_value),
            "R²": self.r2.in_brief() if self.r2 else "-",
            "images": f"{self.num_images:,}",
        }

    def score_table(self) -> ScoreTable:
        """Return column titles and one row of strings for each quarter of the true values."""
        columns = (f"true {self.name}", "images", "mean absolute error", "mean of predicted - true")
        rows: list[tuple[str, ...]] = [
            (
                name_quarter(quarter.low, quarter.high),
                f"{quarter.num_images:,}",
                format_value(quarter.mean_absolute_error),
                format_value(quarter.mean_error, signed=True),
            )
            for quarter in self.quarters
        ]
        return columns, rows

    def to_payload(self) -> dict[str, Any]:
        """Return the scores as JSON values."""
        return {
            "images": self.num_images,
            "name": self.name,
            "mean_absolute_error": asdict(self.mean_absolute_error),
            "root_mean_squared_error": self.root_mean_squared_error,
            "median_absolute_error": self.median_absolute_error,
            "guess_error": self.guess_error,
            "r2": asdict(self.r2) if self.r2 else None,
            "intervals": {key: asdict(interval) for key, interval in self.intervals.items()},
            "quarters": [asdict(quarter) for quarter in self.quarters],
        }


def compute_regression_report(
    values: NDArray[np.floating[Any]], predicted: NDArray[np.floating[Any]], name: str
) -> RegressionReport:
    """Score predictions.

    Args:
        values: Float (n,), n >= 1, finite: the true value of each image.
        predicted: Float (n,): the predictions.
        name: Name of the values, such as "price_usd".

    Raises:
        NumericsError: A prediction is not a finite number.
        ValueError: The shapes do not match, a true value is not finite, or there are no rows.
    """
    if values.ndim != 1 or len(values) == 0 or predicted.shape != values.shape:
        raise ValueError(
            "expected values and predictions of one shape (n,), n >= 1. "
            f"Received: values.shape={values.shape}, predicted.shape={predicted.shape}"
        )
    if not np.isfinite(values).all():
        raise ValueError(f"expected finite values. Received: {values[~np.isfinite(values)][0]}")
    check_finite(predicted, kind="values")

    true = values.astype(np.float64)
    errors = predicted.astype(np.float64) - true
    absolute = np.abs(errors)
    mean_square = compute_mean_interval(errors**2)
    intervals = {
        "root_mean_squared_error": Interval(*np.sqrt([mean_square.value, mean_square.low, mean_square.high]).tolist()),
        "median_absolute_error": _measure_median(absolute),
        "guess_error": compute_mean_interval(np.abs(true - np.median(true))),
    }
    return RegressionReport(
        name=name,
        num_images=len(true),
        mean_absolute_error=compute_mean_interval(absolute),
        root_mean_squared_error=intervals["root_mean_squared_error"].value,
        median_absolute_error=intervals["median_absolute_error"].value,
        guess_error=intervals["guess_error"].value,
        r2=_measure_r2(true, errors),
        intervals=intervals,
        quarters=_score_quarters(true, errors),
    )


def _measure_median(absolute: NDArray[np.float64]) -> Interval:
    order = np.argsort(absolute)
    middle = (len(absolute) + 1) / 2

    def compute(counts: NDArray[np.float64]) -> NDArray[np.float64]:
        places = (np.cumsum(counts[order], axis=0) < middle).sum(axis=0)
        medians: NDArray[np.float64] = absolute[order][places]
        return medians

    return compute_bootstrap_interval(float(np.median(absolute)), compute, len(absolute))


def _measure_r2(true: NDArray[np.float64], errors: NDArray[np.float64]) -> Interval | None:
    compute = partial(_compute_r2, true - np.median(true), errors)
    value = float(compute(np.ones((len(true), 1)))[0])
    return None if np.isnan(value) else compute_bootstrap_interval(value, compute, len(true))


def _compute_r2(
    centred: NDArray[np.float64], errors: NDArray[np.float64], counts: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return R² of resamples, float64 (r,); NaN if all true values of a resample are equal.

    Args:
        centred: float64 (n,), true values minus a constant that keeps them small.
        errors: float64 (n,), predicted minus true.
        counts: float64 (n, r), how often each resample contains each image.
    """
    squares = centred**2 @ counts
    spread = squares - (centred @ counts) ** 2 / len(centred)
    # For equal values only rounding errors are left.
    return 1 - (errors**2 @ counts) / np.where(spread > 1e-12 * squares, spread, np.nan)


def find_quarters(true: NDArray[np.float64]) -> list[tuple[float, float]]:
    """Return the lowest and the highest of each quarter of the values, float64 (n,); fewer if values are equal."""
    return [(float(true[chosen].min()), float(true[chosen].max())) for chosen in _split_quarters(true)]


def _split_quarters(true: NDArray[np.float64]) -> list[NDArray[np.bool_]]:
    quarter_of = np.searchsorted(np.quantile(true, [0.25, 0.5, 0.75]), true, side="left")
    return [quarter_of == quarter for quarter in np.unique(quarter_of)]


def _score_quarters(true: NDArray[np.float64], errors: NDArray[np.float64]) -> tuple[QuarterScore, ...]:
    return tuple(
        QuarterScore(
            low=float(true[chosen].min()),
            high=float(true[chosen].max()),
            num_images=int(chosen.sum()),
            mean_absolute_error=absolute.value,
            mean_error=signed.value,
            intervals={"mean_absolute_error": absolute, "mean_error": signed},
        )
        for chosen in _split_quarters(true)
        for absolute, signed in [(compute_mean_interval(np.abs(errors[chosen])), compute_mean_interval(errors[chosen]))]
    )
