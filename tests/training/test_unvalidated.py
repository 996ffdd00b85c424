"""A head that is trained to the end, with nothing held out."""

from __future__ import annotations

import numpy as np
import pytest

from tlkit.errors import NumericsError
from tlkit.outputs import CLASSIFICATION
from tlkit.recipes import HeadSettings, Recipe, Stage, TrainingSettings, resolve_stages
from tlkit.tasks import Outputs
from tlkit.training.held_out import FeatureSource, HeadTraining, NewHead, Parts, compute_logits, make_stage_data
from tlkit.training.unvalidated import fit_to_the_end

NUM_IMAGES, EPOCHS = 40, 6
OUTPUTS = Outputs(CLASSIFICATION, 2)
EVERYTHING = np.arange(NUM_IMAGES)


def fit(rows: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, int]:
    """Return the logits of all images after training on them, and how many images it was told to have taken."""
    (stage,) = resolve_stages(Recipe(stages=(Stage(epochs=EPOCHS, batch_size=10, lr=0.05),)))
    training = TrainingSettings(seed=3)
    head = NewHead.build((4,), HeadTraining(OUTPUTS, HeadSettings(kind="linear", dropout=0.0), stage, training))
    features = FeatureSource(lambda images, views: rows[images], 1, (4,), 16)
    parts = Parts(EVERYTHING, EVERYTHING[:1], EVERYTHING[:1])
    data = make_stage_data(features, labels, parts, outputs=OUTPUTS, stage=stage, training=training)
    taken: list[int] = []
    fit_to_the_end(head.model, data.train, outputs=OUTPUTS, stage=stage, training=training, advance=taken.append)
    return compute_logits(head.model, features.read, EVERYTHING), sum(taken)


@pytest.mark.usefixtures("untraced")
def test_all_epochs_are_trained_and_the_last_weights_stay() -> None:
    rows = np.random.default_rng(0).normal(size=(NUM_IMAGES, 4)).astype(np.float32)
    labels = (rows[:, 0] > 0).astype(np.int32)
    logits, num_taken = fit(rows, labels)
    assert num_taken == EPOCHS * NUM_IMAGES
    assert (logits.argmax(axis=1) == labels).mean() >= 0.9


@pytest.mark.usefixtures("untraced")
def test_a_loss_that_is_no_number_is_said() -> None:
    rows = np.full((NUM_IMAGES, 4), np.nan, np.float32)
    with pytest.raises(NumericsError) as caught:
        fit(rows, np.zeros(NUM_IMAGES, np.int32))
    assert str(caught.value) == (
        "The training loss became NaN in epoch 1 of a detector.\n  Expected: a finite loss\n"
        "  Fix: use another --backbone or --image-size, or --precision float32."
    )
