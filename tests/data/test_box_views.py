"""Boxes follow every fit and every view to within a pixel of what is drawn."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageDraw

from tlkit.data.box_views import place_box, place_objects, recover_box, recover_objects
from tlkit.data.views import POLICIES, View, draw_view
from tlkit.recipes.settings import FITS

PICTURE_SIZE = (420, 640)
IMAGE_SIZE = (224, 224)


def draw_rectangle(box: tuple[int, int, int, int]) -> Image.Image:
    """Return a grey picture with a red rectangle that fills the box exactly."""
    picture = Image.new("RGB", PICTURE_SIZE[::-1], (90, 90, 90))
    left, top, right, bottom = box
    ImageDraw.Draw(picture).rectangle((left, top, right - 1, bottom - 1), fill=(255, 40, 40))
    return picture


def find_red(pixels: np.ndarray) -> tuple[float, float, float, float]:
    """Return left, top, right, bottom of what is at least half red."""
    rows, columns = np.nonzero(pixels[..., 0].astype(int) - pixels[..., 2] > 100)
    return columns.min(), rows.min(), columns.max() + 1, rows.max() + 1


def to_pixels(fractions: np.ndarray) -> np.ndarray:
    cx, cy, w, h = fractions.astype(float)
    return np.array([cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2]) * 224


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize("policy", POLICIES)
def test_a_box_encloses_what_it_did_in_every_view(policy: str, fit: str) -> None:
    rng = np.random.default_rng(1)
    differences = []
    for index in range(1, 41):
        view = draw_view(policy, seed=3, sha256="a" * 64, index=index)
        assert view is not None
        left, top = (int(value) for value in rng.integers((150, 60), (300, 160)))
        box = (left, top, left + int(rng.integers(40, 190)), top + int(rng.integers(40, 190)))
        fractions, is_seen = place_box(box, view, picture_size=PICTURE_SIZE, image_size=IMAGE_SIZE, fit=fit)
        geometry = View(view.crop, view.flip, view.angle_degrees)
        pixels = np.asarray(geometry.render(draw_rectangle(box), image_size=IMAGE_SIZE, fit=fit))
        edges = to_pixels(fractions)
        inside = edges[0] > 2 and edges[1] > 2 and edges[2] < 222 and edges[3] < 222
        if is_seen and inside:  # at the edges of a squash or crop the picture goes on mirrored, and so does the red
            differences.append(np.abs(edges - find_red(pixels)).max())
    assert len(differences) >= 10
    assert max(differences) <= 1.0 + 1e-6


def test_a_box_that_a_view_hardly_shows_does_not_count() -> None:
    corner = View(crop=(0.5, 0.5, 1.0, 1.0))
    for box, seen in (((0.0, 0.0, 340.0, 220.0), False), ((300.0, 200.0, 640.0, 420.0), True)):
        fractions, is_seen = place_box(box, corner, picture_size=PICTURE_SIZE, image_size=IMAGE_SIZE, fit="squash")
        assert is_seen == seen
        assert fractions.min() >= 0
        assert fractions.max() <= 1


@pytest.mark.parametrize("fit", FITS)
def test_a_box_comes_back_as_it_was(fit: str) -> None:
    box = (250.0, 100.0, 400.0, 300.5)
    fractions, _ = place_box(box, View(), picture_size=PICTURE_SIZE, image_size=IMAGE_SIZE, fit=fit)
    again = recover_box(fractions, picture_size=PICTURE_SIZE, image_size=IMAGE_SIZE, fit=fit)
    np.testing.assert_allclose(again, box, atol=1e-3)


def test_a_recovered_box_stays_within_the_picture() -> None:
    whole = np.array([0.5, 0.5, 1.0, 1.0], np.float32)
    assert recover_box(whole, picture_size=PICTURE_SIZE, image_size=IMAGE_SIZE, fit="pad") == (0.0, 0.0, 640.0, 420.0)


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize("policy", POLICIES)
def test_objects_are_placed_as_a_single_box_is_but_not_clipped(policy: str, fit: str) -> None:
    rng = np.random.default_rng(2)
    starts = rng.uniform((0, 0), (560, 340), (30, 2))
    rows = np.column_stack(
        [starts, starts + rng.uniform(20, 80, (30, 2)), rng.integers(1, 4, 30), rng.integers(0, 2, 30)]
    )
    for index in range(1, 21):
        view = draw_view(policy, seed=3, sha256="b" * 64, index=index)
        assert view is not None
        placed = place_objects(rows, view, picture_size=PICTURE_SIZE, image_size=IMAGE_SIZE, fit=fit)
        assert placed.dtype == np.float32
        expected = []
        for *box, label, ignored in rows.tolist():
            centre, is_seen = place_box(tuple(box), view, picture_size=PICTURE_SIZE, image_size=IMAGE_SIZE, fit=fit)
            if min(centre[2:]) > 0:
                cx, cy, width, height = centre.tolist()
                corners = (cx - width / 2, cy - height / 2, cx + width / 2, cy + height / 2)
                expected.append((*corners, label, float(ignored or not is_seen)))
        clipped = np.column_stack([np.clip(placed[:, :4], 0, 1), placed[:, 4:]])
        np.testing.assert_allclose(clipped, expected, atol=1e-6)


def test_an_object_at_the_edge_keeps_its_size_one_hardly_seen_is_ignored_and_one_outside_is_left_out() -> None:
    half = View(crop=(0.5, 0.0, 1.0, 1.0))
    rows = np.array(
        [
            (300, 10, 340, 50, 1, 0),  # half of it is seen
            (250, 10, 330, 50, 2, 0),  # an eighth
            (10, 10, 300, 50, 3, 0),  # nothing
        ],
        np.float32,
    )
    placed = place_objects(rows, half, picture_size=PICTURE_SIZE, image_size=IMAGE_SIZE, fit="squash")
    expected = [(-20 / 320, 10 / 420, 20 / 320, 50 / 420, 1, 0), (-70 / 320, 10 / 420, 10 / 320, 50 / 420, 2, 1)]
    np.testing.assert_allclose(placed, expected, atol=1e-6)
    nothing = place_objects(rows[:0], half, picture_size=PICTURE_SIZE, image_size=IMAGE_SIZE, fit="squash")
    assert nothing.shape == (0, 6)


@pytest.mark.parametrize("fit", FITS)
def test_detections_come_back_to_the_picture_and_are_clipped_to_it(fit: str) -> None:
    rows = np.array([(250, 150, 333, 222, 1, 0), (300, 100, 320, 140, 2, 0)], np.float32)
    placed = place_objects(rows, View(), picture_size=PICTURE_SIZE, image_size=IMAGE_SIZE, fit=fit)
    detections = np.zeros((4, 6), np.float32)
    detections[:2, :4], detections[:2, 4], detections[:2, 5] = placed[:, :4], 0.5, (0, 1)
    detections[2] = (-3, -3, 3, 3, 0.25, 1)
    found = recover_objects(detections, picture_size=PICTURE_SIZE, image_size=IMAGE_SIZE, fit=fit)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found[:2, :4], rows[:, :4], atol=1e-3)
    assert found[:, 4:].tolist() == [[0.5, 0], [0.5, 1], [0.25, 1], [0, 0]]
    assert found[2:, :4].tolist() == [[0, 0, 640, 420], [0, 0, 0, 0]]
