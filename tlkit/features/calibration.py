"""Trunks in int8: calibrated on training images, judged by a quick head, and kept beside the caches of their features.

A quantized trunk gives features of its own, so its hash is a part of a cache's key. Data sets that share images continue
a cache with its trunk; others calibrate a new one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tlkit.backbones.engines.openvino_runtime import TRUNK_NOTE, name_quantized_trunk
from tlkit.data.manifest import ImageRecord, Manifest
from tlkit.errors import NumericsError
from tlkit.features.extract import load_all
from tlkit.features.folder import unwritable_cache
from tlkit.features.requested_rows import RequestedRows
from tlkit.features.row_keys import RowKey
from tlkit.files import read_json
from tlkit.metrics.ridge import RidgePath
from tlkit.reports.console import Console
from tlkit.runtime import read_versions
from tlkit.tasks import find_task
from tlkit.waiting import waiting_for

if TYPE_CHECKING:
    import openvino

SHARE = 1 / 8
"""Calibration images for each image to compute. Most of the cost is their features in both precisions, for the verdict."""
MIN_IMAGES, MAX_IMAGES = 64, 256
SEED = 0
MAX_LOSS = 0.01
LOWEST_SIMILARITY = 0.95
_NORMAL_95 = 1.96


@dataclass(frozen=True, eq=False)
class CalibrationSample:
    """Training images for calibration.

    Attributes:
        images: uint8 (n, height, width, 3), RGB, 0..255.
        targets: float64 (n, outputs): a 1 for the class of each image, or its labels or its value; None if all are alike.
        is_exclusive: Whether each image has one class.
        names: The sha256 of the files.
    """

    images: NDArray[np.uint8]
    targets: NDArray[np.float64] | None
    is_exclusive: bool
    names: tuple[str, ...]


@dataclass(frozen=True)
class Verdict:
    """What int8 costs on the calibration images.

    Attributes:
        num_images: Their number.
        similarity: Median cosine similarity of the pooled features to those in float32.
        score: Score of a linear head on the features in int8, each image held out once: accuracy, or for labels and values
            the share of their variance that the head explains; None without targets.
        float32_score: The same in float32.
        low: Lower end of the 95% interval of the difference, paired by image.
        high: Its upper end.
    """

    num_images: int
    similarity: float
    score: float | None = None
    float32_score: float | None = None
    low: float = 0.0
    high: float = 0.0

    @property
    def is_good(self) -> bool:
        """Whether int8 costs no more than a point, or chance may explain what it costs."""
        return self.similarity >= LOWEST_SIMILARITY and self.high >= -MAX_LOSS

    def describe(self) -> str:
        """Return the verdict in words."""
        text = f"median cosine similarity to float32 {self.similarity:.3f}"
        if self.score is None or self.float32_score is None:
            return text
        difference = 100 * (self.score - self.float32_score)
        return (
            f"{text}; a linear head scores {self.score:.3f}, {self.float32_score:.3f} in float32 (difference "
            f"{difference:+.1f} points, {100 * self.low:+.1f} to {100 * self.high:+.1f})"
        )


def has_quantized_trunk(root: Path, calibration: str) -> bool:
    """Return whether a quantized trunk is still there."""
    return (name_quantized_trunk(root, calibration) / TRUNK_NOTE).is_file()


def read_verdict(root: Path, calibration: str) -> Verdict:
    """Return what was found when a quantized trunk was calibrated.

    Raises:
        OSError: It is no longer there.
        ValueError: Its note is damaged.
    """
    try:
        found = read_json(name_quantized_trunk(root, calibration) / TRUNK_NOTE)["description"]["calibrated"]
        return Verdict(**{field.name: found[field.name] for field in fields(Verdict)})
    except (TypeError, LookupError) as error:
        raise ValueError("not the note of a quantized trunk") from error


def load_calibration_sample(
    requested: RequestedRows, load: Callable[[Sequence[RowKey]], Sequence[NDArray[np.uint8]]]
) -> CalibrationSample | None:
    """Return some of the training images, as they are; None if none can be read.

    Args:
        requested: The data set's rows. Without training images, any of its images will do.
        load: Returns the images of a file's rows, or raises `LoadFailure`.
    """
    records = [record for record in requested.files if record.split == "train"] or requested.files
    number = int(np.clip(round(SHARE * requested.num_rows), MIN_IMAGES, MAX_IMAGES))
    ordered = sorted(records, key=lambda record: record.sha256)
    order = np.random.default_rng(SEED).permutation(len(ordered))[:number]
    chosen = [ordered[place] for place in order]
    found = load_all(chosen, lambda record: load([RowKey(record.sha256, requested.keys[0])])[0])
    if not found:
        return None
    records = [record for record, _ in found]
    targets, is_exclusive = _make_targets(requested.manifest, records)
    return CalibrationSample(
        np.stack([image for _, image in found]), targets, is_exclusive, tuple(record.sha256 for record in records)
    )


def _make_targets(manifest: Manifest, records: Sequence[ImageRecord]) -> tuple[NDArray[np.float64] | None, bool]:
    """Return the targets of files for a linear head, and whether they are classes; None if all files have the same."""
    task = find_task(manifest.task)
    targets = np.asarray(manifest.targets(records))
    if task.is_exclusive:
        targets = np.eye(max(1, len(manifest.class_names)))[targets.astype(int)]
    targets = targets.astype(np.float64).reshape(len(records), -1)
    return (targets if (targets != targets[0]).any() else None), task.is_exclusive


def calibrate(
    convert: Callable[[], openvino.Model],
    load: Callable[[], CalibrationSample | None],
    *,
    batch_size: int,
    description: dict[str, Any],
    root: Path,
    console: Console,
) -> str:
    """Quantize a trunk, judge it, and save it.

    Args:
        convert: Returns the trunk as an OpenVINO model of `batch_size`.
        load: Returns the images to calibrate on.
        batch_size: Batch size of the quantized trunk.
        description: Identifies the trunk.
        root: Root of converted trunks.
        console: Prints the verdict.

    Returns:
        The hash that names the quantized trunk.

    Raises:
        CacheError: It cannot be saved.
        NumericsError: It costs too much, or no image can be read.
    """
    from tlkit.backbones.engines.openvino import save_quantized_trunk
    from tlkit.backbones.engines.quantization import compute_pooled, measure, quantize

    sample = load()
    if sample is None:
        raise NumericsError(
            "int8 needs images to calibrate on, and none of the first ones can be read.",
            expected="images that can be read",
            fix="see which files are damaged with --strict, or use --precision float32.",
        )
    padding = [(0, -len(sample.images) % batch_size), (0, 0), (0, 0), (0, 0)]
    images = np.pad(sample.images, padding, mode="wrap")
    model = convert()
    with waiting_for(f"the network to be calibrated on {len(sample.images):,} images"):
        statistics = measure(model, images)
        quantized = quantize(model, statistics, images)
        verdict = judge(sample, compute_pooled(quantized, images), statistics.features)
    console.say(f"Calibrated in int8 on {verdict.num_images:,} images: {verdict.describe()}.")
    if not verdict.is_good:
        raise NumericsError(
            f"int8 costs too much here: {verdict.describe()}.",
            expected=f"a similarity of at least {LOWEST_SIMILARITY}, and a loss of at most {100 * MAX_LOSS:g} point that "
            "chance does not explain",
            fix="use --precision float32.",
        )
    record = {**description, "calibrated": {**asdict(verdict), "images": sample.names, "versions": read_versions()}}
    try:
        return save_quantized_trunk(quantized, root, record)
    except OSError as error:
        raise unwritable_cache(root, error) from error


def judge(sample: CalibrationSample, features: NDArray[np.float32], in_float32: NDArray[np.float32]) -> Verdict:
    """Compare the pooled features of calibration images in int8 with those in float32.

    Args:
        sample: The images.
        features: In int8, float32 (m, channels), m >= n; rows beyond the images do not count.
        in_float32: The same in float32.
    """
    number = len(sample.images)
    rows, exact = features[:number].astype(np.float64), in_float32[:number].astype(np.float64)
    lengths = np.linalg.norm(rows, axis=1) * np.linalg.norm(exact, axis=1)
    similarity = float(np.median((rows * exact).sum(axis=1) / np.maximum(lengths, np.finfo(float).tiny)))
    if sample.targets is None or number < MIN_IMAGES // 2:
        return Verdict(number, similarity)
    scores = [_score_head(each, sample.targets, is_exclusive=sample.is_exclusive) for each in (rows, exact)]
    differences = scores[0] - scores[1]
    mean, error = float(differences.mean()), float(differences.std(ddof=1)) / number**0.5
    return Verdict(
        number,
        similarity,
        float(scores[0].mean()),
        float(scores[1].mean()),
        mean - _NORMAL_95 * error,
        mean + _NORMAL_95 * error,
    )


def _score_head(
    features: NDArray[np.float64], targets: NDArray[np.float64], *, is_exclusive: bool
) -> NDArray[np.float64]:
    """Return the score of each image, float64 (n,), by a linear head that has not seen it."""

    def score(outputs: NDArray[np.float64]) -> NDArray[np.float64]:
        if is_exclusive:
            return np.asarray(outputs.argmax(axis=1) == targets.argmax(axis=1), np.float64)
        spread = np.maximum(targets.var(axis=0), np.finfo(float).tiny)
        return np.asarray(1 - ((outputs - targets) ** 2 / spread).mean(axis=1))

    scores = [score(candidate.left_out) for candidate in RidgePath(features, targets).iterate_candidates()]
    return max(scores, key=lambda each: float(each.mean()))
