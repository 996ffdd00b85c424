"""Which unlabelled images to label next, and whether that beats labelling images at random.

A batch is chosen by k-means++ on features of unit length, each image weighted by how unsure the model is of it: the next
image is drawn with probabilities proportional to weight × squared distance to the nearest one chosen so far, so that a
batch holds images that are unsure and unlike each other (Arthur and Vassilvitskii 2007, "k-means++: The Advantages of
Careful Seeding"; Zhdanov 2019, "Diverse mini-batch Active Learning").

Whether that helps differs from data set to data set. The replay finds out on labelled images: again and again it hides
the labels of some, trains a ridge regression on the others, lets it choose a batch, and compares what the batch brings
on held-out images with what as many random images bring.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tlkit.metrics.calibration import fit_temperature
from tlkit.metrics.intervals import Z_95, Interval
from tlkit.metrics.ridge import Matrix, RidgePath
from tlkit.similarity.search import find_neighbours, measure_lengths, scale_rows
from tlkit.tasks import find_task

NUM_REPEATS = 20
MIN_REPLAYED = 40
MAX_REPLAYED = 900
MAX_WIDTH = 0.04
"""With a wider interval around 0, labelled images are too few to tell."""
_SHARPNESS = 4
"""Power of the uncertainty in the weight. 4 was the best of 1, 2 and 4 on photos of clothes and of 40 kinds of things."""
_LOGIT_SCALE = 10.0
_NUM_NEAREST = 10


def compute_uncertainty(task: str, probabilities: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Return how unsure a model is of each image, float64 (n,), 0..1.

    For classes it is 1 less the margin between the two most probable; for labels that of the label nearest to a toss-up.

    Args:
        task: A task with names.
        probabilities: Float (n, outputs), 0..1.
    """
    values = probabilities.astype(np.float64)
    if not find_task(task).is_exclusive:
        uncertainty: NDArray[np.float64] = 1 - np.abs(2 * values - 1).min(axis=1)
        return uncertainty
    if values.shape[1] < 2:
        return np.ones(len(values))
    ordered = np.sort(values, axis=1)
    margins: NDArray[np.float64] = 1 - (ordered[:, -1] - ordered[:, -2])
    return margins


def estimate_residuals(
    features: NDArray[np.floating[Any]], known: NDArray[np.floating[Any]], residuals: NDArray[np.floating[Any]]
) -> NDArray[np.float64]:
    """Return the size of the error to expect for each image, float64 (n,): the mean of its nearest known images.

    Args:
        features: Float (n, channels).
        known: Float (m, channels), m >= 1: features of images whose errors are known.
        residuals: Float (m,): the sizes of these errors.
    """
    nearest, _ = find_neighbours(features, known, _NUM_NEAREST)
    expected: NDArray[np.float64] = residuals.astype(np.float64)[nearest].mean(axis=1)
    return expected


def select_batch(
    uncertainty: NDArray[np.floating[Any]], features: NDArray[np.floating[Any]], number: int, *, seed: int
) -> list[int]:
    """Choose images to label: unsure ones that are unlike each other, in the order chosen.

    Args:
        uncertainty: Float (n,), at least 0.
        features: Float (n, channels).
        number: How many to choose; with fewer images, all are chosen. An image equal to a chosen one comes last.
        seed: Seed of the draws.
    """
    rows = scale_rows(features, measure_lengths(features))
    rng = np.random.default_rng(seed)
    largest = float(uncertainty.max(initial=0.0))
    weights = (uncertainty.astype(np.float64) / largest if largest > 0 else np.ones(len(rows))) ** _SHARPNESS
    distances = np.ones(len(rows))
    chosen: list[int] = []
    remaining = np.ones(len(rows), np.bool_)
    for _ in range(min(number, len(rows))):
        chances = np.where(remaining, weights * distances, 0.0)
        if chances.sum() <= 0:
            chances = np.where(remaining, weights + 1e-12, 0.0)
        place = int(rng.choice(len(rows), p=chances / chances.sum()))
        chosen.append(place)
        remaining[place] = False
        # Rounding leaves a trace of distance between equal rows.
        apart = 1.0 - rows @ rows[place]
        distances = np.minimum(distances, np.where(apart > 1e-5, apart, 0.0))
    return chosen


