"""Look for what is wrong with a data set: `findings.csv`, a page to look through, and a list of moves to confirm.

The story: read the images, take their features from the cache or compute them, decode each picture once for its looks,
compare everything with everything else, and write down what was found. Nothing of the data is changed.
"""

from __future__ import annotations

import dataclasses
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tlkit.audit.detector import DetectorSettings
from tlkit.audit.findings import KINDS
from tlkit.audit.judging import BoxJudge, Judge, LabelJudge, NoJudge
from tlkit.audit.moves import has_class_folders, note_obstacles, propose_moves
from tlkit.audit.output import print_audit, write_audit_tables
from tlkit.audit.page import MAP_BYTES, PAGE_FILE, write_audit_page
from tlkit.audit.rows import AuditRows, describe_audit_trunk, find_rows
from tlkit.audit.study import Study, study_images
from tlkit.backbones.catalogue import TOP
from tlkit.backbones.weights import check_weights
from tlkit.data.dataset import check_exists, read_dataset
from tlkit.data.file_index import FileIndex
from tlkit.data.looks import read_looks
from tlkit.data.manifest import ImageRecord, Manifest, read_manifest
from tlkit.data.sources import OUTPUT_MARKER
from tlkit.data.views import PICTURE_ITSELF
from tlkit.distribution.cluster import check_cluster, opened_cluster
from tlkit.errors import SettingError
from tlkit.features.trunk_notes import find_note
from tlkit.places.cache_root import default_cache_root
from tlkit.places.copies import show_path
from tlkit.places.roots import find_root
from tlkit.recipes import (
    BackboneSettings,
    DataSettings,
    HeadSettings,
    ResolvedBackbone,
    TrainingSettings,
    make_sections,
    resolve_backbone,
)
from tlkit.recipes.reading import RECIPE_FILE, read_recipe
from tlkit.reports.console import Console
from tlkit.reports.map import Coloring
from tlkit.reports.output_folder import check_output_folder, choose_output_folder, held_output_folder, name_after
from tlkit.reports.page import Section
from tlkit.runs.image_map import make_map
from tlkit.runs.origin import describe_making
from tlkit.tasks import find_task

AUDIT = "an audit"


@dataclass(frozen=True)
class AuditRequest:
    """What is audited, and by which features.

    Attributes:
        data: A folder of images, or a table; None for the images of `run`.
        run: A run whose images, splits and backbone are taken; None for `data`.
        data_settings: How the images are found.
        backbone_settings: The network whose features are compared.
        seed: Decides over new splits, random weights and landmarks.
        out: Output folder; None: in `audits/`, after the data's name.
        ray: A Ray cluster that computes the features: auto, local or an address; None for this process.
        head: The head of the detectors that judge boxes; None for the default of the task.
    """

    data: Path | None
    run: Path | None
    data_settings: DataSettings
    backbone_settings: BackboneSettings
    seed: int
    out: Path | None
    ray: str | None = None
    head: HeadSettings | None = None


def run_audit(request: AuditRequest, *, console: Console) -> dict[str, Any]:
    """Audit a data set and return what `--json` prints.

    Returns:
        The number of `images`, of `skipped` files, of `findings` by kind and of proposed `moves`, the estimate of
        `wrong_labels`, the `confusable` classes, the `first` findings to look at, the paths of the files, and the
        `seconds`.

    Raises:
        SettingError: A setting is wrong, or does not apply.
        DataError: The data set is not usable.
        BackboneError: The backbone or its weights are not there.
        CacheError: The cache cannot be written, or the disk is too small.
        ClusterError: Ray is not installed, or its cluster cannot be reached or has no workers.
        RunError: `out` is in the way of something or in use, or the run is damaged.
    """
    started = time.perf_counter()
    request = _complete(request)
    check_cluster(request.ray, request.backbone_settings.devices)
    backbone = resolve_backbone(request.backbone_settings)
    check_weights(backbone.entry, backbone.weights)
    detector = _describe_detector(request, backbone)
    data = _locate_data(request)
    about = str((request.run or data).resolve())
    out = request.out or choose_output_folder(
        Path("audits"), name_after(data), about=about, kind=AUDIT, marker=OUTPUT_MARKER
    )
    check_output_folder(
        out, option="--out", kind=AUDIT, marker=OUTPUT_MARKER, data_folders=[data] if data.is_dir() else []
    )
    with held_output_folder(out, kind=AUDIT, marker=OUTPUT_MARKER, about=about):
        with opened_cluster(request.ray) as cluster:
            manifest = _read_images(request, data, backbone, console)
            views = detector.views if detector else PICTURE_ITSELF
            rows = find_rows(manifest, backbone, request.seed, console, cluster=cluster, views=views)
        records = rows.records
        looks = read_looks(records, grey=manifest.grey, progress=lambda total: console.progress("Pictures", total))
        for item in looks.failures:
            console.warn(f"{item.path} could not be looked at: {item.reason}.")
        with tempfile.TemporaryDirectory(dir=out, ignore_cleanup_errors=True) as folder:
            features = rows.pool(Path(folder))
            judge = _choose_judge(request, rows, detector)
            study = study_images(manifest, records, features, looks, judge=judge, console=console)
            image_map = _draw_map(study, records, features, manifest, console)
        moves = None
        is_copy = show_path(data) != str(data)  # whose files are not the user's to move
        if data.is_dir() and not is_copy and has_class_folders(records, manifest):
            findings = tuple(note_obstacles(study.audit.findings, manifest.root))
            study = dataclasses.replace(study, audit=dataclasses.replace(study.audit, findings=findings))
            moves = propose_moves(findings, records, manifest)
        origin = {
            "data": show_path(data),
            "backbone": backbone.entry.name,
            "boundary": TOP,
            **describe_making(console.command),
        }
        write_audit_page(out / PAGE_FILE, study.audit, records, moves, manifest, origin, image_map)
        payload = write_audit_tables(out, study, records, manifest, moves)
    payload["seconds"] = round(time.perf_counter() - started, 2)
    print_audit(study.audit, moves, manifest, out, console)
    return payload


