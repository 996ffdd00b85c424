"""The nearest neighbours: what lies together belongs together, and no image has a say in its own answer."""

from __future__ import annotations

import numpy as np
import pytest

from tlkit.evaluation.neighbours import run_neighbours
from tlkit.outputs import CLASSIFICATION, MULTILABEL, REGRESSION

DIRECTIONS = np.random.default_rng(0).normal(size=(3, 8))


def test_images_in_the_direction_of_their_class_are_told_apart_whatever_their_length() -> None:
    generator = np.random.default_rng(1)
    labels = np.arange(60) % 3
    lengths = generator.uniform(0.1, 100, size=(60, 1))
    block = lengths * (DIRECTIONS[labels] + 0.1 * generator.normal(size=(60, 8)))
    assert run_neighbours(CLASSIFICATION, np.eye(3)[labels], block).value == 1.0


def test_random_labels_are_not_known() -> None:
    generator = np.random.default_rng(2)
    targets = np.eye(2)[generator.integers(2, size=300)]
    probe = run_neighbours(CLASSIFICATION, targets, generator.normal(size=(300, 8)))
    assert probe.score.low < 0.5 < probe.score.high


def test_twins_do_not_answer_for_each_other() -> None:
    """Every image is there twice, and its label is drawn: only the twin knows it."""
    generator = np.random.default_rng(3)
    block = np.repeat(generator.normal(size=(100, 8)), 2, axis=0)
    targets = np.eye(2)[np.repeat(generator.integers(2, size=100), 2)]
    twins = [f"{number // 2}" for number in range(200)]
    knowing = run_neighbours(CLASSIFICATION, targets, block, num_neighbours=1)
    fair = run_neighbours(CLASSIFICATION, targets, block, num_neighbours=1, twins=twins)
    assert knowing.value == 1.0
    assert fair.value < 0.65


@pytest.mark.parametrize("task", [MULTILABEL, REGRESSION])
def test_labels_and_values_are_the_mean_of_the_neighbours(task: str) -> None:
    groups = np.arange(40) % 2
    block = DIRECTIONS[groups]
    targets = np.stack([groups], axis=1).astype(np.float64)
    assert run_neighbours(task, targets, block).value == pytest.approx(1.0)
