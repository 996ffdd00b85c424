"""Choose the engine that computes the features which a cache lacks, and prove that it computes them right.

Engine and precision are part of a cache's key, so what began a cache goes on with it: `auto` looks on the disk first.
Only where there is nothing yet does it try: the engine that was fastest for every family of backbones, then, if the
work is long enough to pay for a trial, the others.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tlkit.errors import NumericsError
from tlkit.features.cache import CacheSpec, FeatureCache
from tlkit.features.spec import AGREEMENT_FILE, ENGINES, write_text
from tlkit.recipes import BackboneSettings
from tlkit.reports.console import Console
from tlkit.runtime import read_versions
from tlkit.workflows.wanted_rows import WantedRows

if TYPE_CHECKING:
    import keras

    from tlkit.backbones.engine import Agreement, Engine

NUM_COMPARED_IMAGES = 8
FEWEST_ROWS_TO_TIME = 128
NUM_TIMED_BATCHES = 2
SECONDS_WORTH_A_TRIAL = 30.0
"""Where the first engine needs less than this for all rows, trying another would cost more than it could bring."""


@dataclass(frozen=True)
class Choice:
    """An engine and its precision."""

    engine: str
    precision: str

    def __str__(self) -> str:
        return f"{self.engine} in {self.precision}"

    def describe(self, spec: CacheSpec) -> CacheSpec:
        """Return what a cache of this choice holds."""
        return dataclasses.replace(spec, **asdict(self))


@dataclass(frozen=True)
class Trial:
    """An engine that was accepted; how it agrees, if that was found out now, and images/s, if they were measured."""

    choice: Choice
    engine: Engine
    agreement: Agreement | None
    rate: float


@dataclass(frozen=True)
class Work:
    """The rows to compute, and what is needed to compute them.

    Attributes:
        spec: Describes the cache but for engine and precision.
        trunk: The part of the network below the boundary.
        cache_root: Where caches and converted trunks lie.
        num_rows: How many rows there are.
        sample: Some of the images, uint8 (n, height, width, 3), at most a batch; None if no file could be read.
        batch_size: Images in a batch.
    """

    spec: CacheSpec
    trunk: keras.Model
    cache_root: Path
    num_rows: int
    sample: NDArray[np.uint8] | None
    batch_size: int

    def make_engine(self, choice: Choice) -> Engine:
        """Return the trunk, ready to run."""
        if choice.engine == "keras":
            from tlkit.backbones.engine import make_keras_engine

            return make_keras_engine(self.trunk, precision=choice.precision, batch_size=self.batch_size)
        from tlkit.backbones.openvino_engine import make_openvino_engine

        names = ("backbone", "weights_sha256", "boundary", "pooling", "image_size")
        return make_openvino_engine(
            self.trunk,
            precision=choice.precision,
            batch_size=self.batch_size,
            description={name: getattr(self.spec, name) for name in names},
            root=self.cache_root / ENGINES,
        )


def find_begun_cache(
    spec: CacheSpec, settings: BackboneSettings, cache_root: Path, wanted: WantedRows
) -> FeatureCache | None:
    """Return the cache that goes on, so that what is there is not computed again by another engine.

    That is one that lacks nothing, whether or not its engine runs here; or else, of those that do, the one with
    most of the wanted rows, or with most rows at all. None if there are no rows.
    """
    begun = []
    for choice, cache, num_found in _open_begun(spec, settings, cache_root, wanted):
        if num_found == wanted.num_rows > 0:
            return cache
        begun.append((num_found, len(cache), choice, cache))
    runnable = list_choices(settings) if begun else []
    able = [each for each in begun if each[2] in runnable and (each[1] or each[3].damaged)]
    return max(able, key=lambda each: each[:2])[3] if able else None


def find_complete_cache(
    spec: CacheSpec, settings: BackboneSettings, cache_root: Path, wanted: WantedRows
) -> FeatureCache | None:
    """Return a cache that lacks nothing, if there is one; nothing heavy is imported."""
    caches = _open_begun(spec, settings, cache_root, wanted)
    return next((cache for _, cache, num_found in caches if num_found == wanted.num_rows > 0), None)


def _open_begun(
    spec: CacheSpec, settings: BackboneSettings, cache_root: Path, wanted: WantedRows
) -> Iterator[tuple[Choice, FeatureCache, int]]:
    """Yield every choice that has a cache, with the cache and how many of the wanted rows it has."""
    for choice in _list_all(settings):
        described = choice.describe(spec)
        if described.folder(cache_root).is_dir():
            cache = FeatureCache.open(cache_root, described)
            yield choice, cache, int((wanted.find(cache) >= 0).sum())


def _list_all(settings: BackboneSettings) -> list[Choice]:
    engines = ("openvino", "keras") if settings.engine == "auto" else (settings.engine,)
    precisions = ("bfloat16", "float32") if settings.precision == "auto" else (settings.precision,)
    return list(itertools.starmap(Choice, itertools.product(engines, precisions)))


def list_choices(settings: BackboneSettings) -> list[Choice]:
    """Return what runs here and is allowed: engines at the precision that is native to them, then those in float32.

    Raises:
        BackboneError: OpenVINO is asked for, and is not installed.
    """
    from tlkit.backbones.openvino_runtime import has_openvino, require_openvino
    from tlkit.runtime import native_precision

    if settings.engine == "openvino":
        require_openvino()
    engines = [settings.engine] if settings.engine != "auto" else ["openvino", "keras"] if has_openvino() else ["keras"]
    if settings.precision != "auto":
        return [Choice(engine, settings.precision) for engine in engines]
    native = [Choice(engine, native_precision(engine)) for engine in engines]
    return list(dict.fromkeys([*native, *(Choice(engine, "float32") for engine in engines)]))


def select_engine(
    work: Work, settings: BackboneSettings, begun: FeatureCache | None, console: Console
) -> tuple[Engine, FeatureCache]:
    """Return the engine that computes the rows, checked against float32 Keras, and its opened cache.

    Args:
        work: The rows.
        settings: What the user asks for.
        begun: The cache that goes on, if there is one.
        console: Says what was picked.

    Raises:
        BackboneError: OpenVINO is asked for, and is not installed.
        NumericsError: No engine that is allowed gives the features of float32 Keras.
    """
    choices = [Choice(begun.spec.engine, begun.spec.precision)] if begun else list_choices(settings)
    trials: list[Trial] = []
    refusals: list[NumericsError] = []
    has_rivals = len({choice.engine for choice in choices}) > 1
    is_timed = has_rivals and work.num_rows > FEWEST_ROWS_TO_TIME and work.sample is not None
    for choice in choices:
        if trials and not (is_timed and _is_worth_a_trial(choice, trials, work.num_rows)):
            continue
        try:
            trials.append(_try(choice, work, is_timed=is_timed))
        except NumericsError as error:
            refusals.append(error)
    if not trials:
        raise refusals[-1]
    for refusal in refusals:
        console.warn(refusal.found)
    best = max(trials, key=lambda trial: trial.rate)
    console.say(_tell(best, trials, goes_on=begun is not None))
    cache = begun or FeatureCache.open(work.cache_root, best.choice.describe(work.spec))
    if best.agreement:
        record = {**asdict(best.agreement), "versions": read_versions()}
        write_text(cache.folder / AGREEMENT_FILE, json.dumps(record, indent=2) + "\n")
    return best.engine, cache


def _is_worth_a_trial(choice: Choice, trials: Sequence[Trial], num_rows: int) -> bool:
    """Return whether another engine could make up for the time that trying it takes."""
    is_new = all(trial.choice.engine != choice.engine for trial in trials)
    return is_new and num_rows > SECONDS_WORTH_A_TRIAL * max(trial.rate for trial in trials)


def _try(choice: Choice, work: Work, *, is_timed: bool) -> Trial:
    """Make an engine, compare it with float32 Keras unless that was done for its cache, and time it if asked for.

    Raises:
        NumericsError: Its features are others.
    """
    from tlkit.backbones.engine import check_agreement, compute_agreement

    engine = work.make_engine(choice)
    agreement = None
    if work.sample is None:
        return Trial(choice, engine, None, 0.0)
    if not _was_compared(choice.describe(work.spec).folder(work.cache_root)):
        step = max(1, len(work.sample) // NUM_COMPARED_IMAGES)
        agreement = compute_agreement(engine, work.trunk, work.sample[::step][:NUM_COMPARED_IMAGES])
        check_agreement(engine, agreement)
    return Trial(choice, engine, agreement, _measure_rate(engine, work.sample) if is_timed else 0.0)


def _measure_rate(engine: Engine, images: NDArray[np.uint8]) -> float:
    """Return how many images an engine computes in a second, once it is warm."""
    batch = images[np.arange(engine.batch_size) % len(images)]
    engine.compute(batch)
    num_batches = max(NUM_TIMED_BATCHES, engine.num_parallel)
    start = time.perf_counter()
    with ThreadPoolExecutor(engine.num_parallel) as pool:
        list(pool.map(engine.compute, [batch] * num_batches))
    return num_batches * engine.batch_size / (time.perf_counter() - start)


def _was_compared(folder: Path) -> bool:
    """Return whether the cache in a folder says that its engine was compared, in these versions."""
    try:
        return bool(json.loads((folder / AGREEMENT_FILE).read_text("utf-8"))["versions"] == read_versions())
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _tell(best: Trial, trials: Sequence[Trial], *, goes_on: bool) -> str:
    rates = ", ".join(f"{trial.choice} {trial.rate:,.1f} images/s" for trial in trials if trial.rate)
    reason = ", as in the cache" if goes_on else f" ({rates})" if rates else ""
    return f"Engine: {best.choice}{reason}."
