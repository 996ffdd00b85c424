"""Items and what a model answers to them, in order: computed in this process, or by the workers of a cluster.

Workers get the bundle's files, so that only the images have to lie in a folder that all nodes share, and open them as any
prediction does.
"""

from __future__ import annotations

import dataclasses
import socket
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic

import numpy as np
from numpy.typing import NDArray

from tlkit.data.images import LOADER_VERSION
from tlkit.data.shared_files import can_read, check_shared
from tlkit.distribution.cluster import Cluster
from tlkit.distribution.pool import Compute, Unusable
from tlkit.distribution.queue import SetAside
from tlkit.features.extract import Loaded, LoadFailure
from tlkit.inference.rows import Item, Method, Note, compute_items
from tlkit.models.networks import NETWORK_FORMATS, find_network_format
from tlkit.models.opening import open_classifier
from tlkit.models.predictor import MapShape, Predictor
from tlkit.models.storage import SPEC_FILE, find_bundle, read_description

MAX_AHEAD = 16_384
"""Items that may be begun after one that has no answer yet: their rows wait in memory."""


@dataclass(frozen=True)
class ModelSource:
    """A saved model, and how it is run.

    Attributes:
        run: A run folder or a bundle folder.
        engine: As for `open_classifier`.
        precision: As for `open_classifier`.
        batch_size: As for `open_classifier`.
    """

    run: Path
    engine: str = "auto"
    precision: str = "float32"
    batch_size: int | None = None

    def open(self) -> Predictor:
        """Return the model, ready to predict: see `open_classifier`."""
        return open_classifier(
            self.run,
            loader_version=LOADER_VERSION,
            engine=self.engine,
            precision=self.precision,
            batch_size=self.batch_size,
        )

    def read_files(self) -> dict[str, NDArray[np.uint8]]:
        """Return the files of the bundle, by name, each uint8 (num_bytes,)."""
        folder = find_bundle(self.run)
        _, hashes = read_description(folder, loader_version=LOADER_VERSION)
        return {name: np.fromfile(folder / name, np.uint8) for name in (SPEC_FILE, *hashes)}


@dataclass(frozen=True, eq=False)
class ModelJob(Generic[Item, Note]):
    """The work: a model's rows for items. An answer is a row with its note, or `Unusable`.

    Attributes:
        files: The files of the bundle.
        source: How the model is run; its folder is another one on each node.
        load: Loads an item.
        locate: Returns an item's file, and its sha256 if it is known; None if it has no file.
        method: Method of the model that computes the rows.
        rows_of_item: Number of views of each item.
    """

    files: dict[str, NDArray[np.uint8]]
    source: ModelSource
    load: Callable[[Item], Loaded[Note]]
    locate: Callable[[Item], tuple[Path, str | None] | None]
    method: Method
    rows_of_item: int

    def open(self) -> tuple[Compute, int]:
        """Open the model."""
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            for name, content in self.files.items():
                content.tofile(Path(folder) / name)
            classifier = dataclasses.replace(self.source, run=Path(folder)).open()

        def compute(items: Sequence[Item]) -> list[tuple[NDArray[np.float32], Note | None] | Unusable]:
            answers = compute_items(classifier, items, self.load, num_views=self.rows_of_item, method=self.method)
            return [
                self._explain(item, row.reason) if isinstance(row, LoadFailure) else (row, note)
                for item, row, note in answers
            ]

        return compute, classifier.num_parallel * classifier.batch_size

    def _explain(self, item: Item, reason: str) -> Unusable:
        place = self.locate(item)
        return Unusable(reason, "" if place is None or can_read(*place) else socket.gethostname())