@dataclass(frozen=True)
class Replay:
    """What batches brought in the replay, as scores of held-out images: accuracy, fraction of labels right, or R².

    Attributes:
        num_start: Labelled images before the batch.
        num_added: Images in a batch.
        num_pool: Images that it was chosen from.
        num_test: Held-out images.
        num_repeats: How often.
        before: Mean score before the batch.
        random: Mean score after a random batch.
        chosen: Mean score after a chosen batch.
        gain: `chosen` less `random`, with the 95 % interval of its mean over the repeats. The repeats share their images;
            on separate sets of photos the mean varied no more than this interval says.
    """

    num_start: int
    num_added: int
    num_pool: int
    num_test: int
    num_repeats: int
    before: float
    random: float
    chosen: float
    gain: Interval

    @property
    def verdict(self) -> str:
        """`gain`, `loss`, `no gain` if the interval holds 0, or `unclear` if it is also too wide to exclude a gain."""
        if self.gain.low <= 0 <= self.gain.high:
            return "unclear" if self.gain.high - self.gain.low > MAX_WIDTH else "no gain"
        return "gain" if self.gain.low > 0 else "loss"


def replay_batches(
    task: str,
    targets: NDArray[np.floating[Any]],
    features: NDArray[np.floating[Any]],
    number: int,
    *,
    seed: int = 0,
    advance: Callable[[int], None] | None = None,
) -> Replay | None:
    """Compare chosen batches with random ones on labelled images; None with fewer than 40.

    Each repeat draws a third of the images as test, a third as labelled, and chooses from the others.

    Args:
        task: One of `tlkit.outputs.TASKS`.
        targets: Targets of probes, float (n, outputs); see `tlkit.probes.probe`.
        features: Float (n, channels). At most 900 images are used.
        number: Images in a batch; at most half of the pool are added.
        seed: Seed of the draws.
        advance: Called with the number of repeats since the last call; there are `NUM_REPEATS`.
    """
    if len(targets) < MIN_REPLAYED:
        return None
    kept = np.random.default_rng(seed).permutation(len(targets))[:MAX_REPLAYED]
    answers = targets[kept].astype(np.float64)
    rows = features[kept].astype(np.float32)
    third = len(kept) // 3
    num_added = min(number, (len(kept) - 2 * third) // 2)
    scores = []
    for repeat in range(NUM_REPEATS):
        order = np.random.default_rng([seed, repeat]).permutation(len(kept))
        test, start, pool = order[:third], order[third : 2 * third], order[2 * third :]
        student = _fit_student(task, rows[start], answers[start])
        picked = pool[select_batch(student.doubt(rows[pool]), rows[pool], num_added, seed=repeat)]
        batches = [order[:0], pool[:num_added], picked]
        scores.append([_score(task, rows, answers, np.concatenate([start, batch]), test) for batch in batches])
        if advance:
            advance(1)
    before, random, chosen = np.mean(scores, axis=0).tolist()
    gains = np.array([row[2] - row[1] for row in scores])
    half = Z_95 * float(gains.std(ddof=1)) / len(gains) ** 0.5
    gain = float(gains.mean())
    return Replay(
        num_start=third,
        num_added=num_added,
        num_pool=len(kept) - 2 * third,
        num_test=third,
        num_repeats=len(gains),
        before=before,
        random=random,
        chosen=chosen,
        gain=Interval(gain, gain - half, gain + half),
    )


@dataclass(frozen=True, eq=False)
class _Student:
    """A ridge regression on some labelled images, and how unsure it is of others."""

    predict: Callable[[NDArray[np.floating[Any]]], Matrix]
    doubt: Callable[[NDArray[np.floating[Any]]], NDArray[np.float64]]


def _fit_student(task: str, rows: NDArray[np.float32], targets: Matrix) -> _Student:
    left_out: list[tuple[float, Matrix]] = []

    def rank(outputs: Matrix) -> tuple[float, ...]:
        closeness = -float(((outputs - targets) ** 2).sum())
        left_out.append((closeness, outputs))
        return (closeness,)

    ridge = RidgePath(rows, targets).fit(rank)
    outputs = max(left_out, key=lambda each: each[0])[1]
    kind = find_task(task)
    if not kind.has_names:
        residuals = np.abs(outputs - targets)[:, 0]
        return _Student(ridge.predict, lambda others: estimate_residuals(others, rows, residuals))
    if not kind.is_exclusive:
        return _Student(
            ridge.predict, lambda others: compute_uncertainty(task, np.clip(ridge.predict(others), 0.0, 1.0))
        )
    scale = _LOGIT_SCALE / fit_temperature(targets.argmax(axis=1), _softmax(_LOGIT_SCALE * outputs))
    return _Student(ridge.predict, lambda others: compute_uncertainty(task, _softmax(scale * ridge.predict(others))))


def _score(
    task: str, rows: NDArray[np.float32], targets: Matrix, train: NDArray[np.int64], test: NDArray[np.int64]
) -> float:
    outputs = _fit_student(task, rows[train], targets[train]).predict(rows[test])
    baseline = np.broadcast_to(targets[train].mean(axis=0), outputs.shape)
    return find_task(task).score_outputs(targets[test], outputs, np.array(baseline)).value


def _softmax(logits: Matrix) -> Matrix:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    normalised: Matrix = powers / powers.sum(axis=1, keepdims=True)
    return normalised
