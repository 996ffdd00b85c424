"""Views: seeded augmentations of an image. View 0 is the image itself.

A view depends only on (policy, seed, sha256 of the file, index), so that every process, machine and Python version
draws the same one. Geometry is in `geometry.py`; ranges and colours are here.
"""

from __future__ import annotations

import hashlib
import math
import random
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageEnhance

from tlkit.data.geometry import NEUTRAL_GREY, Placement, compute_frame
from tlkit.errors import SettingError, name_fix
from tlkit.outputs import Box

POLICY_VERSION = 1
"""Raise this when a policy or its drawing changes; it is part of the cache keys."""


@dataclass(frozen=True)
class Policy:
    """Ranges for drawing views.

    Args:
        crop_area_fraction: Minimum and maximum fraction of the frame that is shown; above 1, the picture becomes smaller,
            with grey around it.
        crop_aspect: Maximum width / height of the crop, relative to the frame's; the minimum is its inverse.
        flip_chance: Probability, 0..1, of flipping left and right.
        angle_degrees: Maximum rotation to either side.
        colour: Maximum change of brightness, contrast and saturation, as a fraction.
        grey_chance: Probability, 0..1, of removing all colour.
        erase_chance: Probability, 0..1, of covering a rectangle with grey.
        erase_area_fraction: Minimum and maximum fraction of the output that the rectangle covers.
        mosaic_chance: Probability, 0..1, that a view shows four images: see `tlkit.data.mosaics`.
    """

    crop_area_fraction: tuple[float, float]
    crop_aspect: float
    flip_chance: float = 0.5
    angle_degrees: float = 0.0
    colour: float = 0.0
    grey_chance: float = 0.0
    erase_chance: float = 0.0
    erase_area_fraction: tuple[float, float] = (0.02, 0.2)
    mosaic_chance: float = 0.0


POLICIES = {
    "standard": Policy(crop_area_fraction=(0.7, 1.0), crop_aspect=10 / 9, colour=0.2),
    "letters": Policy(
        crop_area_fraction=(0.8, 1.0), crop_aspect=10 / 9, flip_chance=0.0, angle_degrees=10.0, colour=0.2
    ),
    "crops": Policy(crop_area_fraction=(0.35, 1.0), crop_aspect=4 / 3),
    "scales": Policy(crop_area_fraction=(0.2, 2.0), crop_aspect=4 / 3, colour=0.3),
    "mosaic": Policy(crop_area_fraction=(0.2, 2.0), crop_aspect=4 / 3, colour=0.3, mosaic_chance=0.5),
    "strong": Policy(
        crop_area_fraction=(0.4, 1.0),
        crop_aspect=4 / 3,
        angle_degrees=15.0,
        colour=0.4,
        grey_chance=0.1,
        erase_chance=0.25,
    ),
}
"""The augmentation policies; the policy `none` has only the image itself.

`standard` is mild, for a pretrained backbone; `letters` is for digits, letters and signs, which must not be mirrored;
`crops` is the common policy for training from random weights (scale and aspect: Szegedy et al. 2015, arXiv:1409.4842)
and cheap to compute; `scales` is for objects, which come in any size (large-scale jitter: Ghiasi et al. 2021,
arXiv:2012.07177); `mosaic` is the same, but half of the views show four images; `strong` is for little data.
"""


