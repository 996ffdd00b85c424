"""Export a trained model for people and devices without tlkit, and prove that each file answers as the model does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tlkit.data.images import LOADER_VERSION
from tlkit.data.sources import OUTPUT_MARKER
from tlkit.errors import NumericsError
from tlkit.exports.base import FLOAT32, TOLERANCES, name_folder
from tlkit.exports.choice import Pair, choose_pairs, list_formats
from tlkit.exports.comparison import Reference
from tlkit.exports.folder import PROOF_FILE, ExportFolder, measure_bytes
from tlkit.exports.proof import Proof, prove, read_reference
from tlkit.exports.training_images import read_calibration_images
from tlkit.models.copying import hash_bundle
from tlkit.models.opening import open_classifier
from tlkit.recipes import DataSettings
from tlkit.reports.console import Console
from tlkit.reports.output_folder import check_output_folder, held_output_folder
from tlkit.runs.folder import describe_unfinished
from tlkit.sharing.container import write_container
from tlkit.waiting import waiting_for

EXPORT = "exports"
"""The kind of the output folder."""
CONTAINER = "a container"
"""The kind of the folder that Docker builds from."""
DEFAULT_FORMATS = ("openvino",)


@dataclass(frozen=True)
class ExportRequest:
    """What to export.

    Attributes:
        run: A run folder, or the bundle folder in it.
        formats: Some of `tlkit.exports.EXPORTS`.
        precisions: Some of `tlkit.exports.base.PRECISIONS`; each is used for the formats that have it.
        out: Folder for the files; None: in `exports/`, after the run's name.
        data: Labelled images for the proof; None for those that the run held out.
        settings: How `data` is read.
        allow: How much lower the score of a quantised model may be, 0..1; None: not beyond chance.
    """

    run: Path
    formats: tuple[str, ...] = DEFAULT_FORMATS
    precisions: tuple[str, ...] = (FLOAT32,)
    out: Path | None = None
    data: Path | None = None
    settings: DataSettings = field(default_factory=DataSettings)
    allow: float | None = None


def run_export(request: ExportRequest, *, console: Console) -> dict[str, Any]:
    """Export a model, prove each file, and return the result for scripts.

    Args:
        request: What to export.
        console: Tells the story.

    Raises:
        BundleError: The model is missing, damaged or foreign.
        DataError: There are no images for the proof.
        NumericsError: A file does not answer as the model does; it is removed.
        RunError: The folder is in the way of something or in use.
        SettingError: A format or precision is unknown, is not installed, or does not go with the others.
    """
    run, data = request.run, request.data
    pairs = choose_pairs(request.formats, request.precisions)
    if notice := describe_unfinished(run):
        console.warn(notice)
    out = request.out or Path("exports") / run.resolve().name
    data_folders = [data] if data and data.is_dir() else []
    check_output_folder(out, option="--out", kind=EXPORT, marker=OUTPUT_MARKER, data_folders=data_folders)
    predictor = open_classifier(run, loader_version=LOADER_VERSION)
    with read_reference(run, data, predictor, settings=request.settings, console=console) as reference:
        console.say(f"Exporting {run}; each file is proved on {len(reference.questions):,} images: {reference.source}.")
        with held_output_folder(out, kind=EXPORT, marker=OUTPUT_MARKER):
            proofs = _export_all(request, out, pairs, reference, console)
    _print_table(proofs, reference, console)
    _check_proofs(proofs, request)
    console.say(f"The programs, the files and the proof, {PROOF_FILE}: {out}")
    score = proofs[0].comparison.bundle_score
    return {
        "run": run,
        "out": out,
        "measured_on": reference.source,
        "images": len(reference.questions),
        "bundle_score": None if score is None else asdict(score),
        "files": [proof.to_payload() for proof in proofs],
    }


def run_list(*, console: Console) -> dict[str, Any]:
    """Print which formats there are, which target uses which, and what is installed; return it for scripts."""
    formats = list_formats()
    rows = [
        (
            each["format"],
            each["use"],
            ", ".join(each["precisions"]),
            each["runtime"],
            "yes" if each["is_installed"] else each["install"],
        )
        for each in formats
    ]
    console.table("Formats of an export", ("--format", "for", "--precision", "runs in", "installed"), rows)
    return {"formats": formats}


def _export_all(
    request: ExportRequest, out: Path, pairs: Sequence[Pair], reference: Reference, console: Console
) -> list[Proof]:
    """Write and prove all files; those that do not agree are removed."""
    from tlkit.runtime import start_keras

    start_keras()
    from tlkit.exports.shipped import build_shipped_model
    from tlkit.models.saving import read_bundle

    sha256 = hash_bundle(request.run)
    model = build_shipped_model(read_bundle(request.run, loader_version=LOADER_VERSION), bundle_sha256=sha256)
    needs_images = any(precision in export.calibrated for export, precision in pairs)
    calibration = read_calibration_images(request.run, model.spec) if needs_images else None
    folder, proofs = ExportFolder(out, model), []
    for export, precision in pairs:
        name = name_folder(export, precision)
        written = folder.reserve(export, precision)
        try:
            with waiting_for(f"the export {name}"):
                export.write(model, written, precision, calibration)
            comparison, fault = prove(model, reference, out, written, export, precision, console=console)
            fault = fault or comparison.find_fault(precision, allowed_loss=request.allow)
            proofs.append(Proof(name, export, precision, measure_bytes(written), comparison, fault))
            if not fault:
                folder.keep(written)
        finally:
            folder.remove(written)
    folder.finish(proofs, reference.source, len(reference.questions))
    return proofs


def _print_table(proofs: Sequence[Proof], reference: Reference, console: Console) -> None:
    titles = ("file", "size", "largest difference", "same answer", "score", "change", "ms", "agrees")
    console.table(f"The exports beside the run, on {reference.source}", titles, [proof.row() for proof in proofs])


def _check_proofs(proofs: Sequence[Proof], request: ExportRequest) -> None:
    faults = [proof for proof in proofs if proof.fault]
    if not faults:
        return
    quantised = any(proof.precision not in TOLERANCES for proof in faults)
    raise NumericsError(
        "; ".join(f"{proof.name}: {proof.fault}" for proof in faults) + ".",
        expected=f"the answers of {request.run}; a file with others is removed",
        fix="leave it out, or accept a loss of score, such as --allow 0.02."
        if quantised
        else "leave it out, and please report this as a bug in tlkit.",
    )


def run_container(run: Path, out: Path | None, *, console: Console) -> dict[str, Any]:
    """Write a folder from which Docker builds a server of the model, and return the result for scripts.

    Args:
        run: A run folder, or the bundle folder in it.
        out: The folder; None: in `exports/`, after the run's name.
        console: Tells the story.

    Raises:
        BundleError: The model is missing, damaged or foreign.
        RunError: The folder is in the way of something or in use.
    """
    if notice := describe_unfinished(run):
        console.warn(notice)
    folder = out or Path("exports") / f"{run.resolve().name}-docker"
    check_output_folder(folder, option="--out", kind=CONTAINER, marker=OUTPUT_MARKER, data_folders=[])
    with held_output_folder(folder, kind=CONTAINER, marker=OUTPUT_MARKER):
        names = write_container(run, folder)
    console.say(f"Written: {', '.join(names)} in {folder}")
    console.say(f"Next: docker build -t my-model {folder}")
    return {"run": run, "out": folder, "files": names}
