"""The page of the server in a browser: what people see of an answer, and that it works for all of them."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from tests.browser import OpenPage, find_barriers, find_overflow
from tests.serving.conftest import SPEC, WITH_METADATA, ColourModel, ServeModel, encode_image, wait_until
from tlkit.data.manifest import ImageRecord
from tlkit.models.spec import BundleSpec
from tlkit.serving.page import render_page

BOXED = dataclasses.replace(WITH_METADATA, has_box=True)
NAMES = ("red", "grey", "blue")


@pytest.fixture
def pictures(tmp_path: Path) -> dict[str, Path]:
    """A file of each colour, also a training photo."""
    paths = {name: tmp_path / f"{name}.png" for name in NAMES}
    for name, path in paths.items():
        path.write_bytes(encode_image(name))
    return paths


def make_record(name: str, path: Path) -> ImageRecord:
    """Return a training photo."""
    from tlkit.data.image_file import ImageFile

    return ImageRecord(path, ImageFile.read(path).sha256, 40, 32, "train", name)


def choose(page: Any, *paths: Path) -> None:
    """Choose pictures, and wait for all answers."""
    page.set_input_files("#files", [str(path) for path in paths])
    for number in range(1, len(paths) + 1):
        page.wait_for_selector(f".card:nth-child({number}):not([aria-busy])")


@pytest.mark.parametrize(("width", "dark"), [(1280, False), (400, True)])
def test_a_picture_is_answered_with_all_that_the_model_says(
    serve_model: ServeModel, open_served: OpenPage, pictures: dict[str, Path], width: int, dark: bool
) -> None:
    records = [make_record(name, path) for name, path in pictures.items()]
    served = serve_model(ColourModel(BOXED), records=records)
    wait_until(lambda: served.service.explaining.photos.describe()["ready"] == 3)
    page = open_served(served.address, width=width, dark=dark)
    page.get_by_label("weight").fill("3")
    page.get_by_label("place").select_option("sea")
    choose(page, pictures["red"], pictures["grey"])
    grey, red = page.locator(".card").all()
    assert red.locator(".answer").inner_text() == "red"
    assert sorted(red.locator(".bars .name").all_inner_texts()) == ["blue", "green", "red"]
    assert red.locator(".near figcaption").first.inner_text() == "red 1.00"
    assert red.locator(".near li").count() == 3
    outline, frame = red.locator(".box").bounding_box(), red.locator(".frame img").bounding_box()
    assert outline["x"] - frame["x"] == pytest.approx(frame["width"] / 4, abs=1)
    assert outline["height"] == pytest.approx(frame["height"] / 2, abs=1)
    assert red.locator(".unlike").count() == 0
    picture = red.locator(".frame img")
    assert picture.get_attribute("src").startswith("data:image/png")
    red.get_by_role("button", name="Picture").click()
    assert picture.get_attribute("src").startswith("data:image/jpeg")
    assert red.get_by_role("button", name="Why red").get_attribute("aria-pressed") == "false"
    red.get_by_role("button", name="Why its box").click()
    assert picture.get_attribute("src").startswith("data:image/png")
    assert grey.locator(".unlike").inner_text() == "Unlike the training images: check this one yourself."
    assert page.get_by_role("status").inner_text().startswith(("red.png: red, ", "grey.png: "))
    assert served.service.model.predictor.asked[-1].tolist() == BOXED.metadata.encode([("3", "sea")]).tolist()  # type: ignore[attr-defined]
    assert find_overflow(page) == 0
    assert find_barriers(page) == []
    page.get_by_role("button", name="Clear").click()
    assert page.locator(".card").count() == 0


def test_pictures_can_be_dropped_and_pasted(
    serve_model: ServeModel, open_served: OpenPage, pictures: dict[str, Path]
) -> None:
    page = open_served(serve_model().address)
    page.wait_for_selector("#ask:not([hidden])")
    content = list(pictures["blue"].read_bytes())
    page.evaluate(
        """(content) => {
            const data = () => {
                const held = new DataTransfer();
                held.items.add(new File([new Uint8Array(content)], "blue.png", { type: "image/png" }));
                return held;
            };
            document.body.dispatchEvent(new DragEvent("drop", { bubbles: true, cancelable: true, dataTransfer: data() }));
            document.body.dispatchEvent(new ClipboardEvent("paste", { bubbles: true, clipboardData: data() }));
        }""",
        content,
    )
    page.wait_for_selector(".card:nth-child(2):not([aria-busy])")
    assert page.locator(".answer").all_inner_texts() == ["blue", "blue"]


def test_the_page_asks_for_the_token(serve_model: ServeModel, open_served: OpenPage, pictures: dict[str, Path]) -> None:
    page = open_served(serve_model(token="s3cret-s3cret-s3cret").address)
    assert page.get_by_role("status").inner_text() == "The server asks for its token."
    assert page.locator("#ask").is_hidden()
    page.get_by_label("Token of the server").fill("s3cret-s3cret-s3cret")
    page.keyboard.press("Enter")
    page.wait_for_selector("#ask:not([hidden])")
    choose(page, pictures["red"])
    assert page.locator(".answer").inner_text() == "red"


def test_the_page_is_used_with_the_keyboard_alone(serve_model: ServeModel, open_served: OpenPage) -> None:
    page = open_served(serve_model(ColourModel(WITH_METADATA)).address)
    page.wait_for_selector("#ask:not([hidden])")
    reached = []
    for _ in range(4):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.id || document.activeElement.name"))
    assert reached == ["files", "weight", "place", ""]


@pytest.mark.parametrize(
    ("spec", "sentence"),
    [
        (SPEC, "Predicts one of 3 classes: blue, green, red."),
        (BOXED, "Predicts one of 3 classes and where it is: blue, green, red."),
        (
            dataclasses.replace(SPEC, class_names=tuple("<abcdefghi")),
            "Predicts one of 10 classes: &lt;, a, b, c, d, e, f, g and others.",
        ),
        (
            dataclasses.replace(SPEC, task="multilabel", thresholds=(0.5,) * 3),
            "Predicts which of 3 labels apply: blue, green, red.",
        ),
    ],
)
def test_the_page_says_what_the_model_predicts(spec: BundleSpec, sentence: str) -> None:
    page = render_page("<b>", spec, needs_token=False)
    assert f'<h1>&lt;b&gt;</h1><p class="subtitle">{sentence}</p>' in page.html
