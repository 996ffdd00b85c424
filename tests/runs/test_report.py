"""What a run says of a stage: what changed on validation, and why that is kept or undone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tlkit.data.manifest import ImageRecord, Manifest
from tlkit.outputs import CLASSIFICATION, DETECTION, REGRESSION
from tlkit.recipes import ResolvedStage
from tlkit.runs.model import summarise_stages
from tlkit.runs.report import describe_change, qualify_validation
from tlkit.tasks import Outputs
from tlkit.training.checkpoint import Progress
from tlkit.training.stage import StageOutcome
from tlkit.training.stage_plan import StagePlan

CLASSES = Outputs(CLASSIFICATION, 3)
BOXES = Outputs(CLASSIFICATION, 3, has_box=True)
PRICES = Outputs(REGRESSION, 1)
OBJECTS = Outputs(DETECTION, 6)
CONV_LAYERS = " The frozen layers were limiting the model."
HEAD_OR_DATA = " The head or the data are probably limiting the model."


def make_outcome(
    before: dict[str, float],
    after: dict[str, float],
    *,
    is_kept: bool,
    decided_by: str,
    unfreeze: str = "block4",
    p_value: float = 0.5,
) -> StageOutcome:
    progress = Progress(
        epochs_done=3,
        best_epoch=2 if is_kept else 0,
        start=before,
        best=after if is_kept else before,
        trained=after,
        decided_by=decided_by,
        p_value=p_value,
    )
    plan = StagePlan(ResolvedStage(name="further", unfreeze=unfreeze, lr=1e-3), "block3", 2, keeps_start=True)
    return StageOutcome(plan, progress, [], (), num_validation=60, rate_is_found=False)


def figures(loss: float, **others: float) -> dict[str, float]:
    return {"loss": loss, **others}


@pytest.mark.parametrize(
    ("before", "after", "settings", "outputs", "message"),
    [
        (
            figures(0.21, accuracy=57 / 60),
            figures(0.25, accuracy=58 / 60),
            {"is_kept": False, "decided_by": "loss"},
            CLASSES,
            "Undone: unfreezing block4: accuracy 0.950 → 0.967 (1 more of 60 right), not significant, and validation "
            "loss is not lower (0.210 → 0.250)." + HEAD_OR_DATA,
        ),
        (
            figures(0.21, accuracy=57 / 60),
            figures(0.21, accuracy=57 / 60),
            {"is_kept": False, "decided_by": "loss", "unfreeze": "none"},
            CLASSES,
            "Undone: more training of the head: accuracy 0.950 → 0.950 (as many of 60 right), not significant, and "
            "validation loss is not lower (0.210 → 0.210).",
        ),
        (
            figures(0.21, accuracy=57 / 60),
            figures(0.19, accuracy=55 / 60),
            {"is_kept": True, "decided_by": "loss"},
            CLASSES,
            "Kept: unfreezing block4: validation loss is lower (0.210 → 0.190); accuracy 0.950 → 0.917 (2 fewer of 60 "
            "right), not significant." + HEAD_OR_DATA,
        ),
        (
            figures(0.61, accuracy=0.5),
            figures(0.63, accuracy=0.75),
            {"is_kept": True, "decided_by": "score"},
            CLASSES,
            "Kept: unfreezing block4: accuracy 0.500 → 0.750 (15 more of 60 right), a significant change; validation "
            "loss 0.610 → 0.630." + CONV_LAYERS,
        ),
        (
            figures(0.61, accuracy=0.75),
            figures(0.6, accuracy=0.5),
            {"is_kept": False, "decided_by": "score"},
            CLASSES,
            "Undone: unfreezing block4: accuracy 0.750 → 0.500 (15 fewer of 60 right), a significant change; "
            "validation loss 0.610 → 0.600." + HEAD_OR_DATA,
        ),
        (
            figures(0.61, accuracy=0.75, iou=0.5),
            figures(0.6, accuracy=0.75, iou=0.625),
            {"is_kept": True, "decided_by": "score"},
            BOXES,
            "Kept: unfreezing block4: accuracy 0.750 → 0.750 (as many of 60 right), mean IoU 0.500 → 0.625, a "
            "significant change; validation loss 0.610 → 0.600." + CONV_LAYERS,
        ),
        (
            figures(0.3, map50=0.5),
            figures(0.29, map50=0.51),
            {"is_kept": True, "decided_by": "loss"},
            OBJECTS,
            "Kept: unfreezing block4: validation loss is lower (0.300 → 0.290); mAP50 0.500 → 0.510, not significant."
            + HEAD_OR_DATA,
        ),
        (
            figures(0.3, r2=0.5),
            figures(0.29, r2=0.51),
            {"is_kept": True, "decided_by": "loss"},
            PRICES,
            "Kept: unfreezing block4: validation loss is lower (0.300 → 0.290); R² 0.500 → 0.510, not significant."
            + HEAD_OR_DATA,
        ),
        (
            figures(0.21, accuracy=57 / 60),
            {},
            {"is_kept": False, "decided_by": "loss"},
            CLASSES,
            "Undone: unfreezing block4 gave no finite loss.",
        ),
    ],
)
def test_a_stage_is_kept_or_undone_and_the_run_says_why(
    before: dict[str, float], after: dict[str, float], settings: dict[str, Any], outputs: Outputs, message: str
) -> None:
    assert describe_change(make_outcome(before, after, **settings), outputs) == message


def test_the_summary_tells_what_decided_and_what_was_trained() -> None:
    before, after = figures(0.21, accuracy=0.95), figures(0.25, accuracy=0.967)
    undone = make_outcome(before, after, is_kept=False, decided_by="loss", p_value=1.0)
    first = make_outcome(before, after, is_kept=True, decided_by="")
    (summary, summary_of_first) = summarise_stages([undone, first])
    assert summary["verdict"] == {"is_kept": False, "decided_by": "loss", "p_value": 1.0, "trained": after}
    assert (summary["before"], summary["after"]) == (before, before)
    assert summary_of_first["verdict"] is None


FLATTERS = "The validation images also chose the epoch, so this score is slightly optimistic"


@pytest.mark.parametrize(
    ("split", "run", "advice"),
    [
        ("train", "runs/first", "This run has no test images; --test-fraction reserves some."),
        ("test", "runs/first", "Report the score on the test images: tlkit evaluate runs/first --split test"),
        ("test", "my runs/1", "Report the score on the test images: tlkit evaluate 'my runs/1' --split test"),
    ],
)
def test_a_validation_figure_is_qualified(split: str, run: str, advice: str) -> None:
    record = ImageRecord(Path("/data/cat/1.jpg"), "aa" * 32, 40, 30, split, "cat")
    assert qualify_validation(Path(run), Manifest(Path("/data"), ("cat", "dog"), (record,))) == f"{FLATTERS}. {advice}"
