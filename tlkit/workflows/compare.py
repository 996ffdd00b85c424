"""Compare backbones and boundaries on one data set by what a linear probe makes of their features, and by their cost.

The story: read the images, and for each candidate compute the features that the cache lacks, let a probe predict every
image from others, five folds, the same for all candidates, and time it on some of the images. Candidates that chance
may explain are not told apart.
"""

from __future__ import annotations

import dataclasses
import gc
import itertools
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from tlkit.backbones.catalogue import find_backbone
from tlkit.backbones.weights import check_weights
from tlkit.bundle import BATCH_SIZE
from tlkit.data.manifest import ImageRecord, Manifest
from tlkit.data.views import ViewPlan
from tlkit.errors import DataError, SettingError
from tlkit.evaluation.comparison import Candidate, Cost, Ranking, rank_candidates
from tlkit.evaluation.folds import Fold, make_stratified_folds
from tlkit.evaluation.probes import make_strata, run_majority, run_probes
from tlkit.features.cache import default_cache_root
from tlkit.features.extract import run_batches
from tlkit.recipes import BackboneSettings, DataSettings, Recipe, check_recipe
from tlkit.reports.console import Console
from tlkit.reports.figures import draw_comparison
from tlkit.reports.output_folder import check_picture
from tlkit.runtime import read_resident_memory, start_keras, watch_peak_memory
from tlkit.workflows.engine_choice import Choice, Work
from tlkit.workflows.precompute import build_backbone_for, check_boundary, ensure_features
from tlkit.workflows.probing import make_probe_targets, read_probe_images
from tlkit.workflows.wanted_rows import WantedRows

NUM_TIMED_IMAGES = 96


@dataclass(frozen=True)
class Contender:
    """A backbone cut at a boundary."""

    settings: BackboneSettings
    boundary: str
    name: str


def run_compare(
    data: Path,
    *,
    backbones: Sequence[str],
    boundaries: Sequence[str],
    data_settings: DataSettings,
    backbone_settings: BackboneSettings,
    seed: int,
    out: Path | None,
    console: Console,
) -> dict[str, Any]:
    """Rank backbones, or boundaries of them, for a data set.

    Args:
        data: A folder of images, or a table. Images of the test split take no part.
        backbones: `NAME`, or `NAME:WEIGHTS`.
        boundaries: Where each is cut; the top if empty.
        data_settings: How the images are found.
        backbone_settings: Everything of the networks but their names and weights.
        seed: Decides over the sample, if there are more than 2,000 images, and the folds.
        out: The PNG to draw; None: `runs/` and the data's name.
        console: Tells the story.

    Returns:
        What `--json` prints: the `candidates` from the best downwards, the one `advised`, the `majority`'s score, the
        `picture` and the `seconds`.

    Raises:
        SettingError: A setting is wrong, or does not apply.
        RunError: `out` lies in the data folder.
        DataError: The data set is not usable.
        BackboneError: A backbone, boundary or its weights are not there.
    """
    started = time.perf_counter()
    contenders = _list_contenders(backbones, boundaries, backbone_settings)
    check_recipe(Recipe(data=data_settings), source="settings")
    picture = out or Path("runs") / f"{data.resolve().stem}-compared.png"
    check_picture(picture, data)
    cache_root = default_cache_root()
    manifest = read_probe_images(data, data_settings, seed, cache_root, console)
    targets = make_probe_targets(manifest, manifest.records, data_settings)
    folds = make_stratified_folds(
        make_strata(manifest.task, targets), twins=[record.sha256 for record in manifest.records], seed=seed
    )
    start_keras()  # or its memory would count as the first candidate's
    candidates = []
    for number, contender in enumerate(contenders, start=1):
        console.say(f"{number} of {len(contenders)}: {contender.name}")
        candidates.append(_judge(contender, manifest, targets, folds, seed, cache_root, console))
        gc.collect()  # a network that is done with shall not weigh on the next one's memory
    ranking = rank_candidates(manifest.task, candidates)
    majority = run_majority(manifest.task, targets, folds).value
    tell_ranking(ranking, majority, picture, console)
    seconds = round(time.perf_counter() - started, 2)
    return {**ranking.to_payload(), "majority": majority, "picture": picture, "seconds": seconds}


