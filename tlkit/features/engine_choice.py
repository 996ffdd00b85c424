"""Choose the engine that computes missing features, and check that it computes them correctly.

Engine and precision are part of a cache's key, so `auto` first continues an existing cache with its engine. Without a
cache, it uses the engine that was fastest for every backbone family in our measurements, and, for long jobs, times the
others too.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tlkit.backbones.catalogue import INT8
from tlkit.devices import AllDevices, choose_devices, describe_devices
from tlkit.errors import NumericsError, SettingError
from tlkit.features.allowed_engines import Choice, can_run, choose_batch_size, iterate_choices, list_engines
from tlkit.features.cache import CacheSpec, FeatureCache
from tlkit.features.calibration import CalibrationSample, calibrate, has_quantized_trunk
from tlkit.features.folder import AGREEMENT_FILE, read_specs
from tlkit.features.pruning import ENGINES
from tlkit.features.requested_rows import RequestedRows
from tlkit.features.trunks import Trunk
from tlkit.files import read_json, write_json
from tlkit.recipes import ResolvedBackbone
from tlkit.reports.console import Console
from tlkit.runtime import read_versions

if TYPE_CHECKING:
    import openvino

    from tlkit.backbones.engines.base import Engine

NUM_SAMPLES = 8
"""Number of images that engines are compared and timed on."""
NUM_TIMED_IMAGES = 64
MIN_ROWS_TO_TIME = 128
SECONDS_WORTH_A_TRIAL = 30.0
"""If the first engine needs less than this for all rows, timing another would not pay off."""


@dataclass(frozen=True)
class TriedEngine:
    """An accepted engine, with the record of its comparison with Keras if its cache is to get it."""

    choice: Choice
    engine: Engine
    record: dict[str, Any] | None


@dataclass(frozen=True)
class Work:
    """The rows to compute, and everything needed to compute them.

    Attributes:
        spec: Specification of the cache, without engine and precision.
        trunk: The part of the network below the boundary; only built to be converted, compared, or run by Keras.
        cache_root: Root of caches and converted trunks.
        num_rows: Number of rows.
        devices: How many devices Keras computes on.
        load_sample: Returns some of the images, uint8 (n, height, width, 3), n <= 8; None if no file can be read.
        load_calibration_sample: Returns the images to calibrate int8 on; None if no file can be read.
        may_time: Whether engines may be timed to choose one; parts of a data set must not choose by chance.
    """

    spec: CacheSpec
    trunk: Trunk
    cache_root: Path
    num_rows: int
    devices: int | AllDevices = 1
    load_sample: Callable[[], NDArray[np.uint8] | None] = lambda: None
    load_calibration_sample: Callable[[], CalibrationSample | None] = lambda: None
    may_time: bool = True

    @cached_property
    def sample(self) -> NDArray[np.uint8] | None:
        """Images to compare and time engines on, read once."""
        return self.load_sample()

    def calibrate(self, console: Console) -> Choice:
        """Quantize the trunk, and return it as a choice.

        Raises:
            CacheError: It cannot be saved.
            NumericsError: It costs too much accuracy.
        """
        calibration = calibrate(
            lambda: self._convert(console.warn),
            self.load_calibration_sample,
            batch_size=choose_batch_size("openvino", self.spec.image_size),
            description=identify_trunk(self.spec),
            root=self.cache_root / ENGINES,
            console=console,
        )
        return Choice("openvino", INT8, calibration)

    def make_engine(self, choice: Choice, *, warn: Callable[[str], None]) -> Engine:
        """Return the trunk, ready to run; `warn` is called with a sentence if the converted trunk cannot be saved."""
        if choice.engine == "keras":
            from tlkit.backbones.engines.base import make_keras_engine

            devices = choose_devices(self.devices)
            return make_keras_engine(
                self.trunk.model,
                precision=choice.precision,
                batch_size=choose_batch_size("keras", self.spec.image_size),
                devices=devices,
            )
        from tlkit.backbones.engines.openvino import make_openvino_engine, make_quantized_engine

        size = choose_batch_size("openvino", self.spec.image_size)
        if choice.precision == INT8:
            return make_quantized_engine(self.cache_root / ENGINES, choice.calibration, batch_size=size)
        return make_openvino_engine(self._convert(warn), precision=choice.precision, batch_size=size)

    def _convert(self, warn: Callable[[str], None]) -> openvino.Model:
        from tlkit.backbones.engines.openvino import load_trunk

        return load_trunk(
            lambda: self.trunk.model,
            batch_size=choose_batch_size("openvino", self.spec.image_size),
            description=identify_trunk(self.spec),
            root=self.cache_root / ENGINES,
            warn=warn,
        )


def identify_trunk(spec: CacheSpec) -> dict[str, Any]:
    """Return the part of a specification that tells trunks apart."""
    names = ("backbone", "weights_sha256", "boundary", "pooling", "image_size")
    return {name: getattr(spec, name) for name in names}


def find_begun_cache(
    spec: CacheSpec, backbone: ResolvedBackbone, cache_root: Path, requested: RequestedRows
) -> FeatureCache | None:
    """Return the cache to continue, so that its rows are not computed again with another engine.

    A complete cache is preferred, whether or not its engine runs here; then, among engines that run, the cache with
    most of the requested rows, then with most rows. None if there are no rows. A quantized trunk only goes on where some of
    the rows are its own: other images would not suit its calibration.
    """
    begun = []
    for choice, cache, num_found in _open_begun(spec, backbone, cache_root, requested):
        if num_found == requested.num_rows > 0:
            return cache
        begun.append((num_found, len(cache), choice, cache))
    able = [
        (num_found, num_rows, choice, cache)
        for num_found, num_rows, choice, cache in begun
        if can_run(choice, backbone)
        and (
            num_found and has_quantized_trunk(cache_root / ENGINES, choice.calibration)
            if choice.calibration
            else num_rows or cache.damaged
        )
    ]
    return max(able, key=lambda each: each[:2])[3] if able else None


def _open_begun(
    spec: CacheSpec, backbone: ResolvedBackbone, cache_root: Path, requested: RequestedRows
) -> Iterator[tuple[Choice, FeatureCache, int]]:
    """Yield every choice that has a cache, with the cache and its number of requested rows."""
    for choice in _list_all(backbone, spec, cache_root):
        described = choice.describe(spec)
        if described.folder(cache_root).is_dir():
            cache = FeatureCache.open(cache_root, described)
            yield choice, cache, int((requested.find(cache) >= 0).sum())


def _list_all(backbone: ResolvedBackbone, spec: CacheSpec, cache_root: Path) -> list[Choice]:
    if backbone.precision == INT8:
        described = [each for each in read_specs(cache_root) if each.precision == INT8]
        return [Choice.of(each) for each in described if Choice.of(each).describe(spec) == each]
    engines = ("openvino", "keras") if backbone.engine == "auto" else (backbone.engine,)
    precisions = ("bfloat16", "float32") if backbone.precision == "auto" else (backbone.precision,)
    return list(itertools.starmap(Choice, itertools.product(engines, precisions)))


def check_calibrated(backbone: ResolvedBackbone, cache_root: Path) -> None:
    """Check that a part of a data set in int8 can continue a cache, before its images are read.

    Raises:
        SettingError: No network has been calibrated.
    """
    if backbone.precision == INT8:
        name = backbone.entry.name
        if not any(spec.precision == INT8 and spec.backbone == name for spec in read_specs(cache_root)):
            raise calibrated_in_part()


def calibrated_in_part() -> SettingError:
    """Return the error for a part of a data set that would calibrate a network of its own."""
    return SettingError(
        "precision is int8, and --part is given: each part would calibrate a network of its own, with other features.",
        expected="a cache in int8 that holds some of the part's images, whose calibrated network all parts then use",
        fix="run the command once without --part and with --sample 0.01, or use another --precision.",
    )


def select_engine(
    work: Work, backbone: ResolvedBackbone, begun: FeatureCache | None, console: Console
) -> tuple[Engine, FeatureCache]:
    """Return the engine that computes the rows, checked against float32 Keras, and its opened cache.

    Args:
        work: The rows.
        backbone: The requested backbone.
        begun: The cache to continue, if any.
        console: Prints the choice.

    Raises:
        BackboneError: OpenVINO is asked for, and is not installed.
        NumericsError: No allowed engine agrees with float32 Keras.
    """
    trials: list[TriedEngine] = []
    refusals: list[NumericsError] = []
    is_choosing = work.may_time and not begun and len(list_engines(backbone)) > 1
    for choice in [Choice.of(begun.spec)] if begun else iterate_choices(backbone):
        if any(trial.choice.engine == choice.engine for trial in trials):
            continue
        try:
            trials.append(_try(choice, work, console))
        except NumericsError as error:
            refusals.append(error)
            continue
        if len(trials) > 1 or not (is_choosing and _has_time_for_trials(trials[0].engine, work)):
            break
    if not trials:
        raise refusals[-1]
    for refusal in refusals:
        console.warn(refusal.found)
    best, rates = _find_fastest(trials, work)
    reason = ", as in the cache" if begun else f" ({rates})" if rates else ""
    where = f" on {describe_devices(best.engine.devices)}" if best.engine.devices else ""
    console.say(f"Engine: {best.choice}{where}{reason}.")
    cache = begun or FeatureCache.open(work.cache_root, best.choice.describe(work.spec))
    if best.record:
        path = cache.folder / AGREEMENT_FILE
        with console.disk_warning(f"{path}: that the engine was checked cannot be noted there"):
            write_json(path, best.record)
    return best.engine, cache


def _has_time_for_trials(first: Engine, work: Work) -> bool:
    """Return whether the job is long enough for timing another engine to pay off."""
    if work.num_rows <= MIN_ROWS_TO_TIME or work.sample is None:
        return False
    return work.num_rows > SECONDS_WORTH_A_TRIAL * _measure_rate(first, work.sample, num_images=1)


def _find_fastest(trials: Sequence[TriedEngine], work: Work) -> tuple[TriedEngine, str]:
    """Return the fastest engine, and the throughputs in words; a single engine is not timed."""
    if len(trials) == 1 or work.sample is None:
        return trials[0], ""
    rates = [_measure_rate(trial.engine, work.sample, num_images=NUM_TIMED_IMAGES) for trial in trials]
    words = ", ".join(f"{trial.choice} {rate:,.1f} images/s" for trial, rate in zip(trials, rates, strict=True))
    return trials[int(np.argmax(rates))], words


def _try(choice: Choice, work: Work, console: Console) -> TriedEngine:
    """Make an engine and compare it with float32 Keras, unless this was done for a cache of the same trunk.

    Raises:
        NumericsError: The features differ.
    """
    from tlkit.backbones.engines.base import check_agreement, compute_agreement

    if choice.precision == INT8:  # calibrating has judged it
        choice = choice if choice.calibration else work.calibrate(console)
        return TriedEngine(choice, work.make_engine(choice, warn=console.warn), None)
    engine = work.make_engine(choice, warn=console.warn)
    record = None
    if not _read_record(choice.describe(work.spec), work.cache_root):
        record = _find_record(choice, work)
        if record is None and work.sample is not None:
            agreement = compute_agreement(engine, work.trunk.model, work.sample, work.trunk.note.layout)
            check_agreement(engine, agreement)
            record = {**asdict(agreement), "versions": read_versions()}
    return TriedEngine(choice, engine, record)


def _measure_rate(engine: Engine, images: NDArray[np.uint8], *, num_images: int) -> float:
    """Return the throughput of a warm engine in images per second, measured on at least `num_images` on all
    processors.
    """
    batch = images[np.arange(engine.batch_size) % len(images)]
    num_batches = max(engine.num_parallel, -(-num_images // engine.batch_size))
    start = time.perf_counter()
    with ThreadPoolExecutor(engine.num_parallel) as pool:
        list(pool.map(engine.compute, [batch] * num_batches))
    return num_batches * engine.batch_size / (time.perf_counter() - start)


def _find_record(choice: Choice, work: Work) -> dict[str, Any] | None:
    """Return the record of the same engine on the same trunk from another cache."""
    trunk = identify_trunk(work.spec)
    specs = (spec for spec in read_specs(work.cache_root) if (Choice.of(spec), identify_trunk(spec)) == (choice, trunk))
    records = (_read_record(spec, work.cache_root) for spec in specs)
    return next((record for record in records if record), None)


def _read_record(spec: CacheSpec, cache_root: Path) -> dict[str, Any] | None:
    """Return the record that the engine of a cache was compared with Keras, with these versions."""
    try:
        record: dict[str, Any] = read_json(spec.folder(cache_root) / AGREEMENT_FILE)
        return record if record["versions"] == read_versions() else None
    except (OSError, ValueError, KeyError, TypeError):
        return None
