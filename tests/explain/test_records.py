"""Images of a data set, explained by any engine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tests.explain.conftest import draw_pictures, read_weights, write_pictures
from tlkit.data.views import ViewPlan
from tlkit.errors import NumericsError
from tlkit.explain.explainer import Explainer
from tlkit.explain.methods import explain_features
from tlkit.explain.numpy_head import NumpyHead
from tlkit.explain.records import explain_records, place_map
from tlkit.inference.evidence import EvidenceCollector
from tlkit.inference.scoring import score_records
from tlkit.models.networks.classifier import NetworkClassifier
from tlkit.models.networks.openvino import NETWORK_FORMAT
from tlkit.models.spec import BundleSpec
from tlkit.outputs import CLASSIFICATION, MULTILABEL, REGRESSION
from tlkit.recipes import HeadSettings
from tlkit.reports.console import Console

pytestmark = pytest.mark.usefixtures("untraced")
TARGETS = np.array([0, 1, 2])


@pytest.mark.parametrize("engine", ["keras", "openvino"])
def test_images_are_explained_like_their_pixels_and_lost_files_left_out(
    engine: str,
    make_classifier: Callable[..., Any],
    tmp_path: Path,
    cache_root: Path,
    request: pytest.FixtureRequest,
) -> None:
    classifier = make_classifier("linear", has_metadata=True)
    explainer = Explainer(classifier)
    metadata = np.zeros((3, classifier.spec.metadata.width), np.float32)
    expected = explain_features(explainer, explainer.compute_features(draw_pictures(3)), TARGETS, metadata)
    predictor = classifier
    if engine == "openvino":
        request.getfixturevalue("openvino")
        predictor = NetworkClassifier(NETWORK_FORMAT, classifier.spec, NETWORK_FORMAT.convert(classifier), None)
    records = write_pictures(tmp_path, cache_root)
    records[1].path.unlink()
    head = NumpyHead(classifier.spec, read_weights(classifier))
    found = explain_records(predictor, head, records, TARGETS, Console(verbosity=-1))
    assert [record.path.name for record in found.records] == ["0.png", "2.png"]
    assert np.array_equal(found.targets, [0, 2])
    assert np.abs(found.maps - expected[[0, 2]]).max() < 1e-3


@pytest.mark.parametrize("task", [CLASSIFICATION, MULTILABEL, REGRESSION])
def test_images_are_explained_in_the_pass_that_scores_them(
    task: str, make_classifier: Callable[..., Any], tmp_path: Path, cache_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    classifier = make_classifier("dense", task=task, has_box=True)
    answer = {MULTILABEL: "cat|dog", REGRESSION: "100"}.get(task, "cat")
    records = [replace(record, answer=answer) for record in write_pictures(tmp_path, cache_root)]
    records[1].path.unlink()
    head = NumpyHead(classifier.spec, read_weights(classifier))
    scores = score_records(classifier, records, explain=head.explain, with_features=True)
    plain = score_records(classifier, records, with_features=True)
    assert len(scores.failures) == 1
    for part in ("answers", "features", "distances"):
        np.testing.assert_array_equal(getattr(scores, part), getattr(plain, part))
    assert plain.evidence is None
    assert scores.explained is not None
    assert scores.evidence is not None
    wrong = np.abs(scores.answers - {MULTILABEL: [1, 1, 0]}.get(task, 0))
    assert scores.explained.tolist() == ([0, 0] if task == REGRESSION else wrong.argmax(axis=1).tolist())
    expected = explain_records(classifier, head, scores.records, scores.explained, Console(verbosity=-1))
    assert np.abs(scores.evidence - expected.maps).max() < 1e-4
    last = scores.take([1]).evidence
    assert last is not None
    assert np.array_equal(last, scores.evidence[1:])

    assert score_records(classifier, records, explain=lambda *_: None).evidence is None
    assert score_records(classifier, records, explain=head.explain, views=ViewPlan("standard", 2, 0)).evidence is None
    monkeypatch.setattr("tlkit.inference.scoring.MAX_EXPLAINED", 2)
    assert score_records(classifier, records, explain=head.explain).evidence is None


def test_maps_are_explained_a_few_at_a_time_and_no_more_after_a_failure() -> None:
    record: Any = SimpleNamespace(answer="cat")
    spec = BundleSpec("tiny", (8, 8), "squash", 1, "avg", HeadSettings(), ("cat", "dog"))
    for limit, expected in ((99, [32, 32, 6]), (1, [32, 32])):
        sizes: list[int] = []

        def explain(maps: Any, targets: Any, sizes: list[int] = sizes, limit: int = limit) -> Any:
            sizes.append(len(maps))
            return maps[..., 0] + targets[:, np.newaxis, np.newaxis] if len(sizes) <= limit else None

        collector = EvidenceCollector(spec, (1, 2, 3), explain)
        for number in range(70):
            row = np.array([number % 2, 0.5], np.float32)
            collector.add(record, row, np.full(6, number, np.float32))
        answers, evidence = collector.finish()
        assert sizes == expected
        if limit == 1:
            assert (answers, evidence) == (None, None)
        else:
            assert answers is not None
            assert answers.tolist() == [1, 0] * 35
            np.testing.assert_array_equal(evidence, np.repeat([[[n + 1 - n % 2]] for n in range(70)], 2, axis=2))


def test_a_network_whose_feature_is_no_mean_of_a_map_has_no_heat_maps(
    openvino: Any, make_classifier: Callable[..., Any]
) -> None:
    classifier = make_classifier("linear")
    network = NETWORK_FORMAT.convert(classifier)
    feature = network.output("feature").get_node().input_value(0)
    doubled = openvino.opset13.add(feature, feature)
    network.output("feature").get_node().input(0).replace_source_output(doubled.output(0))
    doubled.output(0).get_tensor().set_names({"feature"})
    predictor = NetworkClassifier(NETWORK_FORMAT, classifier.spec, network, None)
    with pytest.raises(NumericsError) as caught:
        predictor.compute_maps(draw_pictures(1))
    assert predictor.map_shape is None
    assert str(caught.value) == (
        "there are no heat maps of this network: the feature comes from Add, not from the mean of a map\n"
        "  Expected: a network whose feature is the mean of its last map, or the map itself\n"
        "  Fix: `tlkit explain`, which asks Keras for gradients, or a head that sees places, such as dense."
    )


def test_a_network_that_normalises_the_mean_has_no_heat_maps(make_classifier: Callable[..., Any]) -> None:
    import keras

    from tlkit.models.classifier import Classifier

    known = make_classifier("linear")
    classifier = Classifier(known.spec, known.backbone, known.head)
    trunk, pooling = known.backbone.split_at_map("top")
    normalised = keras.layers.LayerNormalization()(pooling.output)  # as ConvNeXt does
    classifier.__dict__["_parts"] = trunk, keras.Model(pooling.input, normalised)
    assert classifier.map_shape is None
    with pytest.raises(NumericsError, match="its feature is normalised after the mean of the last map"):
        classifier.compute_maps(draw_pictures(1))


def test_a_map_lies_where_the_network_saw_the_picture() -> None:
    evidence = np.zeros((4, 4), np.float32)
    evidence[0, 0] = 1
    sizes: dict[str, Any] = {"picture_size": (100, 200), "image_size": (64, 64)}
    assert np.array_equal(place_map(evidence, fit="squash", **sizes), evidence)
    cropped = place_map(evidence, fit="crop", **sizes)
    assert np.isnan(cropped[:, :24]).all()
    assert not np.isnan(cropped[:, 24:72]).any()
    assert cropped[0, 24] == 1
    padded = place_map(evidence, fit="pad", **sizes)
    assert not np.isnan(padded).any()
    assert padded.max() < 0.6
