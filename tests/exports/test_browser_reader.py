"""The JavaScript reader and the page of an export, in a browser: the pixels of Pillow, and the model's answers."""

from __future__ import annotations

import base64
import dataclasses
import functools
import http.server
import importlib
import io
import json
import os
import re
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.browser import OpenPage, find_barriers, find_overflow, wait_until
from tests.exports.conftest import make_proof
from tests.exports.test_reader import ENCODING, MASKS, PICTURES, READER, SPEC, load_reader
from tlkit.exports.model_json import build_document
from tlkit.exports.readme import write_readme
from tlkit.models.spec import BundleSpec
from tlkit.recipes import HeadSettings

RUNTIME = "ort.wasm.min.mjs"
TOY_RUNTIME = """\
export const env = { wasm: {} };
export class Tensor {
  constructor(type, data, dims) { Object.assign(this, { type, data, dims }); }
}
export const InferenceSession = {
  async create(content) {
    const isText = typeof content === "string";
    const bytes = isText ? await (await fetch(content)).arrayBuffer() : content;
    if (new TextDecoder().decode(bytes) !== "toy") throw new Error("this is no toy");
    return {
      outputNames: ["probabilities", "box", "map"],
      async run({ image }) {
        const red = image.data.filter((_, index) => index % 3 === 0).reduce((sum, value) => sum + value, 0);
        const share = red / image.data.length * 3 / 255;
        return {
          probabilities: new Tensor("float32", [share, 1 - share], [1, 2]),
          box: new Tensor("float32", [0.25, 0.5, 0.75, 1.5], [1, 4]),
          map: new Tensor("float32", [0, 1, 2, 3, 4, 5, 6, 7], [1, 2, 2, 2]),
        };
      },
    };
  },
};
"""
READ = """async ([texts, model]) => {
  const read = async (text) => {
    const { pixels } = await reader.readImage(await (await fetch(text)).blob(), model);
    return Array.from(pixels);
  };
  return Promise.all(texts.map(read));
}"""


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    """Serves files and writes no log."""

    def log_message(self, format: str, *args: Any) -> None:
        """Write nothing."""


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    """A server of `tmp_path / "ship"`, as `python -m http.server` is."""
    handler = functools.partial(QuietHandler, directory=str(tmp_path / "ship"))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def page(tmp_path: Path, address: str, open_served: OpenPage) -> Any:
    """A page that has loaded the reader."""
    shutil.copytree(READER.parent, tmp_path / "ship" / "readers", ignore=shutil.ignore_patterns("__pycache__"))
    script = """import * as reader from "./readers/tlkit_reader.js";
      import * as places from "./readers/tlkit_places.js";
      Object.assign(window, { reader, places });"""
    (tmp_path / "ship" / "index.html").write_text(
        f'<!doctype html><link rel="icon" href="data:,"><script type="module">{script}</script>', "utf-8"
    )
    page = open_served(address)
    wait_until(page, "window.reader")
    return page


def embed(path: Path) -> str:
    """Return a `data:` address of a picture."""
    return f"data:image/{path.suffix[1:]};base64,{base64.b64encode(path.read_bytes()).decode()}"


@pytest.mark.parametrize("fit", ["squash", "crop", "pad"])
def test_a_browser_reads_the_pixels_of_the_python_reader(fit: str, page: Any, tmp_path: Path) -> None:
    reader = load_reader(tmp_path / "python", dataclasses.replace(SPEC, fit=fit))
    names = ("small.png", "thin.png", "transparent.png", "palette.gif", "grey.png", "rotated.jpg", "printed.jpg")
    for name in names:
        PICTURES[name](tmp_path / name)

    pixels = page.evaluate(READ, [[embed(tmp_path / name) for name in names], reader.MODEL])

    for name, found in zip(names, pixels, strict=True):
        expected = reader.read_image(tmp_path / name)[0].astype(int)
        difference = np.abs(np.reshape(found, expected.shape) - expected)
        # Another decoder, and the whole JPEG where Python's reader takes half of it.
        assert (difference.mean() < 3) if name.endswith(".jpg") else (difference.max() <= 1), name


def test_grey_of_16_bits_is_refused(page: Any, tmp_path: Path) -> None:
    PICTURES["deep.png"](tmp_path / "deep.png")
    Image.fromarray(np.zeros((9, 9), np.uint8)).save(tmp_path / "plain.png")
    script = """([deep, plain, model]) => Promise.allSettled([deep, plain].map(
      async (text) => reader.readImage(await (await fetch(text)).blob(), model)))"""
    model = build_document(SPEC, bundle_sha256="0")

    deep, plain = page.evaluate(script, [embed(tmp_path / "deep.png"), embed(tmp_path / "plain.png"), model])

    assert plain["status"] == "fulfilled"
    assert str(deep["reason"]).endswith(
        "it is grey of 16 bits, of which a browser sees 8; the programs in Python and C++ read it"
    )


