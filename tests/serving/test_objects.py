"""A server of a model that finds objects: what clients get, and what the page draws."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.browser import OpenPage, find_barriers, find_overflow
from tests.drawn_objects import SPEC, Detector, draw_objects
from tests.serving.conftest import ServeModel, wait_until
from tlkit.data.image_file import ImageFile
from tlkit.data.manifest import ImageRecord
from tlkit.data.metadata_source import MetadataSource
from tlkit.inference.files import predict_files
from tlkit.inference.tally import CollectedRows
from tlkit.reports.frames import choose_colour
from tlkit.serving.limits import Limits
from tlkit.serving.openapi import describe_api
from tlkit.serving.page import render_page
from tlkit.tasks.objects import SceneObject, write_objects


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    """Two objects in a picture of 96 x 128 pixels that is stored on its side."""
    draw_objects(tmp_path / "both.png", {"red": (32, 32, 64, 48), "white": (80, 8, 120, 40)}, orientation=6)
    return tmp_path / "both.png"


def ask(client: httpx.Client, path: Path, address: str = "/predict") -> httpx.Response:
    return client.post(address, files={"image": (path.name, path.read_bytes())})


def test_a_client_gets_the_objects_that_predict_finds_to_the_bit(serve_model: ServeModel, picture: Path) -> None:
    collected = CollectedRows()
    for file in predict_files(Detector(), [picture], MetadataSource(SPEC.metadata, None), top_k=3):
        collected.write(file.prediction)
    (row,) = ask(serve_model(Detector()).client, picture).json()["predictions"]
    assert row == {**collected.rows[0], "path": "both.png"}
    assert [each["class_name"] for each in row["objects"]] == ["red", "white"]
    assert (row["width"], row["height"]) == (96, 128)


def test_a_lowest_score_replaces_the_thresholds(serve_model: ServeModel, picture: Path) -> None:
    client = serve_model(Detector()).client
    for address, number in (("/predict?min_score=0", 3), ("/predict?min_score=0.85", 1), ("/predict?min_score=1", 0)):
        assert len(ask(client, picture, address).json()["predictions"][0]["objects"]) == number
    assert len(ask(client, picture, "/explain?min_score=0").json()["prediction"]["objects"]) == 3


@pytest.mark.parametrize("text", ["1.5", "-0.1", "nan", "x", "", "1e999999999999999999999"])
def test_a_lowest_score_out_of_range_is_refused(serve_model: ServeModel, picture: Path, text: str) -> None:
    response = ask(serve_model(Detector()).client, picture, f"/predict?min_score={text}")
    assert response.status_code == 400
    assert response.json()["error"]["expected"] == "a number, 0..1"


def test_a_model_of_classes_takes_no_lowest_score(serve_model: ServeModel, picture: Path) -> None:
    response = ask(serve_model().client, picture, "/predict?min_score=0.5")
    assert response.status_code == 400
    assert "min_score" in response.json()["error"]["found"]


def test_an_explanation_has_the_objects_and_the_nearest_photos_but_no_heat_map(
    serve_model: ServeModel, picture: Path
) -> None:
    answer = write_objects([SceneObject("red", 1, 2, 3, 4), SceneObject("red", 5, 6, 9, 9)])
    record = ImageRecord(picture, ImageFile.read(picture).sha256, 96, 128, "train", answer)
    served = serve_model(Detector(), records=[record])
    wait_until(lambda: served.service.explaining.photos.describe()["ready"] == 1)
    payload = ask(served.client, picture, "/explain").json()
    assert len(payload["prediction"]["objects"]) == 2
    assert payload["explanations"] == []
    assert payload["nearest"][0]["answer"] == "2 × red"
    assert payload["size"] == [128, 96]
    refused = served.client.post(
        "/explain", files={"image": ("a.png", picture.read_bytes())}, headers={"accept": "image/png"}
    )
    assert refused.status_code == 406
    assert refused.json()["error"]["found"].startswith("There is no heat map: the model has one class or finds objects")


def test_a_picture_that_cannot_be_read_has_its_reason(serve_model: ServeModel) -> None:
    response = serve_model(Detector()).client.post("/predict", files={"image": ("a.png", b"no picture")})
    assert response.status_code == 422
    assert response.json()["predictions"][0]["error"] == "not an image"


def test_the_interface_describes_objects(serve_model: ServeModel) -> None:
    document = describe_api(SPEC, Limits())
    predict = document["paths"]["/predict"]["post"]
    assert [each["name"] for each in predict["parameters"]] == ["top_k", "min_score"]
    row = predict["responses"]["200"]["content"]["application/json"]["schema"]["properties"]["predictions"]["items"]
    found = row["properties"]["objects"]["items"]["properties"]
    assert found["class_name"]["enum"] == ["red", "white"]
    assert list(found) == ["class_name", "score", "left", "top", "right", "bottom"]
    info = serve_model(Detector()).client.get("/info").json()
    assert info["colours"] == ["#" + bytes(choose_colour(index)).hex() for index in range(2)]
    assert serve_model().client.get("/info").json()["colours"] == []


def test_the_page_says_what_the_model_finds() -> None:
    assert "Finds objects of 2 classes: red, white." in render_page("a", SPEC, needs_token=False).html


def choose(page: Any, *paths: Path) -> None:
    page.set_input_files("#files", [str(path) for path in paths])
    for number in range(1, len(paths) + 1):
        page.wait_for_selector(f".card:nth-child({number}):not([aria-busy])")


def test_the_page_draws_each_object_in_its_place_with_its_class(
    serve_model: ServeModel, open_served: OpenPage, picture: Path, tmp_path: Path
) -> None:
    draw_objects(tmp_path / "none.png", {})
    page = open_served(serve_model(Detector()).address)
    page.wait_for_selector("#ask:not([hidden])")
    choose(page, picture, tmp_path / "none.png")
    none, both = page.locator(".card").all()
    assert none.locator(".answer").inner_text() == "no objects"
    assert none.locator(".box").count() == 0
    assert both.locator(".answer").inner_text() == "1 × red, 1 × white"
    assert both.locator(".objects .name").all_inner_texts() == ["red", "white"]
    assert both.locator(".tag").all_inner_texts() == ["white 80 %", "red 90 %"]
    frame = both.locator(".frame img").bounding_box()
    # The upright picture is 96 wide: (x, y) of the stored one is (96 - y, x).
    red = both.locator(".box").last.bounding_box()
    assert red["x"] - frame["x"] == pytest.approx(frame["width"] * 48 / 96, abs=2)
    assert red["y"] - frame["y"] == pytest.approx(frame["height"] * 32 / 128, abs=2)
    assert red["width"] == pytest.approx(frame["width"] * 16 / 96, abs=2)
    assert page.get_by_role("status").inner_text().endswith(("no objects", "1 × red, 1 × white"))
    assert find_overflow(page) == 0
    assert find_barriers(page) == []
