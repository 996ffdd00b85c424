"""Look for what is wrong with a data set: `findings.csv`, a page to look through, and a list of moves to confirm.

The story: read the images, take their features from the cache or compute them, decode each picture once for its looks,
compare everything with everything else, and write down what was found. Nothing of the data is changed.
"""

from __future__ import annotations

import dataclasses
import shlex
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tlkit.audit.findings import FINDINGS_FILE, KINDS, Audit, shorten_path, write_findings
from tlkit.audit.labels import LabelAudit
from tlkit.audit.moves import MOVES_FILE, Move, has_class_folders, note_obstacles, propose_moves, write_moves
from tlkit.audit.page import MAP_BYTES, PAGE_FILE, write_audit_page
from tlkit.audit.study import Study, study_images
from tlkit.backbones.catalogue import TOP
from tlkit.backbones.weights import check_weights
from tlkit.data.dataset import check_exists, read_dataset
from tlkit.data.file_index import FileIndex
from tlkit.data.looks import read_looks
from tlkit.data.manifest import ImageRecord, Manifest, read_manifest
from tlkit.data.sources import OUTPUT_MARKER
from tlkit.distribution.cluster import Cluster, check_cluster, opened_cluster
from tlkit.errors import SettingError
from tlkit.features.cache import FeatureCache
from tlkit.features.ensure import ensure_features
from tlkit.features.request import FeatureRequest
from tlkit.features.trunk_notes import TrunkRequest, find_note
from tlkit.features.trunks import open_trunk
from tlkit.files import write_json
from tlkit.places.cache_root import default_cache_root
from tlkit.places.copies import show_path
from tlkit.places.roots import find_root
from tlkit.recipes import BackboneSettings, DataSettings, ResolvedBackbone, resolve_backbone
from tlkit.recipes.reading import RECIPE_FILE, read_recipe
from tlkit.reports.console import Console
from tlkit.reports.map import Coloring
from tlkit.reports.output_folder import check_output_folder, choose_output_folder, held_output_folder, name_after
from tlkit.reports.page import Section
from tlkit.reports.printed_table import write_csv
from tlkit.runs.image_map import make_map
from tlkit.runs.origin import describe_making
from tlkit.tasks.objects_task import refuse_objects

