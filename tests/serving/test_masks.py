"""A server of a model that draws masks: what clients get, and what the page shows."""

from __future__ import annotations

import base64
import dataclasses
import io
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from tests.browser import OpenPage, find_barriers, find_overflow
from tests.drawn_objects import SPEC as OBJECTS
from tests.drawn_objects import draw_objects
from tests.serving.conftest import ColourModel, ServeModel, wait_until
from tlkit.data.image_file import ImageFile
from tlkit.data.manifest import ImageRecord
from tlkit.data.metadata_source import MetadataSource
from tlkit.inference.files import predict_files
from tlkit.inference.mask_files import list_colours
from tlkit.inference.tally import CollectedRows
from tlkit.recipes import HeadSettings
from tlkit.serving.limits import Limits
from tlkit.serving.model import MASK_PX
from tlkit.serving.openapi import describe_api
from tlkit.serving.page import render_page
from tlkit.tasks.mask_text import write_mask

SPEC = dataclasses.replace(
    OBJECTS, task="segmentation", thresholds=(), map_sizes=((64, 64), (32, 32)), head=HeadSettings("segmenter")
)


class Painter(ColourModel):
    """Says of each pixel of its input whether it is red, white or background."""

    def __init__(self) -> None:
        super().__init__(SPEC)

    def predict(self, images: NDArray[np.uint8], metadata: Any = None) -> NDArray[np.float32]:
        """Return the probabilities at all pixels, and a distance."""
        is_red, is_white = (images[..., 0] > 128) & (images[..., 1] < 128), (images > 128).all(axis=3)
        cells = np.stack([~(is_red | is_white), is_red, is_white], axis=-1).reshape(len(images), -1)
        return np.concatenate([cells, np.full((len(images), 1), 0.25)], axis=1).astype(np.float32)


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    """Two rectangles in a picture of 96 x 128 pixels that is stored on its side."""
    draw_objects(tmp_path / "both.png", {"red": (32, 32, 64, 48), "white": (80, 8, 120, 40)}, orientation=6)
    return tmp_path / "both.png"


def ask(client: httpx.Client, path: Path, address: str = "/predict") -> dict[str, Any]:
    answer: dict[str, Any] = client.post(address, files={"image": (path.name, path.read_bytes())}).json()
    return answer


def read_address(address: str) -> Image.Image:
    kind, _, content = address.partition(",")
    assert kind == "data:image/png;base64"
    return Image.open(io.BytesIO(base64.b64decode(content)))


def test_a_client_gets_the_row_of_predict_and_the_mask_of_the_upright_picture(
    serve_model: ServeModel, picture: Path
) -> None:
    collected, (file,) = (
        CollectedRows(),
        predict_files(Painter(), [picture], MetadataSource(SPEC.metadata, None), top_k=3),
    )
    collected.write(file.prediction)

    (row,) = ask(serve_model(Painter()).client, picture)["predictions"]

    address = row.pop("mask")
    assert row == {**collected.rows[0], "path": "both.png"}
    assert [each["class_name"] for each in row["areas"]] == ["red", "white"]
    assert (row["width"], row["height"]) == (96, 128)
    mask = read_address(address)
    np.testing.assert_array_equal(np.asarray(mask), file.prediction.mask)
    # The upright picture is 96 wide: (x, y) of the stored one is (96 - y, x).
    assert [mask.getpixel(place) for place in ((56, 48), (70, 100), (5, 5))] == [1, 2, 0]
    painted = mask.convert("RGBA")
    assert [painted.getpixel(place) for place in ((56, 48), (70, 100))] == [
        (*colour, 255) for colour in list_colours(2)[1:]
    ]
    assert painted.getpixel((5, 5))[3] == 0  # type: ignore[index]


def test_the_mask_of_a_large_picture_is_smaller(serve_model: ServeModel, tmp_path: Path) -> None:
    Image.new("RGB", (2 * MASK_PX, MASK_PX), "red").save(tmp_path / "large.png")
    (row,) = ask(serve_model(Painter()).client, tmp_path / "large.png")["predictions"]
    assert read_address(row["mask"]).size == (MASK_PX, MASK_PX // 2)
    assert (row["width"], row["height"]) == (2 * MASK_PX, MASK_PX)


def test_an_explanation_has_the_mask_and_the_nearest_photos_but_no_heat_map(
    serve_model: ServeModel, picture: Path
) -> None:
    answer = write_mask(np.ones((4, 4), np.uint8), ["red"])
    record = ImageRecord(picture, ImageFile.read(picture).sha256, 96, 128, "train", answer)
    served = serve_model(Painter(), records=[record])
    wait_until(lambda: served.service.explaining.photos.describe()["ready"] == 1)
    payload = ask(served.client, picture, "/explain")
    assert payload["prediction"] == ask(served.client, picture)["predictions"][0]
    assert payload["explanations"] == []
    assert payload["nearest"][0]["answer"] == "red"


def test_a_picture_that_cannot_be_read_has_its_reason_and_no_mask(serve_model: ServeModel) -> None:
    response = serve_model(Painter()).client.post("/predict", files={"image": ("a.png", b"no picture")})
    assert response.status_code == 422
    assert response.json()["predictions"] == [
        {"path": "a.png", "areas": [], "height": None, "width": None, "error": "not an image"}
    ]


def test_the_interface_describes_masks(serve_model: ServeModel) -> None:
    predict = describe_api(SPEC, Limits())["paths"]["/predict"]["post"]
    assert [each["name"] for each in predict["parameters"]] == ["top_k"]
    row = predict["responses"]["200"]["content"]["application/json"]["schema"]["properties"]["predictions"]["items"]
    assert list(row["properties"]) == ["path", "areas", "mask", "height", "width", "error", "unknown", "distance"]
    info = serve_model(Painter()).client.get("/info").json()
    assert info["colours"] == ["#" + bytes(colour).hex() for colour in list_colours(2)[1:]]
    assert "Finds where in a picture 2 classes are: red, white." in render_page("a", SPEC, needs_token=False).html


def test_the_page_lays_the_mask_over_the_picture_and_takes_it_away(
    serve_model: ServeModel, open_served: OpenPage, picture: Path, tmp_path: Path
) -> None:
    draw_objects(tmp_path / "none.png", {})
    page = open_served(serve_model(Painter()).address)
    page.wait_for_selector("#ask:not([hidden])")
    page.set_input_files("#files", [str(picture), str(tmp_path / "none.png")])
    for number in (1, 2):
        page.wait_for_selector(f".card:nth-child({number}):not([aria-busy])")
    none, both = page.locator(".card").all()
    assert none.locator(".answer").inner_text() == "background alone"
    assert both.locator(".answer").inner_text() == "red, white"
    assert both.locator(".objects .name").all_inner_texts() == ["red", "white"]
    frame, mask = both.locator(".frame img").first.bounding_box(), both.locator(".mask").bounding_box()
    assert mask == pytest.approx(frame, abs=1)
    both.get_by_role("button", name="Mask").click()
    assert not both.locator(".mask").is_visible()
    both.get_by_role("button", name="Mask").click()
    assert both.locator(".mask").is_visible()
    assert find_overflow(page) == 0
    assert find_barriers(page) == []