def test_the_resize_is_that_of_pillow(page: Any, tmp_path: Path) -> None:
    reader = load_reader(tmp_path / "python", SPEC)
    for height, width in ((101, 47), (20, 17), (32, 32)):
        rgba = np.random.default_rng(0).integers(0, 256, (height, width, 4), np.uint8)
        script = "([rgba, width, height, model]) => Array.from(reader.resize(rgba, width, height, model))"

        found = page.evaluate(script, [rgba.ravel().tolist(), width, height, reader.MODEL])

        expected = reader.resize(Image.fromarray(rgba[..., :3]), 32, 32)
        difference = np.abs(np.reshape(found, (32, 32, 3)) - np.asarray(expected).astype(int))
        # Releases of Pillow differ in the order of the two passes, after each of which they round.
        assert difference.max() <= 1
        assert difference.mean() < 0.2


def test_metadata_are_encoded_as_in_python(page: Any, tmp_path: Path) -> None:
    reader = load_reader(tmp_path / "python", SPEC)
    rest = dict.fromkeys(ENCODING.names, "40")
    rows = [
        {**rest, "area": area, "flag": flag, "town": town, "sold": sold}
        for area, flag, town, sold in (
            ("120", "1", "Delft", "true"),
            (" 1e2 ", "yes", "  UTRECHT  (City) ", "no"),
            ("-9999", "maybe", "1.500", "1.0"),
            ("n/a", "", "constructor", "-"),
        )
    ]

    found = page.evaluate("([rows, model]) => rows.map(row => Array.from(reader.readMetadata(row, model)))",
                          [rows, reader.MODEL])  # fmt: skip

    np.testing.assert_allclose(found, [reader.read_metadata(row) for row in rows], rtol=1e-6)


