"""Masks follow every fit and every view to a pixel of what is drawn, and answers come back to their places."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageDraw

from tlkit.data.mask_views import place_mask, recover_mask
from tlkit.data.views import POLICIES, View, draw_view
from tlkit.recipes.settings import FITS

PICTURE_SIZE = (210, 320)
IMAGE_SIZE = (112, 112)
COLOURS = np.array([(90, 90, 90), (250, 20, 20), (20, 20, 250)], np.uint8)


def draw_mask(seed: int) -> np.ndarray:
    """Return a mask with an ellipse and a polygon."""
    rng = np.random.default_rng(seed)
    mask = Image.new("L", PICTURE_SIZE[::-1])
    left, top = int(rng.integers(60, 140)), int(rng.integers(40, 80))
    ImageDraw.Draw(mask).ellipse((left, top, left + 90, top + 70), fill=1)
    ImageDraw.Draw(mask).polygon([(180, 60), (270, 90), (240, 160), (170, 140)], fill=2)
    return np.asarray(mask)


def find_distances(mask: np.ndarray) -> np.ndarray:
    """Return which places have the same class in all eight neighbours."""
    padded = np.pad(mask, 1, mode="edge")
    rows, columns = mask.shape
    shifted = [padded[y : y + rows, x : x + columns] for y in range(3) for x in range(3)]
    return np.asarray(np.all([each == mask for each in shifted], axis=0))


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize("policy", ["none", *(each for each in POLICIES if each != "mosaic")])
def test_a_mask_shows_what_its_image_does_in_every_view(policy: str, fit: str) -> None:
    num_compared = 0
    for index in range(1 if policy == "none" else 12):
        mask = draw_mask(index)
        view = draw_view(policy, seed=3, sha256="a" * 64, index=index)
        geometry = View(view.crop, view.flip, view.angle_degrees) if view else None
        placed = place_mask(
            mask, geometry, picture_size=PICTURE_SIZE, image_size=IMAGE_SIZE, fit=fit, grid_size=IMAGE_SIZE
        )
        pixels = np.asarray((geometry or View()).render(Image.fromarray(COLOURS[mask]), image_size=IMAGE_SIZE, fit=fit))
        seen = np.abs(pixels[:, :, None, :].astype(int) - COLOURS.astype(int)).sum(axis=-1).argmin(axis=-1)
        is_sure = find_distances(placed) & (placed != 255)
        assert (placed == seen)[is_sure].all()
        assert (placed == seen)[placed != 255].mean() > 0.985
        num_compared += int((is_sure & (placed > 0)).sum())
    assert num_compared > 400


def test_beyond_the_picture_and_behind_a_covered_rectangle_nothing_is_known() -> None:
    mask = np.ones(PICTURE_SIZE, np.uint8)
    sizes = {"picture_size": PICTURE_SIZE, "image_size": IMAGE_SIZE, "grid_size": IMAGE_SIZE}
    padded = place_mask(mask, None, fit="pad", **sizes)
    bar = round((112 - 112 * 210 / 320) / 2)
    assert (padded[: bar - 1] == 255).all()
    assert (padded[bar + 1 : -bar - 1] == 1).all()
    turned = place_mask(mask, View(angle_degrees=20), fit="squash", **sizes)
    assert turned[0, 0] == 255
    assert turned[56, 56] == 1
    covered = place_mask(mask, View(erase=(0.25, 0.5, 0.5, 0.75)), fit="squash", **sizes)
    assert ((covered == 255).sum(), covered[56:84, 28:56].min()) == (28 * 28, 255)


def test_a_mask_of_another_size_lies_at_the_same_places() -> None:
    mask = draw_mask(0)
    double = mask.repeat(2, axis=0).repeat(2, axis=1)
    sizes = {"picture_size": PICTURE_SIZE, "image_size": IMAGE_SIZE, "grid_size": (28, 28)}
    view = View(crop=(0.1, 0.2, 0.8, 0.9), flip=True, angle_degrees=8)
    assert (place_mask(mask, view, fit="pad", **sizes) == place_mask(double, view, fit="pad", **sizes)).all()


@pytest.mark.parametrize("fit", FITS)
def test_a_mask_comes_back_to_its_place_in_the_picture(fit: str) -> None:
    mask = draw_mask(4)
    placed = place_mask(mask, None, picture_size=PICTURE_SIZE, image_size=IMAGE_SIZE, fit=fit, grid_size=IMAGE_SIZE)
    scores = np.eye(3)[np.where(placed == 255, 0, placed)]
    back = recover_mask(scores, picture_size=PICTURE_SIZE, image_size=IMAGE_SIZE, fit=fit, mask_size=PICTURE_SIZE)
    sure = mask.copy()
    for _ in range(2):  # a cell of the input is up to three pixels wide
        sure = np.where(find_distances(sure), sure, 9)
    compared = (sure != 9) & (back != 255)
    assert (back == mask)[compared].all()
    assert (back == mask)[back != 255].mean() > 0.985
    assert (back == 255).any() == (fit == "crop")
    whole = recover_mask(scores, picture_size=PICTURE_SIZE, image_size=IMAGE_SIZE, fit=fit, mask_size=(420, 640))
    assert (whole[::2, ::2] == back).mean() > 0.99


def test_large_pictures_are_answered_in_blocks_of_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    scores = np.random.default_rng(0).random((14, 14, 3))
    sizes = {"picture_size": PICTURE_SIZE, "image_size": IMAGE_SIZE, "mask_size": PICTURE_SIZE}
    whole = recover_mask(scores, fit="pad", **sizes)
    monkeypatch.setattr("tlkit.data.mask_views._VALUES_AT_ONCE", 5000)
    assert (recover_mask(scores, fit="pad", **sizes) == whole).all()
