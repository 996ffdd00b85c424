"""The rows of the feature cache that a data set needs: each image once, training images in several views."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tlkit.data.deep_grey import hash_grey
from tlkit.data.image_file import ImageFile
from tlkit.data.images import UnusableImage
from tlkit.data.manifest import SPLITS, ImageRecord, Manifest, SkippedFile
from tlkit.data.mosaics import TILE_FIT, draw_mosaic, hash_companions, list_companions
from tlkit.data.views import View, ViewPlan
from tlkit.features.cache import FeatureCache, RowKey
from tlkit.features.extract import LoadFailure
from tlkit.outputs import GreyRange

LOST = "its features could not be read back from the disk"


@dataclass(frozen=True, eq=False)
class SplitFeatures:
    """The cached features of one split.

    Attributes:
        records: Its images, without those skipped.
        positions: Position of each view of each image in the cache: int64 (n, num_views) for the training split, (n, 1)
            for the others.
    """

    records: tuple[ImageRecord, ...]
    positions: NDArray[np.int64]


@dataclass(frozen=True)
class ViewLoader:
    """Reads files and renders their views; small enough to be sent to other processes.

    Attributes:
        views: The views.
        grey: The data set's ranges for deep grey.
        image_size: (height, width) of each view in pixels.
        fit: How an image is resized to it.
        companions: The images of which mosaics are made, if the policy has any.
    """

    views: ViewPlan
    grey: tuple[GreyRange, ...]
    image_size: tuple[int, int]
    fit: str
    companions: tuple[ImageRecord, ...] = ()

    def load(self, path: Path, sha256: str, indices: Sequence[int]) -> list[NDArray[np.uint8]]:
        """Read a file and render some of its views: each uint8 (height, width, 3), RGB, 0..255.

        Raises:
            LoadFailure: The file is gone, unusable, or has changed since it was checked.
        """
        try:
            image = ImageFile.read(path, self.grey, expected_sha256=sha256)
            return [self._render(image, sha256, index) for index in indices]
        except UnusableImage as unusable:
            raise LoadFailure(unusable.reason) from unusable

    def _render(self, image: ImageFile, sha256: str, index: int) -> NDArray[np.uint8]:
        """Return a view of an image, which may be a mosaic of it and others."""
        policy, seed, num_companions = self.views.policy, self.views.seed, len(self.companions)
        mosaic = draw_mosaic(policy, seed=seed, sha256=sha256, index=index, num_companions=num_companions)
        if mosaic is None:
            return image.render(image_size=self.image_size, fit=self.fit, view=self.views.draw(sha256, index))

        def render_tile(companion: int | None, view: View, size: tuple[int, int]) -> NDArray[np.uint8]:
            shown = image if companion is None else self._read_companion(self.companions[companion])
            return shown.render(image_size=size, fit=TILE_FIT, view=view)

        return mosaic.render(self.image_size, render_tile)

    def _read_companion(self, record: ImageRecord) -> ImageFile:
        try:
            return ImageFile.read(record.path, self.grey, expected_sha256=record.sha256)
        except UnusableImage as unusable:
            raise LoadFailure(f"its mosaic needs {record.path}: {unusable.reason}") from unusable


class RequestedRows:
    """The rows that a data set needs: each distinct file once, with the views that its split needs.

    Rows form a table (num_files, num_views); files outside the training split use only the first column.

    Attributes:
        manifest: The data set.
        views: The views of the training images.
        keys: The names of the views, in order.
        companions: The images of which mosaics are made, if the policy has any.
        files: One record per distinct file, in the order of the table.
        number_of: Place in `files`, by sha256.
    """

    def __init__(self, manifest: Manifest, views: ViewPlan) -> None:
        self.manifest = manifest
        self.views = views
        # Pixels of deep grey also depend on the data set's ranges.
        suffix = f"/{hash_grey(manifest.grey)}" if manifest.grey else ""
        self.companions = list_companions(manifest, views.policy)
        others = hash_companions(self.companions)
        names = [f"{key}/{others}" if index and others else key for index, key in enumerate(views.keys())]
        self.keys = tuple(f"{name}{suffix}" for name in names)
        self.files: list[ImageRecord] = []
        self.number_of: dict[str, int] = {}
        num_views: list[int] = []
        for split in SPLITS:  # train comes first
            for record in manifest.in_split(split):
                if record.sha256 not in self.number_of:
                    self.number_of[record.sha256] = len(self.files)
                    self.files.append(record)
                    num_views.append(views.num_views if split == "train" else 1)
        self._used = np.arange(views.num_views) < np.array(num_views, dtype=np.int64).reshape(-1, 1)

    @property
    def num_rows(self) -> int:
        """Number of requested rows."""
        return int(self._used.sum())

    def find(self, cache: FeatureCache | None) -> NDArray[np.int64]:
        """Return the table of positions, int64 (num_files, num_views); -1 if a row is missing or `cache` is None."""
        positions = np.full(self._used.shape, -1, dtype=np.int64)
        if cache is None:
            return positions
        for index, key in enumerate(self.keys):
            numbers = np.flatnonzero(self._used[:, index])
            positions[numbers, index] = cache.find(RowKey(self.files[number].sha256, key) for number in numbers)
        return positions

    def list_missing(self, positions: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return (file, view) of each missing row: int64 (n, 2), grouped by file."""
        return np.argwhere(self._used & (positions < 0))

    def by_split(
        self, positions: NDArray[np.int64], reasons: dict[str, str]
    ) -> tuple[dict[str, SplitFeatures], tuple[SkippedFile, ...]]:
        """Return the rows of each split, and the images with missing rows, with their reasons by sha256."""
        splits = {}
        skipped = []
        for split in SPLITS:
            records = self.manifest.in_split(split)
            numbers = np.array([self.number_of[record.sha256] for record in records], dtype=np.int64)
            part = positions[numbers, : self.views.num_views if split == "train" else 1]
            complete = np.asarray((part >= 0).all(axis=1))
            kept = tuple(record for record, is_complete in zip(records, complete, strict=True) if is_complete)
            splits[split] = SplitFeatures(kept, part[complete])
            for number in np.flatnonzero(~complete):
                record = records[number]
                skipped.append(SkippedFile(record.path, reasons.get(record.sha256, LOST)))
        return splits, tuple(skipped)

    def list_files(self, rows: NDArray[np.int64]) -> Iterator[list[RowKey]]:
        """Yield the keys of rows, (file, view), int64 (n, 2), one list per file."""
        for number, views in groupby(rows, key=lambda row: int(row[0])):
            yield [RowKey(self.files[number].sha256, self.keys[index]) for _, index in views]

    def make_loader(self, image_size: tuple[int, int], fit: str) -> ViewLoader:
        """Return what renders the views at a size."""
        return ViewLoader(self.views, self.manifest.grey, image_size, fit, self.companions)

    def load(self, rows: Sequence[RowKey], *, image_size: tuple[int, int], fit: str) -> list[NDArray[np.uint8]]:
        """Read a file and render the views of its rows: each uint8 (height, width, 3), RGB, 0..255.

        Raises:
            LoadFailure: The file is gone, unusable, or has changed since it was checked.
        """
        record = self.files[self.number_of[rows[0].sha256]]
        loader = self.make_loader(image_size, fit)
        return loader.load(record.path, record.sha256, [self.keys.index(row.view) for row in rows])
