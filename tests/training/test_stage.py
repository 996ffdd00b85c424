"""What a stage hands to its training, which is not run: weights to move, their rates, the arithmetic."""

from __future__ import annotations

import contextlib
import io
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf

from tlkit.data.dataset import read_dataset
from tlkit.data.file_index import FileIndex
from tlkit.data.images import LOADER_VERSION
from tlkit.models.classifier import assemble_classifier
from tlkit.models.spec import BundleSpec
from tlkit.recipes import (
    BackboneSettings,
    DataSettings,
    HeadSettings,
    Recipe,
    Stage,
    TrainingSettings,
    resolve_backbone,
)
from tlkit.reports.console import Console
from tlkit.training.checkpoint import Progress
from tlkit.training.run import Run
from tlkit.training.stage import StageOutcome, run_stage
from tlkit.training.stage_plan import plan_stages

pytestmark = pytest.mark.usefixtures("untraced_module")

BACKBONE = BackboneSettings(name="tiny", weights="random", image_size=32, precision="bfloat16")
RECIPE = Recipe(
    backbone=BACKBONE,
    head=HeadSettings("linear"),
    training=TrainingSettings(bn="affine"),
    stages=(Stage(name="s", unfreeze="block4", lr=1e-2, lr_ratio=10, epochs=1),),
)


@dataclass(frozen=True)
class Handed:
    """What the training got, and what the stage gave back and printed."""

    model: Any
    rates: list[float]
    keeps_start: bool
    in_bfloat16: bool
    outcome: StageOutcome
    printed: str


class NoData:
    """Inputs of a stage that nobody reads."""

    class data:  # noqa: N801 - stands for an attribute
        class validation:  # noqa: N801
            num_images = 7

        class train:  # noqa: N801
            class plan:  # noqa: N801
                num_passes = 1

    skipped = ()
    engine = None


Hand = Callable[..., Handed]


@pytest.fixture(scope="module")
def run_untrained(
    tmp_path_factory: pytest.TempPathFactory, make_image_folder: Callable[..., Path], untraced_module: None
) -> Hand:
    """`run_untrained(recipe, best_epoch=1, metadata_first=False)`: run the only stage of a recipe, but not its training.

    With `metadata_first` the head has been trained on metadata alone.
    """
    root = tmp_path_factory.mktemp("stage")
    photos = make_image_folder(root / "photos", {"red": 4, "green": 4})
    manifest = read_dataset(photos, DataSettings(), seed=0, index=FileIndex(root / "cache"))
    spec = BundleSpec("tiny", (32, 32), "squash", LOADER_VERSION, "avg", RECIPE.head, manifest.class_names)
    backbone = resolve_backbone(BACKBONE)
    classifier = assemble_classifier(spec, weights="random", seed=0)

    @contextlib.contextmanager
    def open_nothing(*_: object) -> Iterator[NoData]:
        yield NoData()

    def run(recipe: Recipe, *, best_epoch: int = 1, metadata_first: bool = False) -> Handed:
        found: dict[str, Any] = {}

        def fit(model: Any, data: Any, *, rates: list[float], keeps_start: bool, **_: object) -> Progress:
            options = tf.config.optimizer.get_experimental_options()
            in_bfloat16 = options.get("auto_mixed_precision_onednn_bfloat16", False)
            found.update(model=model, rates=rates, keeps_start=keeps_start, in_bfloat16=in_bfloat16)
            return Progress(epochs_done=1, best_epoch=best_epoch)

        with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stderr(io.StringIO()) as printed:
            patch.setattr("tlkit.training.stage.open_stage_inputs", open_nothing)
            patch.setattr("tlkit.training.stage.fit_stage", fit)
            patch.setattr("tlkit.training.stage.begin_with_metadata", lambda *_: metadata_first)
            outcome = run_stage(
                classifier,
                plan_stages(recipe, backbone, None)[0],
                Run(recipe, backbone, manifest, root, Console(verbosity=-1)),
                state=Path(tempfile.mkdtemp(dir=root)),
                on_epoch=lambda rows: None,
            )
        return Handed(**found, outcome=outcome, printed=printed.getvalue())

    return run


@pytest.fixture(scope="module")
def handed(run_untrained: Hand) -> Handed:
    """The stage of the recipe above."""
    return run_untrained(RECIPE)


def test_the_backbone_moves_more_slowly_than_the_head(handed: Handed) -> None:
    num_of_head = len(handed.model.head.trainable_variables)
    num_of_tail = len(handed.model.trainable_variables) - num_of_head
    assert num_of_tail > 0
    assert handed.rates == pytest.approx([1e-3] * num_of_tail + [1e-2] * num_of_head)


def test_batch_norm_is_trained_as_the_recipe_says(handed: Handed) -> None:
    assert "gamma" in {variable.name for variable in handed.model.tail.trainable_variables}
    assert not handed.model.tail_trains


def test_training_computes_in_the_precision_of_the_recipe(handed: Handed) -> None:
    assert handed.in_bfloat16
    assert not tf.config.optimizer.get_experimental_options().get("auto_mixed_precision_onednn_bfloat16")


def test_the_outcome_counts_the_validation_images_that_were_there(handed: Handed) -> None:
    assert handed.outcome.num_validation == 7


@pytest.mark.parametrize("metadata_first", [False, True])
@pytest.mark.parametrize("best_epoch", [0, 1])
def test_a_head_trained_on_metadata_alone_is_kept_unless_the_image_improves_on_it(
    run_untrained: Hand, metadata_first: bool, best_epoch: int
) -> None:
    recipe = Recipe(backbone=BACKBONE, head=RECIPE.head, stages=(Stage(name="s", epochs=1),))
    handed = run_untrained(recipe, best_epoch=best_epoch, metadata_first=metadata_first)
    assert handed.keeps_start == metadata_first
    ignored = "Warning: The image did not improve validation over metadata alone: the model ignores it.\n"
    assert handed.printed == (ignored if metadata_first and not best_epoch else "")
