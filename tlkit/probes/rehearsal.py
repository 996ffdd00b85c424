"""Known images changed in known ways, which show how far a model's confidence follows its accuracy.

Some models become unsure where they become wrong; others are as sure as ever. Which of the two a model is shows on its own
held-out images, whose labels are known: they are blurred, darkened, cut, turned and partly hidden, and the accuracy that
the confidence suggests is compared with the true one (in the spirit of Deng and Zheng 2021, "Are Labels Always Necessary
for Classifier Accuracy Evaluation?").
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageEnhance, ImageFilter

from tlkit.data.manifest import ImageRecord
from tlkit.inference.scoring import Scores, score_records
from tlkit.models.predictor import Predictor

MAX_REHEARSED = 150
"""Images that are changed: enough for the slope, and with all changes fewer passes than 1,000 images take."""
_GREY = (128, 128, 128)

PictureChange = Callable[[Image.Image, np.random.Generator], Image.Image]


@dataclass(frozen=True, eq=False)
class Answers:
    """A model's answers to labelled images.

    Attributes:
        decisions: The probabilities of the alternatives of each decision, float (n, decisions, alternatives), 0..1.
        is_right: Whether each is right, bool (n, decisions).
    """

    decisions: NDArray[np.floating[Any]]
    is_right: NDArray[np.bool_]

    @property
    def score(self) -> float:
        """The part of decisions that are right, 0..1."""
        return float(self.is_right.mean())


@dataclass(frozen=True, eq=False)
class Rehearsal:
    """The answers to the same images before and after a change."""

    before: Answers
    after: Answers


def rehearse(
    predictor: Predictor, records: Sequence[ImageRecord], *, advance: Callable[[int], None] | None = None
) -> dict[str, Scores]:
    """Return the model's answers to images after each change, by the name of the change.

    Args:
        predictor: The model.
        records: Images with labels that the model was not trained on.
        advance: Called with the number of images since the last call; there are `len(CHANGES)` times as many as records.
    """
    return {
        name: score_records(predictor, records, alter=partial(change_pixels, name=name), advance=advance)
        for name in CHANGES
    }


def change_pixels(pixels: NDArray[np.uint8], name: str) -> NDArray[np.uint8]:
    """Return an image changed in one of the ways of CHANGES; the same image is always changed in the same way.

    Args:
        pixels: The network's input, uint8 (height, width, 3).
        name: A key of CHANGES.
    """
    rng = np.random.default_rng(zlib.crc32(pixels.tobytes()))
    picture = Image.fromarray(pixels)
    changed = CHANGES[name](picture, rng)
    if changed.size != picture.size:
        changed = changed.resize(picture.size, Image.Resampling.BILINEAR)
    return np.asarray(changed)


def _blur(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    return picture.filter(ImageFilter.GaussianBlur(max(picture.size) / 75))


def _darken(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    return ImageEnhance.Brightness(picture).enhance(0.3)


def _cut(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    return picture.crop(_draw_part(picture, 0.5, rng))


def _turn(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    return picture.rotate(float(rng.uniform(30, 60) * rng.choice([-1, 1])), Image.Resampling.BILINEAR)


def _hide(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    covered = picture.copy()
    covered.paste(_GREY, _draw_part(picture, 0.6, rng))
    return covered


def _draw_part(picture: Image.Image, part: float, rng: np.random.Generator) -> tuple[int, int, int, int]:
    width, height = (max(1, round(side * part)) for side in picture.size)
    left, top = int(rng.integers(picture.width - width + 1)), int(rng.integers(picture.height - height + 1))
    return left, top, left + width, top + height


CHANGES: dict[str, PictureChange] = {
    "blurred": _blur,
    "darkened": _darken,
    "cut": _cut,
    "turned": _turn,
    "partly hidden": _hide,
}