class ClusterPredictor:
    """A model whose rows for items are computed by a cluster; all else is computed by the model in this process.

    Args:
        predictor: The model in this process.
        source: Where it is from.
        cluster: The cluster.
        warn: Called with a sentence about a worker or node that was lost, and whose work is done again.
    """

    def __init__(
        self, predictor: Predictor, source: ModelSource, cluster: Cluster, warn: Callable[[str], None]
    ) -> None:
        self._predictor = predictor
        titles = {find_network_format(name).title: name for name in NETWORK_FORMATS}
        self._source = dataclasses.replace(source, engine=titles.get(predictor.engine, "keras"))  # nodes do not choose
        self._cluster = cluster
        self._warn = warn
        self.spec = predictor.spec
        self.engine = predictor.engine
        self.batch_size = predictor.batch_size
        self.num_parallel = predictor.num_parallel

    @property
    def map_shape(self) -> MapShape | None:
        """Shape of an image's last feature map."""
        return self._predictor.map_shape

    def predict(self, images: NDArray[np.uint8], metadata: NDArray[np.float32] | None = None) -> NDArray[np.float32]:
        """Compute rows in this process; see `Predictor.predict`."""
        return self._predictor.predict(images, metadata)

    def compute_features(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Compute pooled features in this process; see `Predictor.compute_features`."""
        return self._predictor.compute_features(images)

    def compute_maps(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Compute the last feature maps in this process; see `Predictor.compute_maps`."""
        return self._predictor.compute_maps(images)

    def predict_for_comparison(
        self, images: NDArray[np.uint8], metadata: NDArray[np.float32] | None = None
    ) -> NDArray[np.float32]:
        """Compute rows in this process; see `Predictor.predict_for_comparison`."""
        return self._predictor.predict_for_comparison(images, metadata)

    def predict_with_features(
        self, images: NDArray[np.uint8], metadata: NDArray[np.float32] | None = None
    ) -> NDArray[np.float32]:
        """Compute rows and features in this process; see `Predictor.predict_with_features`."""
        return self._predictor.predict_with_features(images, metadata)

    def predict_with_maps(
        self, images: NDArray[np.uint8], metadata: NDArray[np.float32] | None = None
    ) -> NDArray[np.float32]:
        """Compute rows, features and maps in this process; see `Predictor.predict_with_maps`."""
        return self._predictor.predict_with_maps(images, metadata)

    def answer_items(
        self,
        items: Iterable[Item],
        load: Callable[[Item], Loaded[Note]],
        *,
        num_views: int,
        method: Method,
        locate: Callable[[Item], tuple[Path, str | None] | None],
    ) -> Iterator[tuple[Item, NDArray[np.float32] | LoadFailure, Note | None]]:
        """Yield each item with the model's row, in order; see `answer_items`.

        Raises:
            ClusterError: The cluster has no workers, or cannot be reached.
            DataError: A node does not see a file that this machine sees.
        """
        job: ModelJob[Any, Any] = ModelJob(self._source.read_files(), self._source, load, locate, method, num_views)
        with self._cluster.open_queue(job, items, warn=self._warn, max_ahead=MAX_AHEAD) as queue:
            for item, answer in queue.run_in_order():
                if isinstance(answer, Unusable):
                    if answer.host and (place := locate(item)):
                        check_shared(*place, reason=answer.reason, host=answer.host)
                    yield item, LoadFailure(answer.reason), None
                elif isinstance(answer, SetAside):
                    yield item, LoadFailure(answer.reason), None
                else:
                    yield item, *answer


def answer_items(
    classifier: Predictor,
    items: Iterable[Item],
    load: Callable[[Item], Loaded[Note]],
    *,
    num_views: int,
    method: Method = "predict",
    locate: Callable[[Item], tuple[Path, str | None] | None] = lambda _: None,
) -> Iterator[tuple[Item, NDArray[np.float32] | LoadFailure, Note | None]]:
    """Yield each item, in order, with the model's row, or the reason why it cannot be loaded, and its note.

    Args:
        classifier: The model; the workers of a cluster compute the rows of a `ClusterPredictor`.
        items: The items; may be empty.
        load: Returns pixels and metadata of each view of an item, or raises `LoadFailure`. For a cluster it is pickled.
        num_views: Number of views of each item, at least 1.
        method: Method of the model that computes the rows.
        locate: Returns an item's file, and its sha256 if it is known; None if it has no file. For a cluster, pickled.
    """
    if isinstance(classifier, ClusterPredictor):
        return classifier.answer_items(items, load, num_views=num_views, method=method, locate=locate)
    return compute_items(classifier, items, load, num_views=num_views, method=method)
