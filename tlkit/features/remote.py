"""Compute rows on a cluster. Workers read the image files and answer with rows; this process alone writes the cache.

So the cache's contract holds wherever the workers are, and only the images have to lie in a folder that all nodes share.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tlkit.backbones.engines.base import Engine
from tlkit.backbones.engines.parcels import EngineParcel
from tlkit.data.shared_files import can_read, check_shared
from tlkit.distribution.cluster import Cluster
from tlkit.distribution.pool import Compute, Unusable
from tlkit.distribution.queue import Part, SetAside
from tlkit.features.cache import FeatureCache
from tlkit.features.extract import FillReport, Loaded, run_batches
from tlkit.features.requested_rows import RequestedRows, ViewLoader
from tlkit.features.row_keys import RowKey
from tlkit.features.writer import convert_features


@dataclass(frozen=True, slots=True)
class FileRows:
    """The rows to compute of a file, by the numbers of their views."""

    path: Path
    sha256: str
    views: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class FeatureJob:
    """The work: rows of image files. An answer is an array (num_views, ...) in the cache's dtype, or `Unusable`.

    Attributes:
        parcel: The engine.
        loader: Reads the files.
        dtype: dtype of the cache.
        rows_of_item: Most rows that a file has.
    """

    parcel: EngineParcel
    loader: ViewLoader
    dtype: str
    rows_of_item: int

    def open(self) -> tuple[Compute, int]:
        """Start the engine."""
        engine = self.parcel.open()

        def compute(files: Sequence[FileRows]) -> list[NDArray[Any] | Unusable]:
            answers: list[NDArray[Any] | Unusable] = []
            for results in run_batches(
                files,
                lambda file: Loaded[None]([(image,) for image in self.loader.load(file.path, file.sha256, file.views)]),
                engine.compute,
                batch_size=engine.batch_size,
                rows_of_item=self.rows_of_item,
                num_parallel=engine.num_parallel,
            ):
                for result in results:
                    if result.failure is None:
                        answers.append(convert_features(np.stack(result.outputs), self.dtype))
                    else:
                        host = "" if can_read(result.item.path, result.item.sha256) else socket.gethostname()
                        answers.append(Unusable(result.failure, host))
            return answers

        return compute, engine.num_parallel * engine.batch_size


@dataclass(frozen=True)
class FeatureWorkers:
    """Computes rows on a cluster.

    Attributes:
        cluster: The cluster.
        warn: Called with a sentence about a worker or node that was lost, and whose work is done again.
    """

    cluster: Cluster
    warn: Callable[[str], None]

    def fill_cache(
        self,
        cache: FeatureCache,
        requested: RequestedRows,
        rows: NDArray[np.int64],
        engine: Engine,
        advance: Callable[[int], None],
    ) -> FillReport:
        """Compute rows and add them to the cache, as `fill_cache` does in this process.

        Args:
            cache: The cache.
            requested: The rows of the data set.
            rows: Those to compute, (file, view), int64 (n, 2), grouped by file.
            engine: What every worker runs.
            advance: Called with the number of rows since the last call, including failures.

        Raises:
            CacheError: The cache cannot be written; rows written before are kept.
            ClusterError: The cluster has no workers, or cannot be reached.
            DataError: A node does not see a file that this machine sees.
            NumericsError: A feature is not finite, or too large for the cache's dtype.
        """
        start = time.perf_counter()
        computed = 0
        failures: list[tuple[RowKey, str]] = []
        job, files = _describe_job(cache, requested, engine), _list_files(requested, rows)
        with self.cluster.open_queue(job, files, warn=self.warn) as queue, cache.writer() as writer:
            for part in queue.run():
                found, failed = _sort(part, requested.keys)
                if found:
                    writer.append([key for key, _ in found], np.stack([values for _, values in found]))
                computed += len(found)
                failures += failed
                advance(len(found) + len(failed))
        return FillReport(computed, tuple(failures), time.perf_counter() - start)


def _describe_job(cache: FeatureCache, requested: RequestedRows, engine: Engine) -> FeatureJob:
    spec = cache.spec
    loader = requested.make_loader(spec.image_size, spec.fit)
    return FeatureJob(EngineParcel.pack(engine), loader, spec.dtype, requested.views.num_views)


def _list_files(requested: RequestedRows, rows: NDArray[np.int64]) -> Iterator[FileRows]:
    for number, of_file in groupby(rows, key=lambda row: int(row[0])):
        record = requested.files[number]
        yield FileRows(record.path, record.sha256, tuple(int(view) for _, view in of_file))


def _sort(
    part: Part[FileRows], keys: Sequence[str]
) -> tuple[list[tuple[RowKey, NDArray[Any]]], list[tuple[RowKey, str]]]:
    """Return the rows of a part, and the keys without a row, each with the reason."""
    found: list[tuple[RowKey, NDArray[Any]]] = []
    failed: list[tuple[RowKey, str]] = []
    for file, answer in zip(part.items, part.answers, strict=True):
        of_file = [RowKey(file.sha256, keys[view]) for view in file.views]
        if isinstance(answer, (Unusable, SetAside)):
            if isinstance(answer, Unusable) and answer.host:
                check_shared(file.path, file.sha256, reason=answer.reason, host=answer.host)
            failed.extend((key, answer.reason) for key in of_file)
        else:
            found.extend(zip(of_file, answer, strict=True))
    return found, failed
