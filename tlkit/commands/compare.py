"""Compare backbones, boundaries, heads or views by their predictions for held-out images, and by their cost.

The steps: read the images; for each candidate, compute missing features, cross-validate on the same five folds, and
time some images. Backbones and boundaries are compared by a linear probe, heads and views by training heads; where
objects or masks are wanted, the probe is fitted to the places of feature maps.
Differences that are not significant are reported as such.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tlkit.backbones.note import TrunkNote
from tlkit.data.manifest import ImageRecord, Manifest
from tlkit.data.views import ViewPlan
from tlkit.features.allowed_engines import Choice
from tlkit.features.cache import FeatureCache
from tlkit.features.engine_choice import Work
from tlkit.features.ensure import ensure_features
from tlkit.features.extract import Loaded, run_batches
from tlkit.features.request import FeatureRequest
from tlkit.features.requested_rows import RequestedRows
from tlkit.features.trunk_notes import TrunkRequest
from tlkit.features.trunks import open_trunk
from tlkit.metrics.whitenings import Whitening
from tlkit.places.cache_root import default_cache_root
from tlkit.probes.candidates import Candidate, ComparisonRequest, check_task, list_candidates
from tlkit.probes.comparison import PROBED, TRAINED, CandidateScore, Cost, Ranking, rank_candidates
from tlkit.probes.images import Questions, make_questions, read_probe_images
from tlkit.probes.place_scores import PlaceFeatures, find_layout, score_places
from tlkit.probes.probe import run_majority, run_probes
from tlkit.recipes import BackboneSettings, DataSettings, Recipe, check_recipe, make_sections
from tlkit.reports.console import Console
from tlkit.reports.figures import draw_comparison
from tlkit.reports.output_folder import choose_picture
from tlkit.runtime import read_resident_memory, release_memory, start_keras, watch_peak_memory
from tlkit.tasks import find_task
from tlkit.tasks.scored_outputs import ScoredOutputs
from tlkit.training.first_model import fetch_weights

NUM_TIMED_IMAGES = 96


def run_compare(
    data: Path,
    *,
    requested: ComparisonRequest,
    data_settings: DataSettings,
    backbone_settings: BackboneSettings,
    seed: int,
    out: Path | None,
    console: Console,
) -> dict[str, Any]:
    """Rank backbones and boundaries, or heads, policies and views, for a data set.

    Args:
        data: A folder of images, or a table. Images of the test split take no part.
        requested: What to compare; every combination is a candidate.
        data_settings: How to read the images.
        backbone_settings: Settings of the networks except names and weights.
        seed: Seed of the folds, and of the sample if there are more than 2,000 images.
        out: The PNG to draw; None for `runs/`, named after the data.
        console: Prints progress and results.

    Returns:
        The JSON result: the `candidates`, best first, the one `advised`, the `majority` score (None for objects and masks), the
        `picture` and the `seconds`.

    Raises:
        SettingError: A setting is wrong, or does not apply.
        RunError: `out` lies in the data folder.
        DataError: The data set is not usable.
        BackboneError: A backbone, boundary or its weights are not there.
    """
    started = time.perf_counter()
    candidates = list_candidates(requested, backbone_settings, seed=seed)
    sections = {**make_sections(data_settings.task), "data": data_settings, "backbone": backbone_settings}
    check_recipe(Recipe(**sections), source="settings")
    check_task(requested, data_settings)
    picture = choose_picture(out, data, "compared")
    cache_root = default_cache_root()
    for candidate in candidates:
        fetch_weights(candidate.backbone, data)
    questions = make_questions(read_probe_images(data, data_settings, seed, cache_root, console), data_settings, seed)
    if requested.is_trained or find_task(data_settings.task).lists_objects:
        start_keras()
    if requested.is_trained:
        console.say(f"{len(candidates)} candidates, each trained {len(questions.folds)} times.")
    scored = []
    for number, candidate in enumerate(candidates, start=1):
        console.say(f"{number} of {len(candidates)}: {candidate.name}")
        scored.append(_judge(candidate, questions, cache_root, console))
    task = questions.manifest.task
    ranking = rank_candidates(task, scored, TRAINED if requested.is_trained else PROBED)
    majority = None if find_task(task).has_objects else run_majority(task, questions.targets, questions.folds).value
    print_ranking(ranking, majority, picture, console)
    seconds = round(time.perf_counter() - started, 2)
    return {**ranking.to_payload(), "majority": majority, "picture": picture, "seconds": seconds}


def print_ranking(ranking: Ranking, majority: float | None, picture: Path, console: Console) -> None:
    """Print and draw the ranking."""
    console.table(*ranking.table())
    for sentence in ranking.sentences:
        console.say(sentence)
    picture.parent.mkdir(parents=True, exist_ok=True)
    rows = [
        (place.name, place.score.value, place.score.low, place.score.high, place.cost.seconds, place.is_behind)
        for place in ranking.places
    ]
    draw_comparison(picture, rows, quantity=ranking.quantity, cost=ranking.terms.per, majority=majority)
    console.say(f"Picture: {picture}")


@dataclass(frozen=True, eq=False)
class Computed:
    """The features of a candidate, and their cost.

    Attributes:
        cache: The cache.
        positions: Position of each view of each image, in the order of the questions: int64 (n, num_views).
        seconds_a_view: Time per view, from file to feature.
        megabytes: Additional memory of the process; None if the system does not report it.
        note: What is known of the network below the boundary.
    """

    cache: FeatureCache
    positions: NDArray[np.int64]
    seconds_a_view: float
    megabytes: float | None
    note: TrunkNote


def _judge(candidate: Candidate, questions: Questions, cache_root: Path, console: Console) -> CandidateScore:
    """Compute the features of a candidate, and score a probe, or trained heads, on them."""
    computed = _compute(candidate, questions, cache_root, console)
    spec = computed.cache.spec
    if candidate.head is None:
        cost = Cost(1000 * computed.seconds_a_view, computed.megabytes, computed.note.num_parameters)
        return CandidateScore(candidate.name, _probe(computed, questions, candidate.whitening), cost)
    from tlkit.probes.cross_validation import cross_validate_head

    with console.progress("Trainings", len(questions.folds), "folds") as advance:
        trained = cross_validate_head(
            questions,
            computed.cache,
            computed.positions,
            head=candidate.head,
            views=candidate.views,
            precision=candidate.backbone.training_precision,
            advance=advance,
        )
    num_rows = np.unique(computed.positions).size  # equal files share theirs
    cost = Cost(
        num_rows * computed.seconds_a_view + trained.seconds,
        num_rows * math.prod(spec.feature_shape) * np.dtype(spec.dtype).itemsize / 1e6,
        trained.num_parameters,
    )
    return CandidateScore(candidate.name, trained.probe, cost)


def _probe(computed: Computed, questions: Questions, whitening: Whitening) -> ScoredOutputs:
    """Cross-validate linear models on pooled features, or on maps at every place."""
    cache, spec, positions = computed.cache, computed.cache.spec, computed.positions[:, 0]
    if find_task(questions.manifest.task).has_objects:
        maps = PlaceFeatures(
            lambda images: cache.read(positions[images]), find_layout(computed.note), spec.image_size, spec.fit
        )
        return score_places(questions, maps)
    rows = cache.read(positions).astype(np.float32)
    (probe,) = run_probes(questions.manifest.task, questions.targets, rows, questions.folds, whitening=whitening)
    return probe


def _compute(candidate: Candidate, questions: Questions, cache_root: Path, console: Console) -> Computed:
    has_places = find_task(questions.manifest.task).has_objects
    is_pooled = candidate.head is None and not has_places
    pooling = candidate.head.record.pooling if candidate.head else "maps" if has_places else "avg"
    request = TrunkRequest(candidate.backbone, pooling, candidate.boundary, questions.seed)
    trunk = open_trunk(request, cache_root, console, is_pooled=is_pooled)
    features = ensure_features(
        questions.manifest,
        trunk,
        FeatureRequest(candidate.backbone, candidate.boundary, candidate.views, is_pooled=is_pooled),
        cache_root=cache_root,
        console=console,
    )
    positions = features.locate(questions.manifest.records)
    work = Work(features.cache.spec, trunk, cache_root, 0)
    release_memory()  # otherwise what was freed before would be reused and not count
    memory_before = read_resident_memory()
    with watch_peak_memory() as peak:
        seconds_a_view = _time(work, questions.manifest.records, candidate.views, console)
    return Computed(
        features.cache,
        positions,
        seconds_a_view,
        None if memory_before is None or peak.value is None else (peak.value - memory_before) / 1e6,
        trunk.note,
    )


def _time(work: Work, records: Sequence[ImageRecord], views: ViewPlan, console: Console) -> float:
    """Return the seconds per view, from file to feature, with the engine of the cache."""
    engine = work.make_engine(Choice.of(work.spec), warn=console.warn)
    manifest = Manifest(Path(), (), tuple(records[:NUM_TIMED_IMAGES]))
    requested = RequestedRows(manifest, views)
    load = partial(requested.load, image_size=work.spec.image_size, fit=work.spec.fit)
    rows = np.array([(number, number % views.num_views) for number in range(len(requested.files))])
    engine.compute(np.zeros((engine.batch_size, *work.spec.image_size, 3), np.uint8))
    started = time.perf_counter()
    batches = run_batches(
        requested.list_files(rows),
        lambda keys: Loaded[None]([(image,) for image in load(keys)]),
        engine.compute,
        batch_size=engine.batch_size,
        num_parallel=engine.num_parallel,
    )
    num_images = sum(len(result.outputs) for results in batches for result in results)
    # The last batch is padded, so it costs as much as a full one.
    num_computed = -(-num_images // engine.batch_size) * engine.batch_size
    return (time.perf_counter() - started) / max(num_computed, 1)
