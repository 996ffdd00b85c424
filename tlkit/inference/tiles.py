"""Predict a large picture window by window: each window is cut out and given to the model by itself."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tlkit.data.image_file import ImageFile
from tlkit.data.images import UnusableImage
from tlkit.data.windows import Corners, WindowGrid, plan_windows, render_window
from tlkit.errors import SettingError
from tlkit.features.extract import Loaded, LoadFailure
from tlkit.inference.files import describe_row
from tlkit.inference.rows import compute_items
from tlkit.inference.tally import PredictionTally
from tlkit.models.predictor import Predictor
from tlkit.models.spec import BundleSpec
from tlkit.places.copies import show_path
from tlkit.reports.console import Advance
from tlkit.tasks import find_task
from tlkit.tasks.predictions import Prediction

MAX_WINDOWS = 250_000
"""Windows of a picture, whose predictions are held in memory until its overlay is drawn."""


@dataclass(frozen=True)
class WindowOptions:
    """How windows cover a picture.

    Attributes:
        window_px: Edge of a window in pixels of the picture; None for the edge of the model's input.
        step_px: Pixels from a window to the next one.
    """

    window_px: int | None = None
    step_px: int | None = None


@dataclass(frozen=True)
class WindowPlan:
    """The windows of any picture, for a model.

    Attributes:
        window_px: Edge of a window, in pixels of the picture.
        step_px: Pixels from a window to the next one.
        image_size: (height, width) of the model's input, in pixels.
    """

    window_px: int
    step_px: int
    image_size: tuple[int, int]

    def cover(self, picture_size: tuple[int, int]) -> WindowGrid:
        """Return the windows of a picture of (height, width) pixels.

        Raises:
            UnusableImage: There are too many.
        """
        grid = plan_windows(picture_size, window_px=self.window_px, step_px=self.step_px)
        if len(grid) > MAX_WINDOWS:
            raise UnusableImage(f"{len(grid):,} windows are more than {MAX_WINDOWS:,}; a larger step gives fewer")
        return grid

    def decode(self, image: ImageFile) -> Image.Image:
        """Return the upright RGB picture, reduced where windows are much larger than the model's input.

        Raises:
            UnusableImage: The picture cannot be decoded.
        """
        if self.window_px < 2 * self.image_size[0]:
            return image.decode()
        scale = self.image_size[0] / self.window_px
        height, width = image.upright_size
        return image.decode((math.ceil(height * scale), math.ceil(width * scale)))


def plan_windows_for(
    spec: BundleSpec, options: WindowOptions, *, purpose: str, steps_per_window: int = 1
) -> WindowPlan:
    """Return how windows cover pictures.

    Args:
        spec: The model's description.
        options: What is asked for.
        purpose: What the windows are for, as it is called: "--tiles".
        steps_per_window: Steps that a window is long where no step is asked for.

    Raises:
        SettingError: The model has no answer for a part of a picture, or a number is out of range.
    """
    _check_model(spec, purpose)
    window_px = options.window_px or spec.image_size[0]
    step_px = options.step_px or max(1, window_px // steps_per_window)
    if step_px > window_px:
        raise SettingError(
            f"--step {step_px} is more than the window of {window_px} px, so that parts of the picture would be left out.",
            expected=f"1 to {window_px}",
            fix=f"--step {window_px}, or a larger --window.",
        )
    return WindowPlan(window_px, step_px, spec.image_size)


def _check_model(spec: BundleSpec, purpose: str) -> None:
    task = find_task(spec.task)
    if task.has_objects or task.has_masks:
        raise SettingError(
            f"{purpose} does not apply to {spec.task}: what lies on the edge of two windows would be found twice, or not.",
            expected="a model of classes, labels or a value",
            fix="leave it out; a model of this task looks at the picture as a whole, and tlkit finetune with a larger "
            "--image-size sees smaller things.",
        )
    if spec.metadata.width:
        names = ", ".join(request.name for request in spec.metadata.requests)
        raise SettingError(
            f"{purpose}: the model takes metadata ({names}), which are those of a picture and not of a part of it.",
            expected="a model of images alone",
            fix="train one without --metadata, or leave it out.",
        )


def refuse_beside(purpose: str, given: Mapping[str, bool], options: str) -> None:
    """Refuse options that have no effect with `--tiles` or `--scan`.

    Args:
        purpose: Either.
        given: Whether each option is given, by its name.
        options: Those that have an effect, in words.

    Raises:
        SettingError: One of them is given.
    """
    for option, is_given in given.items():
        if is_given:
            raise SettingError(
                f"{option} has no effect with {purpose}.", expected=options, fix=f"leave out {option}, or {purpose}."
            )


def require_option(purpose: str, given: Mapping[str, bool]) -> None:
    """Refuse options that have an effect with `--tiles` or `--scan` alone, where it is not given.

    Args:
        purpose: Either.
        given: Whether each option is given, by its name.

    Raises:
        SettingError: One of them is given.
    """
    for option, is_given in given.items():
        if is_given:
            raise SettingError(
                f"{option} has no effect without {purpose}.",
                expected=f"{option} only with {purpose}",
                fix=f"add {purpose}, or leave out {option}.",
            )


@dataclass(frozen=True, eq=False)
class TiledPicture:
    """A picture with the prediction of each window.

    Attributes:
        path: The file.
        predictions: One for each window, whose `box` it is; or the only one, which says why there are none.
        picture: The upright RGB picture, perhaps reduced; None if it cannot be read.
        upright_size: (height, width) of the whole picture in pixels; None if it cannot be read.
    """

    path: Path
    predictions: tuple[Prediction, ...]
    picture: Image.Image | None = None
    upright_size: tuple[int, int] | None = None

    def count(self, spec: BundleSpec) -> PredictionTally:
        """Return the tally of its windows."""
        tally = PredictionTally(spec)
        for prediction in self.predictions:
            tally.add(prediction)
        return tally


def compute_windows(
    predictor: Predictor, picture: Image.Image, windows: Iterable[Corners], picture_size: tuple[int, int]
) -> Iterator[tuple[Corners, NDArray[np.float32] | LoadFailure]]:
    """Yield each window with the model's row for it, in order.

    Args:
        predictor: The model; it takes no metadata.
        picture: The upright RGB picture, whole or reduced.
        windows: In pixels of the whole picture.
        picture_size: (height, width) of the whole picture, in pixels.
    """
    no_metadata = np.zeros(0, np.float32)

    def load(corners: Corners) -> Loaded[None]:
        pixels = render_window(picture, corners, picture_size=picture_size, image_size=predictor.spec.image_size)
        return Loaded([(pixels, no_metadata)])

    for corners, row, _ in compute_items(predictor, windows, load, num_views=1, method="predict"):
        yield corners, row


def predict_tiles(
    predictor: Predictor, path: Path | str, plan: WindowPlan, *, top_k: int, advance: Advance
) -> TiledPicture:
    """Predict a picture window by window.

    The picture is decoded once. Memory holds it, a few batches of windows, and the predictions.

    Args:
        predictor: The model.
        path: The file; an empty string is an empty line of standard input.
        plan: Where the windows are.
        top_k: Number of ranked classes or labels.
        advance: Called with the number of windows that are done.
    """
    try:
        if not path:
            raise UnusableImage("an empty line instead of a path")
        image = ImageFile.read(Path(path), predictor.spec.grey)
        picture = plan.decode(image)
        size = image.upright_size
        grid = plan.cover(size)
    except UnusableImage as unusable:
        return TiledPicture(Path(path), (Prediction(show_path(path), error=unusable.reason),))
    predictions = []
    for corners, row in compute_windows(predictor, picture, grid, size):
        prediction = describe_row(show_path(path), size, row, predictor.spec, top_k=top_k)
        predictions.append(dataclasses.replace(prediction, box=corners))
        advance(1)
    return TiledPicture(Path(path), tuple(predictions), picture, size)
