"""A trial stops where the folds to come would hardly change its advice, and only there."""

from __future__ import annotations

import numpy as np
import pytest

from tlkit.metrics.intervals import Z_95, Interval
from tlkit.probes.early_stop import is_settled

NUM_IMAGES, NUM_FOLDS = 400, 5
LITTLE = 0.02


def make_interval(value: float, error: float) -> Interval:
    return Interval(value, value - Z_95 * error, value + Z_95 * error)


@pytest.mark.parametrize(
    ("gain", "loss_fall", "part_done", "settled"),
    [
        ((0.10, 0.02), (0.0, 0.02), 0.4, True),
        ((-0.02, 0.01), (0.0, 0.02), 0.4, True),
        ((0.00, 0.01), (0.0, 0.02), 0.4, False),
        ((0.00, 0.01), (0.0, 0.02), 0.8, True),
        ((0.02, 0.01), (0.0, 0.02), 0.8, False),
        ((-0.01, 0.004), (0.2, 0.02), 0.4, True),
        ((0.01, 0.02), (0.2, 0.02), 0.6, False),
        ((0.05, 0.01), (0.2, 0.02), 0.4, True),
        ((0.04, 0.025), (0.2, 0.02), 0.8, False),
        ((0.045, 0.025), (0.2, 0.02), 0.8, True),
    ],
    ids=[
        "a clear gain",
        "a clear loss",
        "no gain so far of two folds",
        "no gain of four folds",
        "nearly significant",
        "a relevant gain cannot be reached, however surely the loss falls",
        "a relevant gain may be reached while the loss falls",
        "clear by score and loss",
        "probably relevant, and the loss falls",
        "surely relevant, and the loss falls",
    ],
)
def test_the_trial_is_settled_where_its_advice_is(
    gain: tuple[float, float], loss_fall: tuple[float, float], part_done: float, settled: bool
) -> None:
    found = is_settled(make_interval(*gain), make_interval(*loss_fall), part_done=part_done, relevant_gain=LITTLE)
    assert found is settled


def test_equal_answers_are_no_gain_to_wait_for() -> None:
    nothing = Interval(0.0, 0.0, 0.0)
    assert is_settled(nothing, nothing, part_done=0.4, relevant_gain=LITTLE)


def recommends(gain: Interval, loss_fall: Interval) -> bool:
    return gain.low > 0 or (loss_fall.low > 0 and gain.value >= LITTLE)


@pytest.mark.parametrize("true_gain", [-0.01, 0.0, 0.01, 0.02, 0.04])
def test_of_many_trials_few_would_have_ended_otherwise_and_many_are_shorter(true_gain: float) -> None:
    rng = np.random.default_rng(0)
    num_folds, num_changed, num_trials = 0, 0, 300
    for _ in range(num_trials):
        gains = rng.normal(true_gain, 0.2, NUM_IMAGES)
        falls = rng.normal(true_gain, 0.5, NUM_IMAGES) + gains
        verdicts = []
        for fold in range(2, NUM_FOLDS + 1):
            size = NUM_IMAGES * fold // NUM_FOLDS
            found = [make_interval(x[:size].mean(), x[:size].std() / np.sqrt(size)) for x in (gains, falls)]
            verdicts.append(recommends(*found))
            if fold == NUM_FOLDS or is_settled(*found, part_done=fold / NUM_FOLDS, relevant_gain=LITTLE):
                break
        num_folds += fold
        whole = [make_interval(x.mean(), x.std() / np.sqrt(NUM_IMAGES)) for x in (gains, falls)]
        num_changed += verdicts[-1] != recommends(*whole)
    assert num_changed <= 0.03 * num_trials
    assert num_folds < (4.6 if 0 < true_gain < 0.03 else 3.8) * num_trials