def tell_ranking(ranking: Ranking, majority: float, picture: Path, console: Console) -> None:
    """Print the ranking, what follows from it, and draw it."""
    console.table(*ranking.table())
    for sentence in ranking.sentences:
        console.say(sentence)
    picture.parent.mkdir(parents=True, exist_ok=True)
    rows = [
        (place.name, place.score.value, place.score.low, place.score.high, place.cost.seconds, place.is_behind)
        for place in ranking.places
    ]
    draw_comparison(picture, rows, quantity=ranking.quantity, majority=majority)
    console.say(f"Picture: {picture}")


def _list_contenders(
    backbones: Sequence[str], boundaries: Sequence[str], settings: BackboneSettings
) -> list[Contender]:
    """Return every backbone at every boundary, checked before anything heavy is loaded."""
    contenders = []
    for text, wanted in itertools.product(backbones, boundaries or ["top"]):
        name, _, weights = text.partition(":")
        entry = find_backbone(name)
        entry.check_image_size(settings.image_size)
        check_weights(entry, weights or entry.default_weights)
        boundary = check_boundary(entry, wanted)
        label = f"{name} ({Path(weights).name})" if weights and sum(name in each for each in backbones) > 1 else name
        contenders.append(
            Contender(
                dataclasses.replace(settings, name=name, weights=weights),
                boundary,
                f"{label} at {boundary}" if boundaries else label,
            )
        )
    names = [contender.name for contender in contenders]
    for name in names:
        if names.count(name) > 1:
            raise SettingError(f"{name} is named twice.", expected="different candidates", fix="leave one of them out.")
    return contenders


def _judge(
    contender: Contender,
    manifest: Manifest,
    targets: np.ndarray[Any, Any],
    folds: Sequence[Fold],
    seed: int,
    cache_root: Path,
    console: Console,
) -> Candidate:
    memory_before = read_resident_memory()
    with watch_peak_memory() as peak:
        backbone = build_backbone_for(contender.settings, "avg", seed)
        features = ensure_features(
            manifest,
            backbone,
            boundary=contender.boundary,
            views=ViewPlan(),
            settings=contender.settings,
            cache_root=cache_root,
            console=console,
            is_pooled=True,
        )
        for item in features.set_aside:
            raise DataError(
                f"{item.path}: {item.reason}.",
                expected="the images to stay as they are while they are compared",
                fix="start again.",
            )
        spec = features.cache.spec
        work = Work(spec, backbone.pooled_trunk(contender.boundary), cache_root, 0, None, BATCH_SIZE)
        seconds = _time(work, manifest.records)
    used = None if memory_before is None or peak.value is None else (peak.value - memory_before) / 1e6
    by_sha256 = {
        record.sha256: position
        for split in features.splits.values()
        for record, position in zip(split.records, split.positions[:, 0], strict=True)
    }
    rows = features.cache.read(np.array([by_sha256[record.sha256] for record in manifest.records]))
    (probe,) = run_probes(manifest.task, targets, rows.astype(np.float32), folds)
    below = [group.num_parameters for group in backbone.groups]
    if contender.boundary != "top":
        below = below[: backbone.entry.boundaries.index(contender.boundary)]
    return Candidate(contender.name, probe, Cost(seconds, used, sum(below)))


def _time(work: Work, records: Sequence[ImageRecord]) -> float:
    """Return the seconds that 1,000 images take, from file to feature, with the engine of the cache."""
    engine = work.make_engine(Choice(work.spec.engine, work.spec.precision))
    manifest = Manifest(Path(), (), tuple(records[:NUM_TIMED_IMAGES]))
    wanted = WantedRows(manifest, ViewPlan())
    load = partial(wanted.load, image_size=work.spec.image_size, fit=work.spec.fit)
    keys = list(wanted.list_keys(np.array([(number, 0) for number in range(len(wanted.files))])))
    engine.compute(np.zeros((work.batch_size, *work.spec.image_size, 3), np.uint8))
    started = time.perf_counter()
    batches = run_batches(
        keys, lambda row: (load(row),), engine.compute, batch_size=work.batch_size, num_parallel=engine.num_parallel
    )
    num_images = sum(len(batch.items) for batch in batches)
    # The last batch is filled up, so it costs as much as a whole one.
    num_computed = -(-num_images // work.batch_size) * work.batch_size
    return 1000 * (time.perf_counter() - started) / max(num_computed, 1)
