from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.explain.conftest import build_classifier, write_pictures
from tlkit.dreaming import attacks
from tlkit.dreaming.attacks import Attack, predict_classes
from tlkit.dreaming.robustness import CHANGES, COLUMNS, DISTANCES, MANY_STEPS, measure_robustness
from tlkit.inference.scoring import load_record

pytestmark = pytest.mark.usefixtures("untraced")


def test_every_change_is_measured_on_the_images_and_examples_are_those_that_turned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attacks, "NUM_STEPS", 2)
    classifier = build_classifier("linear", backbone="mnist_cnn", has_metadata=True)
    records = [replace(record, metadata=("1",)) for record in write_pictures(tmp_path, tmp_path / "i")]
    seen: list[int] = []
    study = measure_robustness(Attack(classifier), classifier, records, advance=seen.append)
    pictures = np.stack([load_record(record, classifier.spec) for record in records])
    metadata = classifier.spec.metadata.encode([("1",)] * 3)
    right = predict_classes(classifier, pictures, metadata) == 0
    assert study.num_images == 3 == sum(seen)
    assert study.clean.value == right.mean()
    assert [(each.distance, each.change) for each in study.figures] == [(d, c) for d in DISTANCES for c in CHANGES]
    for each in study.figures:
        assert (each.success is None) == (not right.any())
    worst = study.figures[-1]
    assert (worst.change, worst.distance) == (MANY_STEPS, 8)
    assert len(study.examples) == right.sum() - round(3 * worst.accuracy.value)
    for example in study.examples:
        assert np.abs(example.after.astype(int) - example.before).max() <= example.distance
        assert example.classes[0] == 0 != example.classes[1]
    assert all(len(row) == len(COLUMNS) for row in study.list_rows())
    assert study.as_document()["changes"][0]["change"] == CHANGES[0]