@dataclass(frozen=True)
class View:
    """One augmentation of one image, as exact numbers. `View()` is the identity.

    Args:
        crop: left, top, right, bottom of the visible part, as fractions of the fitted frame; it may contain the frame.
        flip: Whether left and right are exchanged.
        angle_degrees: Rotation, anticlockwise as seen.
        brightness: Factor on the distance from black; 1 changes nothing.
        contrast: Factor on the distance from the mean grey; 1 changes nothing.
        saturation: Factor on the distance from the pixel's own grey; 1 changes nothing, 0 removes all colour.
        erase: left, top, right, bottom of a rectangle covered with grey, as fractions 0..1 of the output; or None.
    """

    crop: Box = (0.0, 0.0, 1.0, 1.0)
    flip: bool = False
    angle_degrees: float = 0.0
    brightness: float = 1.0
    contrast: float = 1.0
    saturation: float = 1.0
    erase: Box | None = None

    def placement(self, *, picture_size: tuple[int, int], image_size: tuple[int, int], fit: str) -> Placement:
        """Return the image's placement in the output; sizes are (height, width) in pixels."""
        left, top, right, bottom = compute_frame(picture_size, image_size, fit)
        width, height = right - left, bottom - top
        across = _keep_in_sight(left + self.crop[0] * width, left + self.crop[2] * width, picture_size[1])
        down = _keep_in_sight(top + self.crop[1] * height, top + self.crop[3] * height, picture_size[0])
        # Beyond the frame the picture is not mirrored, since its objects have boxes, and their mirror images none.
        is_within = min(self.crop) >= 0 and max(self.crop) <= 1
        box = (across[0], down[0], across[1], down[1])
        return Placement(box, image_size, self.flip, self.angle_degrees, mirror_edges=fit != "pad" and is_within)

    def matrix(self, *, picture_size: tuple[int, int], image_size: tuple[int, int], fit: str) -> NDArray[np.float64]:
        """Return the (3, 3) matrix that maps points (x, y, 1) of the upright image to the output, in pixels.

        Examples:
            >>> View(flip=True).matrix(picture_size=(10, 20), image_size=(10, 10), fit="squash") @ [20, 5, 1]
            array([0., 5., 1.])
        """
        return self.placement(picture_size=picture_size, image_size=image_size, fit=fit).matrix()

    def render(self, picture: Image.Image, *, image_size: tuple[int, int], fit: str) -> Image.Image:
        """Render the view of an upright RGB picture at `image_size` (height, width) pixels."""
        placement = self.placement(picture_size=(picture.height, picture.width), image_size=image_size, fit=fit)
        output = placement.render(picture, self._recolour)
        if self.erase is not None:
            height, width = image_size
            left, top, right, bottom = self.erase
            corners = (round(left * width), round(top * height), round(right * width), round(bottom * height))
            output.paste(NEUTRAL_GREY, corners)
        return output

    def _recolour(self, picture: Image.Image) -> Image.Image:
        if self.brightness != 1:
            picture = ImageEnhance.Brightness(picture).enhance(self.brightness)
        if self.contrast != 1:
            picture = ImageEnhance.Contrast(picture).enhance(self.contrast)
        if self.saturation != 1:
            picture = ImageEnhance.Color(picture).enhance(self.saturation)
        return picture


@dataclass(frozen=True)
class ViewPlan:
    """The requested views of each image.

    Attributes:
        policy: Policy for the views after view 0: none or one of `POLICIES`.
        num_views: Views of each image, view 0 included.
        seed: Seed of the views.
    """

    policy: str = "none"
    num_views: int = 1
    seed: int = 0

    def __post_init__(self) -> None:
        if self.num_views > 1 and self.policy == "none":
            raise SettingError(
                f"--views {self.num_views} has no effect with --policy none.",
                expected="a policy that makes different views of an image: standard or strong",
                fix="add --policy standard, or remove --views.",
            )

    def keys(self) -> tuple[str, ...]:
        """Return the views' cache keys, view 0 first."""
        return tuple(view_key(self.policy, seed=self.seed, index=index) for index in range(self.num_views))

    def draw(self, sha256: str, index: int) -> View | None:
        """Draw a view of the image with this file hash; None is the image itself."""
        return draw_view(self.policy, seed=self.seed, sha256=sha256, index=index)


PICTURE_ITSELF = ViewPlan()