def _complete(request: AuditRequest) -> AuditRequest:
    """Return the request with the settings of its run."""
    if (request.data is None) == (request.run is None):
        raise SettingError(
            "both DATA and --run are given." if request.run else "neither DATA nor --run is given.",
            expected="a data set, or a run whose images are audited",
            fix="tlkit audit DATA, or tlkit audit --run RUN.",
        )
    if request.run is None:
        return request
    recipe = read_recipe(request.run / RECIPE_FILE)
    backbone = dataclasses.replace(recipe.backbone, devices=1)  # those of the training may be elsewhere
    return dataclasses.replace(
        request,
        data_settings=recipe.data,
        backbone_settings=backbone,
        seed=recipe.training.seed,
        head=recipe.head,
    )


def _describe_detector(request: AuditRequest, backbone: ResolvedBackbone) -> DetectorSettings | None:
    """Return what detector judges boxes, where images have some."""
    task = request.data_settings.task
    if not find_task(task).lists_objects:
        return None
    head = request.head or make_sections(task)["head"]
    return DetectorSettings(
        backbone, head, TrainingSettings(seed=request.seed), task, precision=backbone.training_precision
    )


def _choose_judge(request: AuditRequest, rows: AuditRows, detector: DetectorSettings | None) -> Judge:
    if detector:
        return BoxJudge(rows, detector)
    if find_task(request.data_settings.task).has_masks:
        return NoJudge()
    return LabelJudge(is_log=request.data_settings.target_scale == "log", seed=request.seed)


def _locate_data(request: AuditRequest) -> Path:
    if request.data is not None:
        check_exists(request.data)
        return request.data
    assert request.run is not None
    recorded = read_recipe(request.run / RECIPE_FILE).inputs.data
    return find_root(recorded) if recorded else read_manifest(request.run).root


def _read_images(request: AuditRequest, data: Path, backbone: ResolvedBackbone, console: Console) -> Manifest:
    if request.run is not None:
        return read_manifest(request.run)
    if (
        find_note(describe_audit_trunk(backbone, request.data_settings.task, request.seed), default_cache_root())
        is None
    ):
        from tlkit.training.first_model import fetch_weights  # Keras: not needed where the features are cached

        fetch_weights(backbone, data)
    manifest = read_dataset(
        data,
        request.data_settings,
        seed=request.seed,
        index=FileIndex(default_cache_root()),
        progress=lambda total: console.progress("Checking", total),
    )
    if request.data_settings.target_scale == "log":
        from tlkit.training.first_model import check_target

        check_target(manifest, request.data_settings)
    return manifest


def _draw_map(
    study: Study, records: Sequence[ImageRecord], rows: NDArray[np.floating[Any]], manifest: Manifest, console: Console
) -> Section | None:
    """Return the map, coloured by class, split and finding."""
    places = {record.path: place for place, record in enumerate(records)}
    kinds = ["none"] * len(records)
    for finding in reversed(study.audit.findings):
        kinds[places[finding.path]] = KINDS[finding.kind]
    first = list(dict.fromkeys(places[finding.path] for finding in study.audit.findings))
    shown = dataclasses.replace(manifest, records=tuple(records))
    return make_map(
        rows,
        shown,
        console=console,
        colorings=[Coloring("finding", kinds)],
        first=first,
        nearest=study.nearest,
        max_bytes=MAP_BYTES,
    )