def test_objects_are_chosen_as_in_python(page: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for nms in ("soft", "hard"):
        monkeypatch.syspath_prepend(tmp_path / nms / "readers")
        head = HeadSettings("detector", nms=nms)
        spec = dataclasses.replace(
            MASKS, task="detection", head=head, class_names=("cat", "dog"), thresholds=(0.5, 0.4)
        )
        reader, rng = load_reader(tmp_path / nms, spec), np.random.default_rng(2)
        corners = rng.uniform(-0.2, 0.7, (60, 2))
        boxes = np.concatenate([corners, corners + rng.uniform(0.1, 0.5, (60, 2))], axis=1).astype(np.float32)
        scores = rng.uniform(0, 1, (60, 2)).astype(np.float32)

        script = """([boxes, scores, model]) => reader.describeAnswer(
          { boxes: Float32Array.from(boxes), scores: Float32Array.from(scores) }, 200, 300, model).objects"""
        found = page.evaluate(script, [boxes.ravel().tolist(), scores.ravel().tolist(), reader.MODEL])

        facts = {"image-width": "200", "image-height": "300"}
        expected = reader.describe_answer({"boxes": boxes, "scores": scores}, facts)["objects"]
        assert len(expected) > 5
        assert [each["class"] for each in found] == [each["class"] for each in expected]
        for key in ("box", "score"):
            np.testing.assert_allclose(
                [each[key] for each in found], [each[key] for each in expected], rtol=1e-4, atol=1e-3
            )


def test_masks_are_drawn_as_in_python(page: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = """([cells, model]) => {
      const [numbers, frame] = [Float32Array.from(cells), reader.findFrame(50, 30, model)];
      const mask = places.drawMask(numbers, frame, [50, 30], 50, 30, model);
      return [Array.from(mask), reader.describeAnswer({ cells: numbers }, 50, 30, model).areas];
    }"""
    cells = np.random.default_rng(3).dirichlet(np.full(4, 0.3), (8, 6)).astype(np.float32)
    for fit in ("squash", "crop", "pad"):
        monkeypatch.syspath_prepend(tmp_path / fit / "readers")
        reader = load_reader(tmp_path / fit, dataclasses.replace(MASKS, fit=fit))
        model = reader.MODEL | {"outputs": [{"name": "cells", "shape": ["batch", 8, 6, 4]}]}

        mask, areas = page.evaluate(script, [cells.ravel().tolist(), model])

        draw_mask = importlib.import_module("tlkit_masks").draw_mask
        expected = draw_mask(cells, (30, 50), reader.find_frame(50, 30), (30, 50), 255)
        assert (np.reshape(mask, (30, 50)) == expected).mean() > 0.998  # a browser computes with more digits
        row = reader.describe_answer({"cells": cells}, {"image-width": "50", "image-height": "30"})
        assert {each["class"]: each["share"] for each in areas} == pytest.approx(
            {each["class"]: each["share"] for each in row["areas"]}, abs=1e-3
        )


def read_corner(canvas: Any) -> tuple[int, ...]:
    """Return the colour of a canvas at its lower right."""
    encoded = canvas.evaluate("canvas => canvas.toDataURL()").partition(",")[2]
    picture = Image.open(io.BytesIO(base64.b64decode(encoded))).convert("RGB")
    pixel: tuple[int, ...] = picture.getpixel((picture.width - 2, picture.height - 2))  # type: ignore[assignment]
    return pixel


@pytest.mark.parametrize(("width", "dark"), [(1280, False), (400, True)])
def test_the_page_shows_probabilities_the_box_and_the_map(
    page: Any, address: str, tmp_path: Path, width: int, dark: bool
) -> None:
    document = build_document(dataclasses.replace(SPEC, fit="pad"), bundle_sha256="0")
    columns = [column for column in document["metadata"]["columns"] if column["name"] == "town"]
    document["metadata"]["columns"] = columns
    ship = tmp_path / "ship"
    (ship / "model.json").write_text(json.dumps(document), "utf-8")
    (ship / "onnx-float32").mkdir()
    (ship / "onnx-float32" / "model.onnx").write_text("toy")
    (ship / "readers" / RUNTIME).write_text(TOY_RUNTIME, "utf-8")
    Image.new("RGB", (40, 20), (255, 0, 0)).save(tmp_path / "red.png")
    (tmp_path / "broken.png").write_bytes(b"no picture")
    page.set_viewport_size({"width": width, "height": 900})
    page.emulate_media(color_scheme="dark" if dark else "light")

    page.goto(f"{address}/readers/")
    page.get_by_text("The model is ready.").wait_for()
    page.get_by_label("town").fill("Delft")
    page.set_input_files("#files", [str(tmp_path / name) for name in ("red.png", "broken.png")])
    page.get_by_text("2 pictures answered.").wait_for()

    broken, red = page.locator("article").all()
    assert broken.inner_text().startswith("broken.png\n\nThis picture cannot be read: ")
    assert red.locator("p").inner_text() == "a, 75.1 % · box 10, 10, 30, 20"  # bars above and below are grey, 128
    assert red.locator("tr").all_inner_texts() == ["a\t75.1 %", "b\t24.9 %"]
    canvas = red.locator("canvas")
    assert read_corner(canvas)[1] > 60  # the map paints it orange
    page.get_by_label("Show where the model sees the class").uncheck()
    assert read_corner(canvas) == (255, 0, 0)
    assert find_overflow(page) <= 0
    assert find_barriers(page) == []


@pytest.mark.parametrize("task", ["detection", "segmentation"])
def test_the_page_shows_what_is_where(task: str, page: Any, address: str, tmp_path: Path) -> None:
    ship, is_mask = tmp_path / "ship", task == "segmentation"
    spec = dataclasses.replace(MASKS, task=task, fit="squash", class_names=("cat", "dog"))
    document = build_document(spec, bundle_sha256="0")
    document["outputs"] = [{"name": "cells", "shape": ["batch", 1, 2, 3]}]
    (ship / "model.json").write_text(json.dumps(document), "utf-8")
    (ship / "onnx-float32").mkdir()
    (ship / "onnx-float32" / "model.onnx").write_text("toy")
    numbers = {"boxes": [0.5, 0.5, 0.95, 0.95, 0, 0, 0.3, 0.3], "scores": [0.9, 0, 0, 0.8]}
    numbers = {"cells": [1, 0, 0, 0, 0, 1]} if is_mask else numbers
    lines = ", ".join(f'{name}: new Tensor("float32", {values}, [])' for name, values in numbers.items())
    start, end = TOY_RUNTIME.index("        const red"), TOY_RUNTIME.index("      },\n    };")
    toy = TOY_RUNTIME[:start] + f"        return {{ {lines} }};\n" + TOY_RUNTIME[end:]
    (ship / "readers" / RUNTIME).write_text(toy, "utf-8")
    Image.new("RGB", (40, 20), (255, 255, 255)).save(tmp_path / "white.png")

    page.goto(f"{address}/readers/")
    page.get_by_text("The model is ready.").wait_for()
    page.set_input_files("#files", str(tmp_path / "white.png"))
    page.get_by_text("One picture answered.").wait_for()

    article = page.locator("article")
    assert article.locator("p").inner_text() == ("dog" if is_mask else "1 × cat, 1 × dog")
    assert article.locator("th").all_inner_texts() == (["dog"] if is_mask else ["cat", "dog"])
    painted = read_corner(article.locator("canvas"))
    assert painted != (255, 255, 255)
    if is_mask:
        page.get_by_label("Show the mask").uncheck()
        assert read_corner(article.locator("canvas")) == (255, 255, 255)
    assert find_barriers(page) == []


def test_the_lines_of_the_readme_work(page: Any, address: str, tmp_path: Path) -> None:
    document = build_document(SPEC, bundle_sha256="0") | {"inputs": [], "outputs": []}
    ship = tmp_path / "ship"
    (ship / "model.json").write_text(json.dumps(document), "utf-8")
    (ship / "onnx-float32").mkdir()
    (ship / "onnx-float32" / "model.onnx").write_text("toy")
    (ship / "readers" / RUNTIME).write_text(TOY_RUNTIME, "utf-8")
    Image.new("RGB", (40, 20), (255, 0, 0)).save(ship / "photo.jpg")
    text = write_readme(document, [make_proof("onnx")], "3 photos")

    page.add_script_tag(type="module", content=re.findall(r"```js\n(.*?)```", text, re.DOTALL)[0])
    wait_until(page, "window.answer")

    answer = page.evaluate("answer")
    assert (answer["class"], answer["box"]) == ("a", [10, 10, 30, 20])
    assert answer["probability"] == pytest.approx(254 / 255, abs=0.003)


def test_the_page_answers_as_python_does_with_the_real_runtime(page: Any, address: str, tmp_path: Path) -> None:
    runtime = Path(os.environ.get("TLKIT_ONNXRUNTIME_WEB", "missing"))
    if not (runtime / RUNTIME).is_file():
        pytest.skip("TLKIT_ONNXRUNTIME_WEB does not name the folder dist/ of the npm package onnxruntime-web")
    onnx = pytest.importorskip("onnx", reason="`pip install 'tlkit[onnx]'` lifts this")
    ship = tmp_path / "ship"
    for name in (RUNTIME, "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm"):
        shutil.copy(runtime / name, ship / "readers")
    spec = dataclasses.replace(SPEC, metadata=BundleSpec.metadata)
    (ship / "model.json").write_text(json.dumps(build_document(spec, bundle_sha256="0")), "utf-8")
    write_mean_model(onnx, ship / "onnx-float32" / "model.onnx")
    PICTURES["transparent.png"](tmp_path / "photo.png")

    page.goto(f"{address}/readers/")
    page.get_by_text("The model is ready.").wait_for()
    page.set_input_files("#files", str(tmp_path / "photo.png"))
    answer = json.loads(page.locator("article").get_attribute("data-answer"))

    means = load_reader(tmp_path / "python", spec).read_image(tmp_path / "photo.png")[0].mean(axis=(0, 1)) / 20
    scores = np.exp(means[:2] - means[:2].max())
    np.testing.assert_allclose(answer["probabilities"], scores / scores.sum(), atol=1e-3)


def write_mean_model(onnx: Any, path: Path) -> None:
    """Write a model whose logits are a twentieth of the mean red and green."""
    helper, number = onnx.helper, onnx.TensorProto.FLOAT
    nodes = [
        helper.make_node("ReduceMean", ["image"], ["means"], axes=[1, 2], keepdims=0),
        helper.make_node("MatMul", ["means", "weights"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["probabilities"]),
    ]
    weights = helper.make_tensor("weights", number, [3, 2], [0.05, 0, 0, 0.05, 0, 0])
    image = helper.make_tensor_value_info("image", number, ["batch", 32, 32, 3])
    probabilities = helper.make_tensor_value_info("probabilities", number, ["batch", 2])
    graph = helper.make_graph(nodes, "mean", [image], [probabilities], [weights])
    path.parent.mkdir()
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)


def test_programs_have_no_address_of_another_host() -> None:
    for name in ("tlkit_reader.js", "tlkit_places.js", "index.html"):
        assert not re.search(r"https?:|//[a-z]", (READER.parent / name).read_text("utf-8").replace("// ", "")), name