def draw_view(policy: str, *, seed: int, sha256: str, index: int) -> View | None:
    """Draw view number `index` of an image.

    Args:
        policy: `none` or one of `POLICIES`.
        seed: The run's seed.
        sha256: Hash of the image file's bytes, in hexadecimal digits.
        index: Number of the view; 0 is the image itself.

    Returns:
        The view, or None for the image itself: index 0, or policy `none`.

    Raises:
        SettingError: The policy is unknown.
    """
    ranges = _find_policy(policy)
    if ranges is None or index == 0:
        return None
    return draw_within(ranges, seed_draws(f"{policy}.{POLICY_VERSION}/{seed}/{sha256}/{index}"))


def seed_draws(text: str) -> Callable[[], float]:
    """Return a source of numbers, 0 <= x < 1, that depend on a text alone."""
    # Only Python's random() guarantees the same numbers in every version.
    return random.Random(int.from_bytes(hashlib.sha256(text.encode()).digest())).random


def draw_within(ranges: Policy, draw: Callable[[], float]) -> View:
    """Return a view within the ranges of a policy, from numbers drawn uniformly from 0..1."""
    crop = _draw_box(draw(), draw(), draw(), draw(), ranges.crop_area_fraction, ranges.crop_aspect)
    flip = draw() < ranges.flip_chance
    angle_degrees = ranges.angle_degrees * (2 * draw() - 1)
    brightness, contrast, saturation = (1 + ranges.colour * (2 * draw() - 1) for _ in range(3))
    grey, erased = draw() < ranges.grey_chance, draw() < ranges.erase_chance
    erase = _draw_box(draw(), draw(), draw(), draw(), ranges.erase_area_fraction, 2.0)
    return View(
        crop=crop,
        flip=flip,
        angle_degrees=angle_degrees,
        brightness=brightness,
        contrast=contrast,
        saturation=0.0 if grey else saturation,
        erase=erase if erased else None,
    )


def view_key(policy: str, *, seed: int, index: int) -> str:
    """Return the cache key of a view: at most 34 ASCII characters.

    The image itself is `0` for every policy and seed, so that they share its features.

    Raises:
        SettingError: The policy is unknown.
        ValueError: The seed or index has too many digits.
    """
    if _find_policy(policy) is None or index == 0:
        return "0"
    key = f"{policy}.{POLICY_VERSION}/{seed}/{index}"
    if len(key) > 34:
        raise ValueError(f"A view key has at most 34 characters. Received: {key!r}")
    return key


def _keep_in_sight(start: float, stop: float, edge: int) -> tuple[float, float]:
    """Return an interval, moved to show half of a picture of this edge where it would show nothing, only grey bars."""
    if stop > 0 and start < edge:
        return start, stop
    shown = min(stop - start, edge) / 2
    shift = shown - stop if stop <= 0 else edge - shown - start
    return start + shift, stop + shift


def _find_policy(name: str) -> Policy | None:
    if name == "none":
        return None
    if name not in POLICIES:
        valid = ("none", *POLICIES)
        raise SettingError(f"policy is {name!r}.", expected=f"one of {', '.join(valid)}", fix=name_fix(name, valid))
    return POLICIES[name]


def _draw_box(
    area: float, aspect: float, across: float, down: float, area_range: tuple[float, float], greatest_aspect: float
) -> Box:
    """Return a box within the unit square, or around it, from four numbers drawn uniformly from 0..1.

    Aspect ratios are log-uniform, so that wide and tall are equally likely. A side longer than the square's is cut,
    which never reduces the area below 1 / greatest_aspect or the range's minimum. Where areas go beyond the square, sides
    are not cut, and areas are log-uniform, too.
    """
    low, high = area_range
    drawn_area = low + area * (high - low) if high <= 1 else low * (high / low) ** area
    longest = math.inf if high > 1 else 1.0
    proportion = math.exp((2 * aspect - 1) * math.log(greatest_aspect))
    width, height = min(longest, math.sqrt(drawn_area * proportion)), min(longest, math.sqrt(drawn_area / proportion))
    left, top = across * (1 - width), down * (1 - height)
    return left, top, left + width, top + height