AUDIT = "an audit"
LABELS_FILE = "labels.csv"
SKIPPED_FILE = "skipped.csv"
SUMMARY_FILE = "summary.json"
_NUM_FIRST = 5
_ROWS_AT_ONCE = 4096


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
    """

    data: Path | None
    run: Path | None
    data_settings: DataSettings
    backbone_settings: BackboneSettings
    seed: int
    out: Path | None
    ray: str | None = None


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
    refuse_objects(request.data_settings.task, "tlkit audit")
    check_cluster(request.ray, request.backbone_settings.devices)
    backbone = resolve_backbone(request.backbone_settings)
    check_weights(backbone.entry, backbone.weights)
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
            records, cache, positions = _find_rows(manifest, backbone, request.seed, console, cluster)
        looks = read_looks(records, grey=manifest.grey, progress=lambda total: console.progress("Pictures", total))
        for item in looks.failures:
            console.warn(f"{item.path} could not be looked at: {item.reason}.")
        with tempfile.TemporaryDirectory(dir=out, ignore_cleanup_errors=True) as folder:
            rows = _map_rows(cache, positions, Path(folder))
            study = study_images(
                manifest,
                records,
                rows,
                looks,
                is_log=request.data_settings.target_scale == "log",
                seed=request.seed,
                console=console,
            )
            image_map = _draw_map(study, records, rows, manifest, console)
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
        payload = _write_folder(out, study, records, manifest, moves)
    payload["seconds"] = round(time.perf_counter() - started, 2)
    _print_result(study.audit, moves, manifest, out, console)
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
    return AuditRequest(None, request.run, recipe.data, backbone, recipe.training.seed, request.out, request.ray)


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
    if find_note(_describe_trunk(backbone, request.seed), default_cache_root()) is None:
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


def _describe_trunk(backbone: ResolvedBackbone, seed: int) -> TrunkRequest:
    return TrunkRequest(backbone, "avg", TOP, seed)


def _find_rows(
    manifest: Manifest, backbone: ResolvedBackbone, seed: int, console: Console, cluster: Cluster | None
) -> tuple[list[ImageRecord], FeatureCache, NDArray[np.int64]]:
    """Return the images that have features, the cache, and where in it they lie, int64 (n,)."""
    cache_root = default_cache_root()
    trunk = open_trunk(_describe_trunk(backbone, seed), cache_root, console)
    features = ensure_features(
        manifest, trunk, FeatureRequest(backbone, TOP), cache_root=cache_root, console=console, cluster=cluster
    )
    for item in features.skipped:
        console.warn(f"{item.path} is left out: {item.reason}.")
    parts = [part for part in features.splits.values() if part.records]
    records = [record for part in parts for record in part.records]
    return records, features.cache, np.concatenate([part.positions[:, 0] for part in parts])


def _map_rows(cache: FeatureCache, positions: NDArray[np.int64], folder: Path) -> NDArray[np.floating[Any]]:
    """Return features as a memory map in the order of the positions, so that they need not fit into memory."""
    shape = len(positions), int(np.prod(cache.spec.feature_shape))
    rows = np.memmap(folder / "features", dtype=cache.spec.dtype, mode="w+", shape=shape)
    for start in range(0, len(positions), _ROWS_AT_ONCE):
        block = cache.read(positions[start : start + _ROWS_AT_ONCE])
        rows[start : start + _ROWS_AT_ONCE] = block.reshape(len(block), -1)
    return rows


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


def _write_folder(
    out: Path,
    study: Study,
    records: Sequence[ImageRecord],
    manifest: Manifest,
    moves: Sequence[Move] | None,
) -> dict[str, Any]:
    audit = study.audit
    write_findings(out / FINDINGS_FILE, audit.findings, manifest.root)
    (out / LABELS_FILE).unlink(missing_ok=True)  # of an earlier audit in this folder
    if study.labels and study.labels.estimate:
        _write_labels(out / LABELS_FILE, study.labels, records, manifest.root)
    write_moves(out / MOVES_FILE, moves or ())
    skipped = [(shorten_path(item.path, manifest.root), item.reason) for item in manifest.skipped]
    write_csv(out / SKIPPED_FILE, ("path", "reason"), skipped)
    payload = {
        **audit.to_payload(),
        "skipped": len(manifest.skipped),
        "moves": len(moves or ()),
        "first": [
            {"kind": each.kind, "path": show_path(each.path), "given": each.given, "suggested": each.suggested}
            for each in audit.findings[:_NUM_FIRST]
        ],
        "out": out,
        "page": out / PAGE_FILE,
    }
    write_json(out / SUMMARY_FILE, payload)
    return payload


def _write_labels(path: Path, labels: LabelAudit, records: Sequence[ImageRecord], root: Path) -> None:
    """Write the judgement of every answer, the most doubtful first."""
    order = np.argsort(-labels.wrong, kind="stable")
    rows = (
        (
            shorten_path(records[place].path, root),
            records[place].split,
            records[place].answer,
            labels.suggested[place],
            f"{labels.wrong[place]:.6f}",
        )
        for place in order
    )
    write_csv(path, ("path", "split", "given", "suggested", "wrong"), rows)


def _print_result(audit: Audit, moves: Sequence[Move] | None, manifest: Manifest, out: Path, console: Console) -> None:
    counts, root = audit.counts(), manifest.root
    if counts:
        console.table("Findings", ("images", "finding"), [(f"{n:,}", KINDS[kind]) for kind, n in counts.items()])
        first = [
            (shorten_path(each.path, root), each.given, each.suggested or "-", each.evidence)
            for each in audit.findings[:_NUM_FIRST]
        ]
        console.table("Look at these first", ("image", "label", "suggested", "evidence"), first)
    if audit.wrong_labels:
        console.say(f"Wrong labels: {audit.wrong_labels} of {audit.num_judged:,}, estimated with a 95% interval.")
    for pair in audit.confusable:
        console.say(f"{pair.first} and {pair.second} are hard to tell apart: {pair.accuracy:.0%} right.")
    for notice in audit.notices:
        console.say(notice)
    if manifest.skipped:
        unusable = manifest.skipped[0]
        number = "1 file is" if len(manifest.skipped) == 1 else f"{len(manifest.skipped):,} files are"
        console.say(f"{number} not usable; the first: {shorten_path(unusable.path, root)} ({unusable.reason}).")
    console.say(f"Written: {out / PAGE_FILE}")
    if moves:
        number = "the move" if len(moves) == 1 else f"the {len(moves):,} moves"
        command = shlex.join(["tlkit", "apply", str(out / MOVES_FILE), str(root)])
        console.say(f"Nothing was moved. To carry out {number}: {command}")
