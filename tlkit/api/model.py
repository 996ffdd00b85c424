"""A trained model, for predicting files, arrays and Pillow images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tlkit.api.arguments import Place, Result, as_path, fetch_data, fetch_run, plan_views, quiet_console
from tlkit.commands.evaluate import EvaluateOptions, run_evaluate
from tlkit.data.image_file import ImageFile, OpenImage, SourceImage
from tlkit.data.images import LOADER_VERSION
from tlkit.data.views import PICTURE_ITSELF
from tlkit.devices import AllDevices
from tlkit.errors import DataError, SettingError
from tlkit.features.extract import Loaded, run_batches
from tlkit.inference.answering import answer_items
from tlkit.inference.files import describe_row
from tlkit.inference.predictions import limit_scores
from tlkit.inference.rows import check_views
from tlkit.inference.scoring import reasons, render_views
from tlkit.metadata.columns import texts_of
from tlkit.models.opening import open_classifier
from tlkit.models.predictor import Predictor
from tlkit.models.spec import BundleSpec
from tlkit.recipes.given import check_known, collect_settings
from tlkit.recipes.settings import DataSettings
from tlkit.reports.console import Console
from tlkit.tasks.predictions import Prediction

Picture = str | Path | Image.Image | NDArray[Any]
"""A file, a Pillow image, or an array, uint8 0..255: (height, width, 3) RGB or (height, width) grey."""


class Model:
    """A trained model; `tlkit.load` opens one."""

    def __init__(
        self, run: Path, *, engine: str = "auto", precision: str = "float32", devices: int | AllDevices = 1
    ) -> None:
        self._run = run
        self._engine = engine
        self._precision = precision
        self._devices = devices

    @cached_property
    def _predictor(self) -> Predictor:
        return open_classifier(
            self._run,
            loader_version=LOADER_VERSION,
            engine=self._engine,
            precision=self._precision,
            devices=self._devices,
        )

    def open(self) -> None:
        """Read the model's files now instead of on first use."""
        _ = self._predictor

    @property
    def spec(self) -> BundleSpec:
        """The description of the model: `class_names`, `task`, `backbone`, `image_size` and more."""
        return self._predictor.spec

    def __repr__(self) -> str:
        return f"<tlkit.Model: {self.spec.backbone}, {self.spec.task}, {len(self.spec.class_names)} classes>"

    @property
    def class_names(self) -> tuple[str, ...]:
        """The classes or labels, in the order of the outputs; empty for values."""
        return self.spec.class_names

    def predict(
        self,
        images: Picture | Sequence[Picture],
        *,
        metadata: Sequence[Mapping[str, object]] | None = None,
        top_k: int = 3,
        min_score: float | None = None,
        views: int = 1,
        policy: str | None = None,
    ) -> list[Prediction]:
        """Predict images, with the same results as `tlkit predict`.

        Args:
            images: One image, or a sequence.
            metadata: For a model that takes metadata, the values of each image by column.
            top_k: Number of ranked classes or labels, at least 1.
            min_score: Objects with lower scores, 0..1, are left out; None for the model's thresholds.
            views: Number of views of each image to average over.
            policy: How the other views are made.

        Returns:
            A prediction for each image, in order; an unreadable file has an `error` instead.

        Raises:
            DataError: An array is not a picture.
            SettingError: Metadata are missing, or the model takes none; or the policy, several views or the lowest score have no effect.

        Examples:
            >>> prediction = tlkit.load("runs/first").predict("photos/red/red_000.png")[0]
            >>> prediction.ranked
            (('red', 0...), ('blue', 0...))
        """
        spec = limit_scores(self.spec, min_score)
        check_views(views, spec)
        pictures = _list_pictures(images)
        rows = self._encode(pictures, metadata)
        plan = plan_views(views, policy)

        def load(item: int) -> Loaded[tuple[int, int]]:
            with reasons():
                image = _open(pictures[item], self.spec)
                views_of_it = render_views(image, self.spec, plan)
                return Loaded([(pixels, rows[item]) for pixels in views_of_it], image.upright_size)

        answers = answer_items(self._predictor, range(len(pictures)), load, num_views=views)
        return [
            describe_row(_name(pictures[item]), upright_size, row, spec, top_k=top_k)
            for item, row, upright_size in answers
        ]

    def features(self, images: Picture | Sequence[Picture]) -> NDArray[np.float32]:
        """Return the pooled features of images, the input of the model's head: float32 (n, channels).

        Raises:
            DataError: An image cannot be read.

        Examples:
            >>> tlkit.load("runs/first").features(["photos/red/red_000.png", "photos/blue/blue_000.png"]).shape
            (2, 64)
        """
        pictures = _list_pictures(images)
        if not pictures:
            blank = np.zeros((1, *self.spec.image_size, 3), np.uint8)
            return self._predictor.compute_features(blank)[:0]

        def load(item: int) -> Loaded[None]:
            with reasons():
                (pixels,) = render_views(_open(pictures[item], self.spec), self.spec, PICTURE_ITSELF)
                return Loaded([(pixels,)])

        rows: list[NDArray[np.float32]] = []
        for results in run_batches(
            range(len(pictures)),
            load,
            self._predictor.compute_features,
            batch_size=self._predictor.batch_size,
            num_parallel=self._predictor.num_parallel,
        ):
            for result in results:
                if result.failure:
                    name = _name(pictures[result.item])
                    raise DataError(
                        f"{name}: {result.failure}.", expected="images that can be read", fix="leave it out."
                    )
                rows += result.outputs
        return np.stack(rows)

    def evaluate(
        self,
        data: Place | None = None,
        *,
        split: str | None = None,
        top_k: int | None = None,
        out: Place | None = None,
        views: int = 1,
        policy: str | None = None,
        ray: str | None = None,
        console: Console | None = None,
        **settings: Any,
    ) -> Result:
        """Evaluate the model on labelled images.

        Args and returns are those of `tlkit.evaluate`.
        """
        check_known(settings, DataSettings, of="evaluate")
        if data is None:
            fetch_run(self._run, console)
        return run_evaluate(
            self._run,
            fetch_data(data, console),
            EvaluateOptions(
                split=split,
                top_k=top_k,
                out=as_path(out),
                views=plan_views(views, policy),
                engine=self._engine,
                precision=self._precision,
                ray=ray,
            ),
            console=console or quiet_console(),
            settings=collect_settings(DataSettings, settings),
            open_model=lambda: self._predictor,
        )

    def _encode(
        self, pictures: Sequence[Picture], metadata: Sequence[Mapping[str, object]] | None
    ) -> NDArray[np.float32]:
        names = [request.name for request in self.spec.metadata.requests]
        if metadata is None and not names:
            return np.zeros((len(pictures), 0), np.float32)
        if metadata is None or not names or len(metadata) != len(pictures):
            found = "none" if metadata is None else f"those of {len(metadata):,} images"
            raise SettingError(
                f"metadata: {found} for {len(pictures):,} images.",
                expected=f"the values of {', '.join(names)} for each image"
                if names
                else "no metadata: the model takes none",
                fix='pass metadata=[{"column": value, ...}, ...].' if names else "leave out metadata.",
            )
        texts = [texts_of({name: str(value) for name, value in row.items()}, names) for row in metadata]
        return self.spec.metadata.encode(texts)


