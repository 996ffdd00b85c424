from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from tlkit.audit.labels import LabelAudit, audit_labels, find_confusable, make_label_findings
from tlkit.data.manifest import ImageRecord, Manifest

NUM_IMAGES = 240
ROOT = Path("/photos").absolute()


def make_manifest(answers: list[str], task: str, names: tuple[str, ...] = ()) -> Manifest:
    records = [
        ImageRecord(ROOT / f"{place}.png", str(place), 9, 9, "train", answer) for place, answer in enumerate(answers)
    ]
    return Manifest(ROOT, names, tuple(records), task=task)


def draw_features(meaning: NDArray[np.floating], seed: int = 0) -> NDArray[np.float32]:
    """Draw features of which some depend on a meaning, float (n, k)."""
    rng = np.random.default_rng(seed)
    weights = rng.normal(size=(meaning.shape[1], 32))
    return (meaning @ weights + 0.5 * rng.normal(size=(len(meaning), 32))).astype(np.float32)


def audit(manifest: Manifest, features: NDArray[np.float32], *, is_log: bool = False) -> LabelAudit | None:
    groups = np.full(len(features), -1)
    return audit_labels(manifest, manifest.records, features, groups, is_log=is_log)


def test_swapped_classes_come_first_with_the_class_they_look_like() -> None:
    true = np.arange(NUM_IMAGES) % 3
    features = draw_features(2.0 * np.eye(3)[true])
    names = ("cat", "dog", "eel")
    answers = [names[label] for label in true]
    swapped = [5, 50, 100, 200]
    for place in swapped:
        answers[place] = names[(true[place] + 1) % 3]
    found = audit(make_manifest(answers, "classification", names), features)
    assert found is not None
    assert sorted(np.argsort(-found.wrong)[:4].tolist()) == swapped
    assert [found.suggested[place] for place in swapped] == [names[true[place]] for place in swapped]
    assert found.estimate is not None
    assert found.estimate.low <= 4 <= found.estimate.high


def test_random_labels_name_no_suspects() -> None:
    rng = np.random.default_rng(3)
    names = ("cat", "dog")
    answers = [names[label] for label in rng.integers(0, 2, NUM_IMAGES)]
    found = audit(make_manifest(answers, "classification", names), rng.normal(size=(NUM_IMAGES, 20)).astype(np.float32))
    assert found is not None
    assert not found.wrong.any()
    assert found.estimate is None
    assert [(pair.first, pair.second) for pair in found.confusable] == [("cat", "dog")]


def test_a_missing_label_of_several_is_suggested() -> None:
    rng = np.random.default_rng(4)
    true = (rng.random((NUM_IMAGES, 2)) < 0.5).astype(float)
    features = draw_features(2.0 * true)
    names = ("boat", "sea")
    answers = ["|".join(name for name, is_set in zip(names, row, strict=True) if is_set) for row in true]
    place = int(np.flatnonzero(true.all(axis=1))[0])
    answers[place] = "boat"
    found = audit(make_manifest(answers, "multilabel", names), features)
    assert found is not None
    assert int(np.argmax(found.wrong)) == place
    assert found.suggested[place] == "boat|sea"


def test_labels_of_several_that_features_do_not_predict_are_not_judged() -> None:
    rng = np.random.default_rng(6)
    true = (rng.random((NUM_IMAGES, 3)) < 0.5).astype(float)
    names = ("boat", "luck", "sea")
    answers = ["|".join(name for name, is_set in zip(names, row, strict=True) if is_set) for row in true]
    manifest = make_manifest(answers, "multilabel", names)
    known = audit(manifest, draw_features(2.0 * true * [1, 0, 1]))
    assert known is not None
    assert known.not_judged == ("luck",)
    assert known.num_judged == 2 * NUM_IMAGES
    assert (known.wrong < 0.2).all()
    unknown = audit(manifest, draw_features(0.0 * true))
    assert unknown is not None
    assert (unknown.estimate, unknown.num_judged, unknown.not_judged) == (None, 0, names)
    assert not unknown.wrong.any()
    assert unknown.suggested == tuple(answers)


@pytest.mark.parametrize("is_log", [False, True])
def test_values_that_features_do_not_predict_are_not_judged(is_log: bool) -> None:
    rng = np.random.default_rng(7)
    values = np.exp(rng.normal(size=(NUM_IMAGES, 1)))
    answers = [str(value) for value in values[:, 0]]
    found = audit(make_manifest(answers, "regression"), draw_features(0.0 * values), is_log=is_log)
    assert found is not None
    assert found.estimate is None
    assert not found.wrong.any()


@pytest.mark.parametrize("is_log", [False, True])
def test_a_slipped_digit_of_a_value_is_found(is_log: bool) -> None:
    rng = np.random.default_rng(5)
    logs = rng.normal(size=(NUM_IMAGES, 1)) * 0.3 + 5
    values = np.exp(logs[:, 0]) if is_log else logs[:, 0]
    answers = [str(value) for value in values]
    answers[17] = str(values[17] * (10 if is_log else 1.5))
    found = audit(make_manifest(answers, "regression"), draw_features(3 * (logs - 5)), is_log=is_log)
    assert found is not None
    assert int(np.argmax(found.wrong)) == 17
    assert found.wrong[17] > 0.9
    assert float(found.suggested[17]) == pytest.approx(values[17], rel=0.3)


def test_one_class_leaves_nothing_to_compare() -> None:
    assert audit(make_manifest(["cat"] * 5, "classification", ("cat",)), draw_features(np.zeros((5, 1)))) is None


def test_classes_that_look_the_same_are_named() -> None:
    labels = np.repeat([0, 1, 2], 20)
    rng = np.random.default_rng(0)
    probabilities = rng.random((60, 3))
    probabilities[:20, 0] += 2
    probabilities[20:, 0] *= 0.05
    (pair,) = find_confusable(("a", "b", "c"), labels, probabilities / probabilities.sum(axis=1, keepdims=True))
    assert (pair.first, pair.second, pair.num_images) == ("b", "c", 40)
    assert 0.3 < pair.accuracy < 0.7


def test_a_finding_says_how_probable_it_is_and_what_its_neighbours_say() -> None:
    manifest = make_manifest(["cat", "dog", "dog", "cat"], "classification", ("cat", "dog"))
    judged = LabelAudit(np.array([0.876, 0.1, 0.05, 0.3]), ("dog", "cat", "cat", "dog"), None, 4)
    nearest = np.array([[1, 2, 3], [0, 2, 3], [0, 1, 3], [0, 0, 0]])
    first, second = make_label_findings(manifest.records, judged, nearest)
    assert first.evidence == "Wrong with a probability of 88%; the other images suggest dog, as do 2 of the 3 nearest."
    assert [path.name for path in first.others] == ["1.png", "2.png", "3.png"]
    assert (first.given, first.suggested, first.score) == ("cat", "dog", 0.876)
    assert second.evidence == "Wrong with a probability of 30%; the other images suggest dog."
    (unlabelled,) = make_label_findings(
        manifest.records[:1], LabelAudit(np.array([0.5]), ("",), None, 1), np.array([[0]])
    )
    assert unlabelled.evidence == "Wrong with a probability of 50%; the other images suggest no label at all."
