"""Images of a data set, explained by any engine."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.explain.conftest import draw_pictures, read_weights, write_pictures
from tlkit.errors import NumericsError
from tlkit.explain.explainer import Explainer
from tlkit.explain.methods import explain_features
from tlkit.explain.numpy_head import NumpyHead
from tlkit.explain.records import explain_records, place_map
from tlkit.models.networks.classifier import NetworkClassifier
from tlkit.models.networks.openvino import NETWORK_FORMAT
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
    assert str(caught.value) == (
        "OpenVINO has no feature map of this network (the feature comes from Add, not from the mean of a map)\n"
        "  Expected: a network whose feature is the mean of a map\n"
        "  Fix: use --engine keras, and please report this as a bug in tlkit."
    )


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