def _list_pictures(images: Picture | Sequence[Picture]) -> list[Picture]:
    """Return the images as a list, arrays as Pillow images.

    Raises:
        DataError: An array is not a picture.
    """
    is_one = isinstance(images, (str, Path, Image.Image)) or (isinstance(images, np.ndarray) and images.ndim < 4)
    given: Any = [images] if is_one else images
    return [_to_pillow(each) if isinstance(each, np.ndarray) else each for each in given]


def _to_pillow(array: NDArray[Any]) -> Image.Image:
    if array.dtype != np.uint8 or array.ndim not in (2, 3) or array.shape[2:] not in ((), (3,)) or not array.size:
        raise DataError(
            f"an array of {array.dtype}, shape {array.shape}, is not a picture.",
            expected="uint8, 0..255, of shape (height, width, 3), RGB, or (height, width), grey",
            fix="scale the values to 0..255, convert them with .astype('uint8'), and put the channels last.",
        )
    return Image.fromarray(np.ascontiguousarray(array))


def _open(picture: Any, spec: BundleSpec) -> SourceImage:
    if isinstance(picture, (str, Path)):
        return ImageFile.read(Path(picture), spec.grey)
    return OpenImage(picture, spec.grey)


def _name(picture: Any) -> str:
    return str(picture) if isinstance(picture, (str, Path)) else str(getattr(picture, "filename", ""))
