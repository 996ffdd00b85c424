"""What frozen layers in int8 would save and cost here: a plan names it, but never chooses it."""

from __future__ import annotations

import dataclasses
from dataclasses import asdict, dataclass
from typing import Any

from tlkit.backbones.catalogue import INT8
from tlkit.backbones.engines.openvino_runtime import has_openvino
from tlkit.backbones.weights import RANDOM
from tlkit.errors import NumericsError
from tlkit.features.calibration import Verdict, read_verdict
from tlkit.features.pruning import ENGINES
from tlkit.models.classifier import Classifier
from tlkit.reports.console import format_duration
from tlkit.training.run import Run
from tlkit.training.stage_costs import QUIET, FeatureCost, measure_features
from tlkit.training.stage_plan import StagePlan

SECONDS_WORTH_CALIBRATING = 60.0
"""Calibrating takes 5 to 15 seconds: for features that take less than this, int8 saves little."""


@dataclass(frozen=True)
class Int8Cost:
    """The remaining features at a boundary in int8.

    Attributes:
        boundary: Where the backbone is cut.
        seconds: Time for all of them in int8, once calibrated.
        float_seconds: Time for those that are missing without int8.
        calibration_seconds: Time to calibrate and start the engine, which the plan has done.
        verdict: What int8 costs on the calibration images; None if it was refused.
        refusal: Why int8 was refused; empty if it was not.
    """

    boundary: str
    seconds: float
    float_seconds: float
    calibration_seconds: float
    verdict: Verdict | None
    refusal: str = ""

    def describe(self) -> str:
        """Return what int8 would save and cost, in sentences."""
        if self.verdict is None:
            return self.refusal
        times = (
            f"In int8 the features at {self.boundary} take {format_duration(self.seconds)}, not "
            f"{format_duration(self.float_seconds)}"
        )
        words = self.verdict.describe()
        return f"{times}. On {self.verdict.num_images:,} images: {words}. --precision int8 uses it."

    def to_payload(self) -> dict[str, Any]:
        """Return plain numbers, strings and dicts, fit for JSON."""
        return asdict(self)


def measure_int8(classifier: Classifier, plan: StagePlan, run: Run, cost: FeatureCost) -> Int8Cost | None:
    """Calibrate the frozen layers of a stage in int8, and time them.

    Args:
        classifier: The model; it is not changed.
        plan: The stage.
        run: The run that the stage belongs to.
        cost: The cost of its features without int8.

    Returns:
        None if int8 cannot be used or would save little: it is chosen already, OpenVINO is missing or not wanted, the weights
        are random, or the features take less than a minute.
    """
    float_seconds = cost.count_seconds(with_views=True)
    backbone = run.backbone
    is_open = backbone.precision == "auto" and backbone.engine != "keras" and backbone.weights != RANDOM
    if not is_open or float_seconds < SECONDS_WORTH_CALIBRATING or not has_openvino():
        return None
    request = dataclasses.replace(
        run.request_stage_features(plan), backbone=dataclasses.replace(backbone, engine="openvino", precision=INT8)
    )
    manifest = run.manifest.for_training()
    run.console.say(f"Calibrating in int8, as the features at {plan.boundary} take {format_duration(float_seconds)}.")
    try:
        found, _ = measure_features(manifest, classifier.backbone, request, cache_root=run.cache_root, console=QUIET)
    except NumericsError as error:
        return Int8Cost(plan.boundary, 0.0, float_seconds, 0.0, None, error.found)
    return Int8Cost(
        plan.boundary,
        found.count_seconds(with_views=True),
        float_seconds,
        found.choice_seconds,
        read_verdict(run.cache_root / ENGINES, found.calibration),
    )
