"""A served model that needs neither TensorFlow nor OpenVINO: it answers by the mean colour of a picture."""

from __future__ import annotations

import dataclasses
import io
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import httpx
import numpy as np
import pytest

from tests.conftest import COLORS, draw_image
from tlkit.data.images import LOADER_VERSION
from tlkit.data.manifest import ImageRecord
from tlkit.metadata.encoding import CategoryColumn, MetadataEncoding, NumberColumn
from tlkit.models.spec import BundleSpec
from tlkit.recipes import HeadSettings
from tlkit.serving.access import Access
from tlkit.serving.app import Identity, Service, build_app
from tlkit.serving.explanation import Explaining
from tlkit.serving.heat_maps import HeadWeights, HeatMaps
from tlkit.serving.limits import Limits
from tlkit.serving.model import ServedModel
from tlkit.serving.pool import WorkerPool
from tlkit.serving.server import bind_socket, make_server
from tlkit.serving.training_photos import TrainingPhotos

NAMES = ("blue", "green", "red")
METADATA = MetadataEncoding((NumberColumn("weight", 2.0, 1.0, 0.0, 5.0), CategoryColumn("place", ("lake", "sea"))))
SPEC = BundleSpec("tiny", (32, 32), "squash", LOADER_VERSION, "avg", HeadSettings("linear"), NAMES, unknown_above=0.5)
WITH_METADATA = dataclasses.replace(SPEC, metadata=METADATA)
HEAD = {
    "standardise/moving_mean": np.zeros(3, np.float32),
    "standardise/moving_variance": np.ones(3, np.float32),
    "logits/kernel": np.eye(3, dtype=np.float32)[::-1].copy(),
    "logits/bias": np.zeros(3, np.float32),
}
"""A head whose logits are the mean colours."""


class ColourModel:
    """Answers by the mean colour; grey pictures are unknown. `work` runs before each answer."""

    engine = "colours"
    num_parallel = 4
    map_shape = None

    def __init__(self, spec: BundleSpec = SPEC, work: Callable[[], object] = lambda: None) -> None:
        self.spec = spec
        self.batch_size = 32
        self.asked: list[Any] = []
        self._work = work

    def predict(self, images: Any, metadata: Any = None) -> Any:
        """Return the share of each colour, and the distance."""
        self._work()
        self.asked.append(metadata)
        means = images.astype(np.float64).mean(axis=(1, 2))[:, ::-1]
        shares = means / means.sum(axis=1, keepdims=True)
        distance = 1.0 - np.ptp(shares, axis=1, keepdims=True)
        box = np.full((len(images), 4 * self.spec.has_box), 0.5)
        return np.concatenate([shares, box, distance], axis=1).astype(np.float32)

    predict_for_comparison = predict

    def compute_features(self, images: Any) -> Any:
        """Return the mean colour."""
        return images.astype(np.float32).mean(axis=(1, 2))

    def compute_maps(self, images: Any) -> Any:
        """Return the colours of 4 × 4 places."""
        num, height, width, _ = images.shape
        return images.reshape(num, 4, height // 4, 4, width // 4, 3).astype(np.float32).mean(axis=(2, 4))

    def predict_with_features(self, images: Any, metadata: Any = None) -> Any:
        """Return both."""
        return np.concatenate([self.predict(images, metadata), self.compute_features(images)], axis=1)

    def predict_with_maps(self, images: Any, metadata: Any = None) -> Any:
        """Not asked for where there is no `map_shape`."""
        raise NotImplementedError


@dataclass(frozen=True, eq=False)
class Served:
    """A running server.

    Attributes:
        address: Where it is.
        client: Sends requests to it.
        service: What answers.
        log: The lines so far.
        stop: Asks it to end, and waits until it has.
    """

    address: str
    client: httpx.Client
    service: Service
    log: list[str]
    stop: Callable[[], None]

    @property
    def port(self) -> int:
        """Its port."""
        return int(self.address.rpartition(":")[2])


ServeModel = Callable[..., Served]


@pytest.fixture
def serve_model() -> Iterator[ServeModel]:
    """`serve_model(model, limits=…, access=…, threads=2)`: run a server in a thread, and stop it after the test."""
    running: list[Served] = []

    def serve(
        model: ColourModel | None = None,
        *,
        limits: Limits | None = None,
        threads: int = 2,
        records: Sequence[ImageRecord] = (),
        weights: HeadWeights = HEAD,
        **rules: Any,
    ) -> Served:
        served = start(model or ColourModel(), limits or Limits(), threads, records, weights, rules)
        running.append(served)
        return served

    yield serve
    for served in running:
        served.stop()


def start(
    model: ColourModel,
    limits: Limits,
    threads: int,
    records: Sequence[ImageRecord],
    weights: HeadWeights,
    rules: dict[str, Any],
) -> Served:
    """Start a server on a free port."""
    pool = WorkerPool(threads, limits.max_waiting)
    photos = TrainingPhotos(records, model, lambda: pool.num_running > 0)
    identity = Identity("first", model.engine, needs_token="token" in rules)
    box = np.ones((3 + model.spec.metadata.width, 4), np.float32)
    maps = HeatMaps(model, lambda: {"box/kernel": box, **weights})
    service = Service(Explaining(ServedModel(model), maps, photos, 3), identity, limits, pool)
    log: list[str] = []
    bound = bind_socket("127.0.0.1", 0)
    is_ready = threading.Event()
    app = build_app(service, Access("127.0.0.1", **rules), log.append)
    server = make_server(
        app, limits, count_invalid=lambda: service.metrics.count_request("other", 400, 0.0), announce=is_ready.set
    )
    thread = threading.Thread(target=server.run, kwargs={"sockets": [bound]})
    thread.start()
    assert is_ready.wait(10)
    photos.start()
    address = f"http://127.0.0.1:{bound.getsockname()[1]}"
    client = httpx.Client(base_url=address, timeout=20, verify=False)  # reading certificates takes 70 ms

    def stop() -> None:
        client.close()
        server.stop()
        thread.join(20)
        photos.stop()
        pool.close()
        bound.close()
        assert not thread.is_alive()

    return Served(address, client, service, log, stop)


def encode_image(name: str, *, kind: str = "PNG", size: tuple[int, int] = (40, 32)) -> bytes:
    """Return a drawn picture as a file."""
    assert name in COLORS
    file = io.BytesIO()
    draw_image(name, 0, size).save(file, kind)
    return file.getvalue()


def wait_until(is_true: Callable[[], bool], *, seconds: float = 10.0) -> None:
    """Wait for a condition, and fail if it does not come."""
    end = time.monotonic() + seconds
    while not is_true():
        assert time.monotonic() < end
        time.sleep(0.005)
