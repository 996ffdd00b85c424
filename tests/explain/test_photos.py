from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tests.explain.conftest import draw_pictures
from tlkit.errors import SettingError
from tlkit.explain.explainer import Explainer
from tlkit.explain.outputs import choose_outputs, find_output, name_output
from tlkit.explain.photos import explain_photo
from tlkit.outputs import MULTILABEL, REGRESSION

pytestmark = pytest.mark.usefixtures("untraced")
KINDS: dict[str, dict[str, Any]] = {
    "class": {"has_metadata": True},
    "labels": {"task": MULTILABEL},
    "value": {"task": REGRESSION},
    "box": {"head": "flat", "has_box": True},
}


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_model_of_each_kind_answers_is_explained(kind: str, make_classifier: Callable[..., Any]) -> None:
    keywords = dict(KINDS[kind])
    classifier = make_classifier(keywords.pop("head", "linear"), **keywords)
    spec = classifier.spec
    pixels = draw_pictures(1)[0]
    metadata = spec.metadata.encode([("2",) * len(spec.metadata.columns)])[0]
    row = classifier.predict(pixels[np.newaxis], metadata[np.newaxis])[0]
    outputs = choose_outputs(row, spec)
    found, scenes = explain_photo(Explainer(classifier), classifier, pixels, metadata, row)
    assert scenes == []
    assert [each.subject.name for each in found] == [name_output(output, spec) for output in outputs]
    for each in found:
        assert np.isfinite(each.evidence).all()
        assert np.ptp(each.evidence) > 0
        assert np.isfinite([each.deletion.by_map, each.deletion.by_guess]).all()
    if kind == "box":
        assert found[-1].subject.name == "its box"
        assert found[-1].evidence.min() >= 0
        assert 0 < found[-1].deletion.by_map <= 1


def test_the_labels_that_are_given_are_explained_and_else_the_likeliest(make_classifier: Callable[..., Any]) -> None:
    spec = make_classifier("linear", task=MULTILABEL).spec
    assert choose_outputs(np.array([0.9, 0.2, 0.95], np.float32), spec) == [2, 0]
    assert choose_outputs(np.array([0.1, 0.3, 0.2], np.float32), spec) == [1]


def test_a_value_has_no_classes_to_explain(make_classifier: Callable[..., Any]) -> None:
    spec = make_classifier("linear", task=REGRESSION).spec
    assert find_output(None, spec) is None
    assert name_output(0, spec) == "price"
    with pytest.raises(SettingError) as caught:
        find_output("cat", spec)
    assert str(caught.value) == (
        "--class cat: the model predicts a value, price.\n  Expected: --class only with classes or labels\n"
        "  Fix: leave out --class."
    )
