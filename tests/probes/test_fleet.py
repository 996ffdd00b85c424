"""What features cost on several machines: only their time is divided, and every machine starts."""

from __future__ import annotations

import pytest

from tlkit.probes.fleet import Fleet, FleetCost
from tlkit.probes.plan_costs import Step


def make_step(name: str, seconds: float, *, num_rows: int | None = 1_000) -> Step:
    return Step(name, num_rows, 0, seconds, None, None, None, None)


FEATURES = make_step("features at top", 7_200.0)


def test_only_features_are_divided_and_each_machine_starts_by_itself() -> None:
    (cost,) = Fleet(8, 0.5).divide([FEATURES, make_step("train the head", 60.0, num_rows=None)], 10.0)
    assert cost.name == "features at top"
    assert cost.seconds == 10 + 7_200 / 8
    assert cost.machine_hours == pytest.approx((7_200 + 8 * 10) / 3_600)
    assert cost.price == pytest.approx(0.5 * (7_200 + 8 * 10) / 3_600)
    assert cost.cells() == ("features at top", "15 min 10 s", "2.02", "1.01")
    assert cost.to_payload()["machine_hours"] == cost.machine_hours


def test_without_a_price_there_is_none_and_a_price_of_nothing_is_one() -> None:
    assert Fleet(2).divide([FEATURES], 0.0)[0].cells() == ("features at top", "1 h 00 min", "2.00")
    assert Fleet(2, 0.0).divide([FEATURES], 0.0)[0].cells()[-1] == "0.00"


def test_features_that_are_all_cached_cost_nothing() -> None:
    assert Fleet(8, 0.5).divide([make_step("features at top", 0.0)], 10.0) == (
        FleetCost("features at top", 0.0, 0.0, 0.0),
    )


def test_the_figures_say_what_they_assume() -> None:
    assert Fleet(8).describe() == (
        "Run `tlkit precompute` with --part 1/8 to --part 8/8. This assumes machines like this one that start at once, read "
        "the images as fast, and are paid by the second; it leaves out copying images and merging caches, and the check of "
        "the files, which each does for its part. Training is not divided."
    )
    assert Fleet(1).describe() == (
        "This assumes one machine like this one that is paid by the second, and leaves out the check of the files."
    )
