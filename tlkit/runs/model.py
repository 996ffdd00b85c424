"""Write a run's model: a preliminary one after each stage, and the finished one at the end."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tlkit.data.manifest import ImageRecord, Manifest
from tlkit.errors import RunError
from tlkit.inference.scoring import read_usable
from tlkit.models.spec import BundleSpec
from tlkit.reports.optional_steps import describe_problem
from tlkit.runs.folder import RunFolder

if TYPE_CHECKING:
    from tlkit.models.classifier import Classifier
    from tlkit.models.networks.base import Network
    from tlkit.training.checkpoint import Progress
    from tlkit.training.stage import StageOutcome

NUM_GOLDEN_IMAGES = 4
GREY = 128


@dataclass(frozen=True, eq=False)
class GoldenSamples:
    """The images on which a saved model is checked.

    Attributes:
        images: uint8 (n, height, width, 3), RGB, 0..255, n >= 1.
        metadata: float32 (n, width).
    """

    images: NDArray[np.uint8]
    metadata: NDArray[np.float32]


def read_golden_samples(manifest: Manifest, spec: BundleSpec) -> GoldenSamples:
    """Read a few evenly spread validation images; missing ones are replaced by others.

    If none can be read, a grey image is used, so that the model can be saved.
    """
    candidates = _list_candidates(manifest.in_split("validation"))
    found = list(islice(read_usable(candidates, spec), NUM_GOLDEN_IMAGES))
    if not found:
        found.append((manifest.records[0], np.full((*spec.image_size, 3), GREY, np.uint8)))
    images = np.stack([image for _, image in found])
    return GoldenSamples(images, spec.metadata.encode([record.metadata for record, _ in found]))


def _list_candidates(records: Sequence[ImageRecord]) -> Iterator[ImageRecord]:
    """Yield evenly spread records first, then all others."""
    spread = np.unique(np.linspace(0, len(records) - 1, NUM_GOLDEN_IMAGES, dtype=int)).tolist()
    for number in [*spread, *sorted({*range(len(records))} - {*spread})]:
        yield records[number]


def write_model(
    folder: RunFolder,
    classifier: Classifier,
    manifest: Manifest,
    outcomes: Sequence[StageOutcome],
    networks: Mapping[str, Network] | None = None,
) -> None:
    """Write the bundle, replacing an earlier one.

    Raises:
        RunError: The disk is full, or the folder cannot be written to.
    """
    from tlkit.models.saving import write_bundle

    spec = classifier.spec
    entry = classifier.backbone.entry
    kept = [outcome.plan.stage.unfreeze for outcome in outcomes if outcome.progress.best_epoch]
    unfrozen = min([spec.unfrozen, *kept], key=lambda group: entry.boundaries.index(entry.boundary_below(group)))
    samples = read_golden_samples(manifest, spec)
    described = dataclasses.replace(spec, unfrozen=unfrozen)
    try:
        write_bundle(folder.bundle, classifier, described, samples.images, samples.metadata, networks)
    except OSError as error:
        raise RunError(
            f"The model cannot be written ({describe_problem(error)}).",
            expected=f"free disk space and write permission in {folder.path}",
            fix="free disk space, then run the same command with --resume; " + folder.describe_kept(),
        ) from error


def summarise_stages(outcomes: Sequence[StageOutcome]) -> list[dict[str, Any]]:
    """Return the JSON values of each stage."""
    return [
        {
            "stage": outcome.plan.stage.name,
            "boundary": outcome.plan.boundary,
            "learning_rate": outcome.plan.stage.lr,
            "learning_rate_is_found": outcome.rate_is_found,
            "epochs": outcome.progress.epochs_done,
            "best_epoch": outcome.progress.best_epoch,
            "before": outcome.progress.start,
            "after": outcome.progress.best,
            "verdict": _summarise_verdict(outcome.progress),
        }
        for outcome in outcomes
    ]


def _summarise_verdict(progress: Progress) -> dict[str, Any] | None:
    """Return whether a stage's result is kept and why; None without an earlier model."""
    if not progress.decided_by:
        return None
    return {
        "is_kept": progress.best_epoch > 0,
        "decided_by": progress.decided_by,
        "p_value": progress.p_value,
        "trained": progress.trained,
    }
