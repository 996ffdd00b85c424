"""What is true of a view lies where the view shows it."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tlkit.data.images import LOADER_VERSION
from tlkit.data.manifest import ImageRecord, Manifest
from tlkit.data.views import ViewPlan, draw_view
from tlkit.features.extract import LoadFailure
from tlkit.features.requested_rows import RequestedRows
from tlkit.features.row_keys import RowKey
from tlkit.inference.scoring import load_record
from tlkit.models.spec import BundleSpec
from tlkit.outputs import DETECTION
from tlkit.recipes import HeadSettings
from tlkit.recipes.settings import FITS, POLICIES
from tlkit.tasks.objects import SceneObject, read_objects, write_objects
from tlkit.training.held_images import HeldImages
from tlkit.training.targets import ObjectTargets, ViewDrawer, place_view_objects

EDGE = 128
SIZE = (260, 180)
BOXES: dict[str, tuple[int, int, int, int]] = {"red": (30, 40, 90, 100), "blue": (150, 70, 240, 130)}
COLOURS = {"red": (255, 0, 0), "blue": (0, 0, 255)}
CHANNELS = {"red": 0, "blue": 2}


def draw_record(folder: Path) -> ImageRecord:
    """Draw a red and a blue rectangle on grey, and write them down."""
    picture = Image.new("RGB", SIZE, (128, 128, 128))
    for name, box in BOXES.items():
        picture.paste(COLOURS[name], box)
    path = folder / "scene.png"
    picture.save(path)
    answer = write_objects([SceneObject(name, *corners) for name, corners in BOXES.items()])
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    return ImageRecord(path, sha256, SIZE[0], SIZE[1], "train", answer)


def find_rectangle(pixels: np.ndarray[tuple[int, ...], np.dtype[np.uint8]], channel: int) -> list[float]:
    """Return left, top, right, bottom, as fractions, of what is more of one colour than of the others."""
    others = np.delete(pixels.astype(int), channel, axis=2).max(axis=2)
    rows, columns = np.nonzero(pixels[..., channel].astype(int) > others + 40)
    return [columns.min() / EDGE, rows.min() / EDGE, (columns.max() + 1) / EDGE, (rows.max() + 1) / EDGE]


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize("policy", [policy for policy in POLICIES if policy not in ("none", "letters")])
def test_objects_lie_where_each_view_shows_them(fit: str, policy: str, tmp_path: Path) -> None:
    record = draw_record(tmp_path)
    spec = BundleSpec(
        "tiny", (EDGE, EDGE), fit, LOADER_VERSION, "maps", HeadSettings("detector"), ("blue", "red"), task=DETECTION
    )
    read = ObjectTargets(ViewDrawer((record,), spec, policy, seed=3), num_rows=4)
    num_seen = 0
    for index in range(6):
        view = draw_view(policy, seed=3, sha256=record.sha256, index=index)
        pixels = load_record(record, spec, view)
        targets = read(np.array([0]), np.array([index]))
        assert targets.answers.shape == (1, 4, 6)
        assert targets.answers.dtype == np.float32
        assert not targets.box_weights.any()
        for row in targets.answers[0]:
            if not row[4] or row[5] or not _has_colour(pixels):
                continue
            name = spec.class_names[int(row[4]) - 1]
            shown = find_rectangle(pixels, CHANNELS[name])
            # Of a rectangle that is turned and cut, the corner that the box goes by may lie outside.
            is_turned = view is not None and view.angle_degrees != 0
            assert np.abs(np.clip(row[:4], 0, 1) - shown).max() < (9 if is_turned else 2) / EDGE
            num_seen += 1
    assert num_seen >= 6


def _has_colour(pixels: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> bool:
    """Return whether a view keeps colours, as most do."""
    return bool(np.ptp(pixels.astype(int), axis=2).max() > 100)


def draw_lone(folder: Path, name: str) -> ImageRecord:
    """Draw one rectangle on grey, at a place that depends on its colour."""
    picture = Image.new("RGB", SIZE, (128, 128, 128))
    picture.paste(COLOURS[name], BOXES[name])
    path = folder / f"{name}.png"
    picture.save(path)
    answer = write_objects([SceneObject(name, *BOXES[name])])
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    return ImageRecord(path, sha256, SIZE[0], SIZE[1], "train", answer)


def test_objects_of_mosaics_lie_where_they_are_seen_from_the_cache_and_from_the_pixels(tmp_path: Path) -> None:
    records = (draw_lone(tmp_path, "red"), draw_lone(tmp_path, "blue"))
    names, head = ("blue", "red"), HeadSettings("detector")
    spec = BundleSpec("tiny", (EDGE, EDGE), "pad", LOADER_VERSION, "maps", head, names, task=DETECTION)
    requested = RequestedRows(Manifest(tmp_path, names, records, task=DETECTION), ViewPlan("mosaic", 30, 3))
    views = ViewDrawer(records, spec, "mosaic", 3, requested.companions)
    held = HeldImages(spec, 2**20)
    num_seen = 0
    for index in range(1, 30):
        pixels = held.load_view(views, 0, index)
        (cached,) = requested.load(
            [RowKey(records[0].sha256, requested.keys[index])], image_size=spec.image_size, fit=spec.fit
        )
        np.testing.assert_array_equal(cached, pixels)
        mosaic = views.draw_mosaic(0, index)
        if mosaic is None:
            continue
        x, y = (round(part * EDGE) for part in mosaic.centre)
        rows = place_view_objects(views, 0, index)
        for tile, (left, top, right, bottom) in zip(
            mosaic.tiles, ((0, 0, x, y), (x, 0, EDGE, y), (0, y, x, EDGE), (x, y, EDGE, EDGE)), strict=True
        ):
            middle = (rows[:, :2] + rows[:, 2:4]) / 2 * EDGE
            inside = ((middle > (left, top)) & (middle < (right, bottom))).all(axis=1) & (rows[:, 5] == 0)
            alone = np.full_like(pixels, 128)
            alone[top:bottom, left:right] = pixels[top:bottom, left:right]
            assert inside.sum() <= 1
            if inside.any() and _has_colour(alone):
                name = records[0 if tile.companion is None else _place_of(records, views, tile.companion)]
                channel = CHANNELS[read_objects(name.answer)[0].name]
                assert np.abs(rows[inside][0, :4] - find_rectangle(alone, channel)).max() < 1.2 / EDGE
                num_seen += 1
    assert num_seen > 20


def _place_of(records: tuple[ImageRecord, ...], views: ViewDrawer, companion: int) -> int:
    return records.index(views.companions[companion])


def test_the_keys_of_cached_mosaics_name_the_images_that_they_are_made_of(tmp_path: Path) -> None:
    records = (draw_lone(tmp_path, "red"), draw_lone(tmp_path, "blue"))
    keys = [
        RequestedRows(Manifest(tmp_path, ("blue", "red"), part, task=DETECTION), ViewPlan(policy, 3)).keys
        for part, policy in (
            (records, "mosaic"),
            (records[::-1], "mosaic"),
            (records[:1], "mosaic"),
            (records, "scales"),
        )
    ]
    assert keys[0] == keys[1]
    assert keys[0][0] == keys[2][0] == keys[3][0] == "0"
    assert not set(keys[0][1:]) & set(keys[2][1:])
    assert keys[0][1].startswith("mosaic.1/0/1/")
    assert keys[3] == ("0", "scales.1/0/1", "scales.1/0/2")


def test_a_mosaic_of_a_file_that_is_gone_says_which(tmp_path: Path) -> None:
    records = (draw_lone(tmp_path, "red"), draw_lone(tmp_path, "blue"))
    requested = RequestedRows(Manifest(tmp_path, ("blue", "red"), records, task=DETECTION), ViewPlan("mosaic", 30))
    records[1].path.unlink()
    rows = [RowKey(records[0].sha256, key) for key in requested.keys]
    with pytest.raises(LoadFailure) as caught:
        requested.load(rows, image_size=(EDGE, EDGE), fit="pad")
    assert caught.value.reason == f"its mosaic needs {records[1].path}: no such file"
