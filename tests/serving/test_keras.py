"""The server on a machine without OpenVINO: Keras answers, as it does for `tlkit predict`."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.explain.conftest import build_classifier, draw_pictures, read_weights
from tests.serving.conftest import ServeModel
from tlkit.data.metadata_source import MetadataSource
from tlkit.inference.files import predict_files
from tlkit.inference.tally import CollectedRows

pytestmark = pytest.mark.usefixtures("untraced")


def test_many_threads_get_the_rows_of_predict_and_a_map_of_the_box(serve_model: ServeModel, tmp_path: Path) -> None:
    from PIL import Image

    paths = [tmp_path / f"{number}.png" for number in range(4)]
    for path, picture in zip(paths, draw_pictures(4), strict=True):
        Image.fromarray(picture).save(path)
    classifier = build_classifier("dense", has_box=True, edge=80)
    classifier.batch_size = 1
    collected = CollectedRows()
    for file in predict_files(classifier, paths, MetadataSource(classifier.spec.metadata, None), top_k=3):
        collected.write(file.prediction)
    expected = [{key: value for key, value in row.items() if key != "path"} for row in collected.rows]
    assert len({row["classes"][0]["probability"] for row in expected}) == 4

    client = serve_model(classifier, weights=read_weights(classifier), threads=3).client

    def ask(path: Path) -> dict[str, object]:
        row = client.post("/predict", files={"image": path.read_bytes()}).json()["predictions"][0]
        return {key: value for key, value in row.items() if key != "path"}

    with ThreadPoolExecutor(6) as threads:
        assert list(threads.map(ask, paths * 4)) == expected * 4
    explained = client.post("/explain", files={"image": paths[0].read_bytes()}).json()["explanations"]
    assert [each["output"] for each in explained] == [expected[0]["classes"][0]["class_name"], "its box"]
    assert client.get("/info").json()["engine"] == "Keras"
