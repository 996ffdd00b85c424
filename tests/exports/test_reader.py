"""The reader that an export ships gives the model exactly what tlkit's own loader gives it."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import shutil
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from PIL import Image

import tlkit.exports
from tests.conftest import draw_image
from tlkit.data.box_views import recover_box, recover_objects
from tlkit.data.image_file import ImageFile
from tlkit.data.images import LOADER_VERSION
from tlkit.data.metadata_source import describe_facts
from tlkit.detection.decoding import activate_answers, decode_answers
from tlkit.detection.grid import Grid
from tlkit.exports.mask_comparison import read_masks
from tlkit.exports.model_json import build_document
from tlkit.inference.files import describe_row
from tlkit.inference.mask_files import MaskFolder
from tlkit.metadata.columns import IMAGE_FACTS
from tlkit.metadata.encoding import CategoryColumn, MetadataEncoding, NumberColumn
from tlkit.models.spec import BundleSpec
from tlkit.outputs import GreyRange
from tlkit.recipes import HeadSettings
from tlkit.tasks.found_objects import list_found_objects
from tlkit.tasks.mask_text import PLACES

READER = Path(tlkit.exports.__file__).parent / "readers" / "tlkit_reader.py"
ENCODING = MetadataEncoding(
    (
        NumberColumn("area", 120.0, 35.0, 40.0, 200.0),
        NumberColumn("flag", 0.4, 0.5, 0.0, 1.0),
        CategoryColumn("town", ("Delft", "Utrecht (city)", "1.5")),
        CategoryColumn("sold", ("true", "false")),
        *(NumberColumn(name, 40.0, 9.0, 1.0, 90.0) for name in ("image-width", "image-aspect", "image-bytes")),
        CategoryColumn("image-format", ("JPEG", "PNG")),
    )
)
SPEC = BundleSpec(
    "tiny", (32, 32), "squash", LOADER_VERSION, "avg", HeadSettings("linear"), ("a", "b"), metadata=ENCODING,
    grey=(GreyRange("16-bit", 0.0, 4095.0), GreyRange("float", -1.0, 3.0)),
)  # fmt: skip

MASKS = BundleSpec(
    "tiny", (64, 64), "pad", LOADER_VERSION, "maps", HeadSettings("segmenter"), ("cat", "dog", "fish"),
    task="segmentation", map_sizes=((8, 8), (4, 4)), unknown_above=0.5,
)  # fmt: skip


def load_reader(folder: Path, spec: BundleSpec) -> ModuleType:
    """Return the reader as it stands in an export of a model."""
    (folder / "readers").mkdir(parents=True)
    for path in READER.parent.glob("tlkit_*.py"):
        shutil.copy(path, folder / "readers")
    (folder / "model.json").write_text(json.dumps(build_document(spec, bundle_sha256="0")), "utf-8")
    module_spec = importlib.util.spec_from_file_location("tlkit_reader", folder / "readers" / READER.name)
    assert module_spec is not None
    assert module_spec.loader is not None
    module = importlib.util.module_from_spec(module_spec)
    module_spec.loader.exec_module(module)
    return module


def draw_transparent(size: tuple[int, int]) -> Image.Image:
    picture = draw_image("striped red", 3, size).convert("RGBA")
    picture.putalpha(Image.fromarray(np.tile(np.arange(size[0], dtype=np.uint8) * 3, (size[1], 1))))
    return picture


def save_rotated(path: Path, size: tuple[int, int]) -> None:
    exif = Image.Exif()
    exif[274] = 6
    draw_image("striped blue", 1, size).save(path, exif=exif, quality=95)


DEEP = np.random.default_rng(1).integers(0, 4096, (40, 50)).astype(np.uint16)
PICTURES: dict[str, Any] = {
    "photo.jpg": lambda path: draw_image("striped red", 1, (300, 200)).save(path, quality=90),
    "rotated.jpg": lambda path: save_rotated(path, (300, 170)),
    "small.png": lambda path: draw_image("striped red", 2, (20, 17)).save(path),
    "thin.png": lambda path: draw_image("striped red", 2, (900, 3)).save(path),
    "transparent.png": lambda path: draw_transparent((60, 45)).save(path),
    "palette.gif": lambda path: draw_image("striped green", 2, (70, 33)).convert("P").save(path),
    "printed.jpg": lambda path: draw_image("striped green", 2, (70, 33)).convert("CMYK").save(path),
    "grey.png": lambda path: draw_image("striped green", 2, (70, 33)).convert("L").save(path),
    "deep.png": lambda path: Image.fromarray(DEEP).save(path),
    "float.tif": lambda path: Image.fromarray(DEEP.astype(np.float32) / 1000 - 1).save(path),
}


@pytest.mark.parametrize("fit", ["squash", "crop", "pad"])
def test_pixels_are_those_of_the_loader(fit: str, tmp_path: Path) -> None:
    spec = dataclasses.replace(SPEC, fit=fit)
    reader = load_reader(tmp_path / "ship", spec)
    for name, save in PICTURES.items():
        path = tmp_path / name
        save(path)
        ours = ImageFile.read(path, spec.grey).render(image_size=spec.image_size, fit=fit)
        pixels, _ = reader.read_image(path)
        np.testing.assert_array_equal(pixels, ours, err_msg=name)


def test_very_large_pictures_are_reduced_alike(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tlkit.data.images._LARGE_PIXELS", 2**14)
    reader = load_reader(tmp_path / "ship", SPEC)
    monkeypatch.setattr(reader, "LARGE", 2**14)
    path = tmp_path / "large.png"
    draw_image("striped red", 1, (403, 301)).save(path)
    ours = ImageFile.read(path).render(image_size=SPEC.image_size, fit="squash")
    np.testing.assert_array_equal(reader.read_image(path)[0], ours)


def test_an_image_whose_grey_has_no_levels_is_refused(tmp_path: Path) -> None:
    reader = load_reader(tmp_path / "ship", dataclasses.replace(SPEC, grey=()))
    PICTURES["deep.png"](tmp_path / "deep.png")
    with pytest.raises(
        ValueError, match=r"^16-bit grey, of which the training images had none, so that black and white "
    ):
        reader.read_image(tmp_path / "deep.png")


@pytest.mark.parametrize(
    "texts",
    [
        ("120", "1", "Delft", "true"),
        (" 1e2 ", "0", "  UTRECHT  (City) ", "TRUE"),
        ("-9999", "true", "1.50", "1"),
        ("nan", "no", "Paris", "0"),
        ("n/a", "2", "", "no"),
        ("1e31", "maybe", "?", "perhaps"),
        ("99999999", "-", "delft", "#N/A"),
        ("inf", "yes", "1.5000", "False"),
        ("12,5", "", "nan", "1.0"),
    ],
)
def test_metadata_are_encoded_as_in_training(texts: tuple[str, ...], tmp_path: Path) -> None:
    reader = load_reader(tmp_path / "ship", SPEC)
    path = tmp_path / "rotated.jpg"
    save_rotated(path, (60, 40))
    image = ImageFile.read(path)
    facts = describe_facts(image.facts, num_bytes=len(image.content))
    names = ("area", "flag", "town", "sold")
    row = [dict(zip(names, texts, strict=True)).get(name) or facts.get(name, "") for name in ENCODING.names]

    _, found = reader.read_image(path)

    assert {name: found[name] for name in IMAGE_FACTS} == facts
    encoded = reader.read_metadata({**found, **dict(zip(names, texts, strict=True))})
    np.testing.assert_allclose(encoded, ENCODING.encode([row])[0], rtol=1e-6)


@pytest.mark.parametrize("fit", ["squash", "crop", "pad"])
def test_boxes_lie_where_predict_puts_them(fit: str, tmp_path: Path) -> None:
    reader = load_reader(tmp_path / "ship", dataclasses.replace(SPEC, fit=fit))
    centre = np.array([0.4, 0.5, 0.7, 0.3])
    corners = (0.4 - 0.35, 0.5 - 0.15, 0.4 + 0.35, 0.5 + 0.15)

    box = reader.place_box(corners, 300, 120)

    ours = recover_box(centre, picture_size=(120, 300), image_size=SPEC.image_size, fit=fit)
    np.testing.assert_allclose(box, ours, atol=1e-9)


def test_rows_belong_to_images_by_path_or_by_name(tmp_path: Path) -> None:
    reader = load_reader(tmp_path / "ship", SPEC)
    photos, elsewhere = tmp_path / "data" / "photos", tmp_path / "new"
    for folder in (photos, elsewhere):
        folder.mkdir(parents=True)
        for name in ("1.jpg", "notes.txt", "2.PNG"):
            (folder / name).touch()
    table = tmp_path / "data" / "houses.csv"
    table.write_text("image,area\nphotos/1.jpg,30\n", "utf-8")

    both = [
        (Path(path).name, row.get("area")) for path, row in reader.find_images([str(tmp_path / "data")], str(table))
    ]

    assert both == [("1.jpg", "30"), ("2.PNG", None)]
    assert [row.get("area") for _, row in reader.find_images([str(elsewhere / "1.jpg")], str(table))] == ["30"]
    assert [path for path, _ in reader.find_images([], str(table))] == [str(photos / "1.jpg")]


def test_a_missing_row_is_an_error_that_names_the_column(tmp_path: Path) -> None:
    reader = load_reader(tmp_path / "ship", SPEC)
    with pytest.raises(ValueError, match=r"^the model needs area, for which --table has no row$"):
        reader.read_metadata({})


@pytest.mark.parametrize(("nms", "sigma"), [("soft", 0.5), ("hard", None)])
def test_objects_are_chosen_as_tlkit_chooses_them(
    nms: str, sigma: float | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path / "readers")
    names, head = ("cat", "dog", "fish"), HeadSettings("detector", nms=nms)
    spec = BundleSpec(
        "tiny", (64, 64), "pad", LOADER_VERSION, "maps", head, names, task="detection",
        thresholds=(0.5, 0.3, 0.7), map_sizes=((8, 8), (4, 4)),
    )  # fmt: skip
    reader, grid, random = load_reader(tmp_path, spec), Grid(spec.map_sizes), np.random.default_rng(2)
    answers = random.normal(size=(30, grid.num_locations, 7), scale=0.7).astype(np.float32)
    answers[..., 2:4] += 0.8
    answers[..., 4:] -= random.uniform(-0.5, 3, size=(30, 1, 1))
    picture = (300, 200)
    facts = {"image-width": str(picture[1]), "image-height": str(picture[0])}
    num_found = 0
    for answer in answers:
        boxes, scores = (each[0] for each in activate_answers(answer[np.newaxis], grid))
        row = reader.describe_answer({"boxes": boxes, "scores": scores}, facts)
        found = decode_answers(answer[np.newaxis], grid, soft_sigma=sigma)[0]
        ours = recover_objects(found, picture_size=picture, image_size=(64, 64), fit="pad")
        ours = ours[ours[:, 4] > 0]
        np.testing.assert_allclose(np.reshape(row["detections"], (-1, 6)), ours, rtol=1e-4, atol=1e-3)
        shown = list_found_objects(ours, names, spec.thresholds)
        assert [each["class"] for each in row["objects"]] == [each.class_name for each in shown]
        num_found += len(shown)
    assert num_found > 100


@pytest.mark.parametrize("fit", ["squash", "crop", "pad"])
@pytest.mark.parametrize("size", [(30, 50), (61, 20)])
def test_masks_are_drawn_as_tlkit_draws_them(
    fit: str, size: tuple[int, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path / "readers")
    spec = dataclasses.replace(MASKS, fit=fit)
    reader, rng = load_reader(tmp_path, spec), np.random.default_rng(3)
    facts = {"image-height": str(size[0]), "image-width": str(size[1])}
    for _ in range(4):
        cells = rng.dirichlet(np.full(4, 0.3), (8, 8)).astype(np.float32)
        ours = describe_row("a.png", size, np.append(cells.ravel(), np.float32(0.1)), spec, top_k=1)
        row = reader.describe_answer({"cells": cells, "distance": np.float32(0.1)}, facts)
        assert ours.draw_mask is not None
        np.testing.assert_array_equal(read_masks([row])[0], ours.draw_mask((PLACES, PLACES)))
        assert {each["class"]: each["share"] for each in row["areas"]} == pytest.approx(
            {name: share for name, share in (ours.areas or {}).items() if share}
        )


def test_the_program_writes_the_masks_that_predict_writes_and_replaces_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(tmp_path / "readers")
    reader, (ours, theirs) = load_reader(tmp_path, MASKS), (tmp_path / "ours", tmp_path / "theirs")
    (tmp_path / "toy-float32").mkdir()
    photos = [tmp_path / name / "a.png" for name in "xy"]
    for photo in photos:
        photo.parent.mkdir()
        Image.new("RGB", (50, 30)).save(photo)
    cells = np.random.default_rng(4).dirichlet(np.full(4, 0.3), (8, 8)).astype(np.float32)
    outputs = {"cells": cells[np.newaxis], "distance": np.full(1, 0.1, np.float32)}
    program = ["predict_toy.py", *map(str, photos), "--masks", str(theirs)]

    monkeypatch.setattr("sys.argv", program)
    reader.main(lambda folder: lambda inputs: outputs, "toy")

    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [Path(row["mask_file"]).name for row in rows] == ["a.png", "a-2.png"]
    assert [list(row) for row in rows] == [["image", "areas", "distance", "is_unknown", "seconds", "mask_file"]] * 2
    prediction = describe_row("a.png", (30, 50), np.append(cells.ravel(), np.float32(0.1)), MASKS, top_k=1)
    MaskFolder(ours, MASKS).write(Path("a.png"), prediction)
    with Image.open(theirs / "a-2.png") as found, Image.open(ours / "a.png") as expected:
        np.testing.assert_array_equal(np.asarray(found), np.asarray(expected))
        assert (found.size, found.mode) == (expected.size, expected.mode) == ((50, 30), "P")
        np.testing.assert_array_equal(np.asarray(found.convert("RGB")), np.asarray(expected.convert("RGB")))
    assert (theirs / "classes.txt").read_text() == (ours / "classes.txt").read_text()
    with pytest.raises(SystemExit, match=r"theirs is not empty; --masks takes a new folder\.$"):
        reader.main(lambda folder: lambda inputs: outputs, "toy")
    monkeypatch.setattr("sys.argv", [*program[:3], "--maps", "1", "--all"])
    reader.main(lambda folder: lambda inputs: outputs, "toy")
    first, second = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    np.testing.assert_array_equal(np.array(first["cells"], np.float32), cells)
    assert ("cells" in second, read_masks([second]).shape) == (False, (1, PLACES, PLACES))
