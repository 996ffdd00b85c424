"""Stop the folds of a trial as soon as the others would hardly change its advice.

After each fold, the interval of the images held out so far says how the mean over all images will probably come out: a
normal distribution about the mean so far, whose variance is that of this mean times the fraction of images to come. So
the chance that the whole trial recommends the last groups is known beforehand ("predictive power": Spiegelhalter,
Freedman and Blackburn 1986, "Monitoring clinical trials: conditional or predictive power?").
"""

from __future__ import annotations

import math

from tlkit.metrics.intervals import Z_95, Interval

MIN_FOLDS = 2
"""One fold shows one model, whose luck the interval over its images does not include."""
CHANCE_OF_A_CHANGE = 0.02
"""Largest chance that the folds to come change the advice."""


def is_settled(gain: Interval, loss_fall: Interval, *, part_done: float, relevant_gain: float) -> bool:
    """Return whether the folds to come would hardly change whether the last groups are recommended.

    They are recommended if the gain is significant, or if it is relevant and the fall of the loss is significant.

    Args:
        gain: The gain in score so far.
        loss_fall: The fall of the loss per image so far.
        part_done: Fraction of the images that were held out so far, above 0, below 1.
        relevant_gain: The gain that is worth training for.
    """
    is_better = _foresee(gain, part_done, limit=Z_95 * math.sqrt(part_done))
    is_surer = _foresee(loss_fall, part_done, limit=Z_95 * math.sqrt(part_done))
    is_relevant = _foresee(gain, part_done, limit=relevant_gain / max(_standard_error(gain), 1e-12))
    most = is_better + min(is_surer, is_relevant)
    least = max(is_better, is_surer + is_relevant - 1)
    return most <= CHANCE_OF_A_CHANGE or least >= 1 - CHANCE_OF_A_CHANGE


def _foresee(found: Interval, part_done: float, *, limit: float) -> float:
    """Return the chance that the mean over all images exceeds a limit, given in standard errors of the mean so far."""
    error = _standard_error(found)
    deviation = (found.value / error if error else math.copysign(math.inf, found.value)) - limit
    return 0.5 * math.erfc(-deviation / math.sqrt(2 * (1 - part_done)))


def _standard_error(found: Interval) -> float:
    return (found.high - found.low) / (2 * Z_95)
