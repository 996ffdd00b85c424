"""One stage on its own: what it moves, what it keeps, when it stops."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from tlkit.backbones.build import Backbone, build_backbone
from tlkit.errors import NumericsError
from tlkit.heads import build_head
from tlkit.outputs import CLASSIFICATION, SEGMENTATION
from tlkit.recipes import Recipe, ResolvedStage, Stage, TrainingSettings, resolve_stages
from tlkit.tasks import Outputs
from tlkit.training.batches import Batches, EpochPlan, HeldInputs, Inputs, ReadInputs
from tlkit.training.checkpoint import Checkpoint, Progress, snapshot
from tlkit.training.loop import StageCallbacks, StageData, fit_stage, is_better, list_averaged_epochs
from tlkit.training.mixing import Mixing
from tlkit.training.targets import FixedTargets
from tlkit.training.unfreezing import build_stage_model, compute_stage_rates

pytestmark = pytest.mark.usefixtures("untraced")

NUM_IMAGES = 12
TWO_CLASSES = Outputs(CLASSIFICATION, 2)
BATCH_NORM = {"gamma", "beta", "moving_mean", "moving_variance"}


@pytest.fixture(autouse=True)
def save_early(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the state be saved as if the epochs of a test took long."""
    monkeypatch.setattr("tlkit.training.call_sizes.SECONDS_WORTH_SAVING", 0.0)


def build() -> Backbone:
    """Return the tiny network from random weights, at 32 pixels."""
    return build_backbone("tiny", image_size=(32, 32), pooling="avg", weights="random")


@pytest.fixture(scope="module")
def trained() -> Backbone:
    """The network that is trained again and again."""
    return build()


@pytest.fixture
def backbone(trained: Backbone) -> Iterator[Backbone]:
    """A network to be trained, whose weights come back afterwards."""
    before = copy_weights(trained)
    yield trained
    for name, weight in trained.named_weights().items():
        weight.assign(before[name])


@pytest.fixture(scope="module")
def frozen() -> Backbone:
    """A network below heads that are trained alone."""
    return build()


def make_data(shape: tuple[int, ...], stage: Stage, *, opposed: bool, batches_at_once: int = 0) -> StageData:
    """Return inputs of which the brighter half is class 1, the same for training and validation.

    With `opposed` the validation labels are the wrong way round: whatever is learnt makes validation worse. With
    `batches_at_once` inputs are read so many batches at a time, not held in memory.
    """
    labels = np.arange(NUM_IMAGES, dtype=np.int32) % 2
    noise = np.random.default_rng(0).uniform(0, 40, size=(NUM_IMAGES, *shape))
    inputs = (noise + 150 * labels.reshape(-1, *(1 for _ in shape))).astype(np.float32)
    plan = EpochPlan(NUM_IMAGES, batch_size=6, num_views=1, seed=0, mixing=Mixing(stage.mixup, stage.cutmix))
    metadata = np.zeros((NUM_IMAGES, 0), np.float32)
    ones = np.ones(NUM_IMAGES, np.float32)
    source: Inputs = HeldInputs(keras.ops.convert_to_tensor(inputs), 1)
    if batches_at_once:
        source = ReadInputs(lambda images, views: inputs[images], batches_at_once)
    train = Batches(plan, source, FixedTargets(labels), metadata, ones)
    in_order = dataclasses.replace(plan, seed=None)
    validation = dataclasses.replace(train, plan=in_order, read_targets=FixedTargets(1 - labels if opposed else labels))
    return StageData(train=train, validation=validation, outputs=TWO_CLASSES)


def fit(
    backbone: Backbone,
    stage: Stage,
    folder: Path,
    *,
    boundary: str,
    training: TrainingSettings | None = None,
    keeps_start: bool = False,
    opposed: bool = False,
    rows: list[dict[str, Any]] | None = None,
    dropout: float = 0.0,
    batches_at_once: int = 0,
) -> Progress:
    """Train a new linear head, and what is above the boundary, on made-up inputs."""
    recipe = Recipe(training=training or TrainingSettings(), stages=(stage,))
    (resolved,) = resolve_stages(recipe)
    keras.utils.set_random_seed(0)
    head = build_head(
        "linear", feature_shape=backbone.feature_shape("top"), outputs=TWO_CLASSES, dropout=dropout, units=1
    )
    model = build_stage_model(backbone, head, boundary=boundary, bn=recipe.bn)
    rates, _ = compute_stage_rates(model, backbone, resolved, boundary=boundary)
    seen: list[dict[str, Any]] = [] if rows is None else rows
    return fit_stage(
        model,
        make_data(backbone.feature_shape(boundary), stage, opposed=opposed, batches_at_once=batches_at_once),
        rates=rates,
        stage=resolved,
        training=recipe.training,
        keeps_start=keeps_start,
        callbacks=StageCallbacks(
            lambda history: seen.append(history[-1]),
            lambda description, total: contextlib.nullcontext(lambda count: None),
            Checkpoint(folder / "state.safetensors", print),
        ),
    )


def find_moved(backbone: Backbone, before: dict[str, Any]) -> set[str]:
    """Return the names of weights that differ from `before`."""
    return {
        name for name, weight in backbone.named_weights().items() if not np.array_equal(before[name], weight.numpy())
    }


def copy_weights(backbone: Backbone) -> dict[str, Any]:
    """Return a copy of all weights by name."""
    return {name: np.array(weight.numpy()) for name, weight in backbone.named_weights().items()}


def find_moved_groups(backbone: Backbone, moved: set[str]) -> set[str]:
    """Return the layer groups of some weights."""
    weights = backbone.named_weights()
    return {backbone.group_of(weights[name]) for name in moved}


@pytest.mark.parametrize(("boundary", "unfreeze"), [("block2", "block3"), ("block3", "block4"), ("top", "none")])
def test_every_group_above_the_boundary_moves_and_none_below(
    boundary: str, unfreeze: str, backbone: Backbone, tmp_path: Path
) -> None:
    before = copy_weights(backbone)
    stage = Stage(name="s", unfreeze=unfreeze, epochs=1, lr=0.01)
    progress = fit(backbone, stage, tmp_path, boundary=boundary)
    assert progress.best_epoch == 1
    groups = [group.name for group in backbone.groups]
    above = groups[backbone.entry.boundaries.index(boundary) :] if boundary != "top" else []
    assert find_moved_groups(backbone, find_moved(backbone, before)) == set(above)


@pytest.mark.parametrize(
    ("mode", "moving", "boundary", "unfreeze"),
    [
        ("frozen", set(), "pixels", "all"),
        ("affine", {"gamma", "beta"}, "pixels", "all"),
        ("train", BATCH_NORM, "block2", "block3"),
    ],
)
def test_batch_norm_moves_as_it_is_told(
    mode: str,
    moving: set[str],
    boundary: str,
    unfreeze: str,
    backbone: Backbone,
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> None:
    if mode == "train":  # compiled: half a network, since all of it takes seconds
        request.getfixturevalue("traced")
    before = copy_weights(backbone)
    stage = Stage(name="s", unfreeze=unfreeze, epochs=1, lr=0.01)
    progress = fit(backbone, stage, tmp_path, boundary=boundary, training=TrainingSettings(bn=mode))
    assert progress.best_epoch == 1
    moved = find_moved(backbone, before)
    groups = [group.name for group in backbone.groups]
    assert find_moved_groups(backbone, moved) == set(groups[backbone.entry.boundaries.index(boundary) :])
    kinds = {name.rsplit("/", 1)[1] for name in moved}
    assert kinds & BATCH_NORM == moving
    assert "kernel" in kinds


def test_a_fresh_head_keeps_its_best_epoch_even_if_it_began_better(frozen: Backbone, tmp_path: Path) -> None:
    progress = fit(frozen, Stage(name="s", epochs=2, lr=0.1), tmp_path, boundary="top", opposed=True)
    assert progress.best_epoch in (1, 2)
    assert progress.best["loss"] == min(row["validation_loss"] for row in progress.rows)
    assert progress.best["accuracy"] < progress.start["accuracy"]


@pytest.mark.parametrize("mode", ["frozen", "train"])
def test_a_model_that_was_of_use_is_given_back_if_nothing_becomes_better(
    mode: str, backbone: Backbone, tmp_path: Path
) -> None:
    before = copy_weights(backbone)
    stage = Stage(name="s", unfreeze="block4", epochs=2, lr=0.01)
    training = TrainingSettings(bn=mode)
    progress = fit(backbone, stage, tmp_path, boundary="block3", training=training, keeps_start=True, opposed=True)
    assert progress.best_epoch == 0
    assert progress.best == progress.start
    assert find_moved(backbone, before) == set()


def test_training_stops_when_validation_has_not_improved_for_so_long(frozen: Backbone, tmp_path: Path) -> None:
    stage = Stage(name="s", epochs=50, lr=0.1, schedule="constant", patience=3)
    progress = fit(frozen, stage, tmp_path, boundary="top", keeps_start=True, opposed=True)
    assert progress.rows[0]["validation_loss"] == min(row["validation_loss"] for row in progress.rows)
    assert progress.epochs_done == 1 + 3


def test_history_rows_tell_rates_losses_and_accuracies(frozen: Backbone, tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = []
    progress = fit(frozen, Stage(name="s", epochs=3, lr=0.1, patience=0), tmp_path, boundary="top", rows=rows)
    assert rows == progress.rows
    assert [row["stage_epoch"] for row in rows] == [1, 2, 3]
    assert rows[0]["learning_rate"] > rows[1]["learning_rate"] > rows[2]["learning_rate"] > 0
    assert progress.start["loss"] == pytest.approx(np.log(2), abs=1e-6)
    assert rows[-1]["validation_accuracy"] == 1.0
    assert rows[-1]["train_loss"] < 0.3


@pytest.mark.usefixtures("traced")
@pytest.mark.parametrize("mixup", [0.0, 0.4])
def test_a_stage_is_bitwise_the_same_however_its_inputs_and_steps_are_portioned(
    mixup: float, frozen: Backbone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    histories = []
    for name, batches_at_once, seconds_of_a_call in (("held", 0, 1e9), ("windows", 2, 1e9), ("single", 1, 0.0)):
        monkeypatch.setattr("tlkit.training.call_sizes.SECONDS_OF_A_CALL", seconds_of_a_call)
        (tmp_path / name).mkdir()
        stage = Stage(name="s", epochs=4, lr=0.01, patience=0, mixup=mixup)
        progress = fit(frozen, stage, tmp_path / name, boundary="top", dropout=0.5, batches_at_once=batches_at_once)
        histories.append([{key: value for key, value in row.items() if key != "seconds"} for row in progress.rows])
    assert histories[0] == histories[1] == histories[2]
    assert len({row["train_loss"] for row in histories[0]}) == 4


@pytest.mark.usefixtures("traced")
def test_label_smoothing_raises_the_training_loss_and_not_the_validation_loss(frozen: Backbone, tmp_path: Path) -> None:
    losses = []
    for smoothing in (0.0, 0.2):
        folder = tmp_path / str(smoothing)
        folder.mkdir()
        training = TrainingSettings(label_smoothing=smoothing)
        progress = fit(
            frozen, Stage(name="s", epochs=20, lr=0.1, patience=0), folder, boundary="top", training=training
        )
        losses.append((progress.rows[-1]["train_loss"], progress.rows[-1]["validation_loss"]))
    floor = -(0.9 * np.log(0.9) + 0.1 * np.log(0.1))
    assert losses[0][0] < 0.1
    assert losses[1][0] > floor - 0.01
    assert losses[1][1] < losses[1][0]


@pytest.mark.parametrize(("mixup", "focal"), [(1.0, 0.0), (0.0, 2.0)])
def test_mixing_and_focal_loss_change_what_is_trained_on_and_not_how_validation_is_measured(
    mixup: float, focal: float, frozen: Backbone, tmp_path: Path
) -> None:
    """At next to no rate the model still says of both classes the same, and a focal loss is a quarter of the plain."""
    stage = Stage(name="s", epochs=1, lr=1e-9, mixup=mixup)
    progress = fit(frozen, stage, tmp_path, boundary="top", training=TrainingSettings(focal=focal))
    assert progress.rows[0]["validation_loss"] == pytest.approx(np.log(2), rel=1e-4)
    assert progress.rows[0]["train_loss"] == pytest.approx(np.log(2) * (0.25 if focal else 1), rel=1e-4)


def test_weight_decay_keeps_the_weights_small(frozen: Backbone, tmp_path: Path) -> None:
    """A decay of 10 at a rate of 0.1 removes a weight whole before each step, so that only the last step counts."""
    losses = []
    for decay in (0.0, 10.0):
        folder = tmp_path / str(decay)
        folder.mkdir()
        stage = Stage(name="s", epochs=4, lr=0.1, schedule="constant", patience=0)
        progress = fit(frozen, stage, folder, boundary="top", training=TrainingSettings(weight_decay=decay))
        losses.append(progress.rows[-1]["validation_loss"])
    assert losses[1] > 2 * losses[0]


@pytest.mark.usefixtures("traced")
def test_mixtures_keep_the_training_loss_from_vanishing(frozen: Backbone, tmp_path: Path) -> None:
    losses = []
    for mixup in (0.0, 1.0):
        folder = tmp_path / str(mixup)
        folder.mkdir()
        stage = Stage(name="s", epochs=20, lr=0.1, patience=0, mixup=mixup)
        progress = fit(frozen, stage, folder, boundary="top")
        losses.append((progress.rows[-1]["train_loss"], progress.best["accuracy"]))
    assert losses[0][0] < 0.1
    assert losses[1][0] > 0.15
    assert losses[1][1] == 1.0


def test_a_loss_that_is_no_number_is_an_error_that_names_the_rate(frozen: Backbone, tmp_path: Path) -> None:
    with pytest.raises(NumericsError) as problem:
        fit(frozen, Stage(name="s", epochs=5, lr=1e38, schedule="constant", patience=0), tmp_path, boundary="top")
    assert str(problem.value).endswith(
        "of stage s.\n  Expected: a finite loss\n"
        "  Fix: use a smaller --lr, or a larger --lr-ratio if lower groups are unfrozen."
    )


@pytest.mark.parametrize("mode", ["frozen", "train"])
def test_the_table_of_rates_counts_every_parameter_once(mode: str, frozen: Backbone) -> None:
    head = build_head("linear", feature_shape=frozen.feature_shape("top"), outputs=TWO_CLASSES, dropout=0.0, units=1)
    model = build_stage_model(frozen, head, boundary="block3", bn=mode)
    stage = ResolvedStage(name="s", unfreeze="block4", lr=1e-3, lr_ratio=10.0)
    rates, table = compute_stage_rates(model, frozen, stage, boundary="block3")
    assert [line.group for line in table] == [*(group.name for group in frozen.groups), "head"]
    assert sum(line.num_parameters for line in table) == frozen.model.count_params() + head.count_params()
    by_group = {line.group: line for line in table}
    assert by_group["block3"].num_trainable == 0
    assert by_group["block4"].rate == pytest.approx(1e-4)
    assert len(rates) == len(model.trainable_variables)
    num_of_head = len(head.trainable_variables)
    assert rates == pytest.approx([1e-4] * (len(rates) - num_of_head) + [1e-3] * num_of_head)
    assert sum(line.num_trainable for line in table) == sum(int(np.prod(v.shape)) for v in model.trainable_variables)


@pytest.mark.parametrize(
    ("rows", "best", "decided_by"),
    [
        ([(54, 0.6), (36, 0.5)], 2, "score"),
        ([(31, 0.9), (31, 0.8)], 0, "loss"),
        ([(31, 0.71), (31, 0.69)], 2, "loss"),
        ([(29, 0.69)], 1, "loss"),
        ([(15, 0.1)], 0, "score"),
        ([(54, 0.9)], 1, "score"),
        ([(30, 0.71), (54, 0.72)], 0, "loss"),
    ],
    ids=[
        "the lowest loss, not the luckiest accuracy",
        "one more of 60 right at a higher loss is no gain",
        "one more of 60 right at a lower loss is a gain",
        "one fewer of 60 right at a lower loss is a gain",
        "half of them lost is no gain whatever the loss",
        "many more right is a gain whatever the loss",
        "the epoch is chosen by loss before it is held against the start",
    ],
)
def test_the_epoch_is_chosen_by_loss_and_kept_beyond_chance_or_at_a_lower_loss(
    rows: list[tuple[int, float]],
    best: int,
    decided_by: str,
    frozen: Backbone,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    scores = iter([(30, 0.7), *rows])

    def evaluate(steps: Any, batches: Any, outputs: Outputs) -> tuple[dict[str, float], np.ndarray]:
        num_right, loss = next(scores)
        return {"loss": loss, "accuracy": num_right / 60}, (np.arange(60) < num_right).astype(np.float32)

    monkeypatch.setattr("tlkit.training.loop._evaluate", evaluate)
    stage = Stage(name="s", epochs=len(rows), lr=0.01, patience=0)
    progress = fit(frozen, stage, tmp_path, boundary="top", keeps_start=True)
    num_right, loss = min(rows, key=lambda row: row[1])
    assert (progress.best_epoch, progress.decided_by) == (best, decided_by)
    assert progress.trained == {"loss": loss, "accuracy": num_right / 60}


def test_masks_are_better_by_their_score_and_all_else_by_the_loss() -> None:
    masks = Outputs(SEGMENTATION, 3, map_sizes=((4, 4), (2, 2)))
    sure, better = {"loss": 1.0, "miou": 0.4, "accuracy": 0.4}, {"loss": 1.3, "miou": 0.5, "accuracy": 0.5}
    assert [is_better(better, sure, masks), is_better(sure, better, masks), is_better(sure, {}, masks)] == [
        True,
        False,
        True,
    ]
    assert [is_better(better, sure, TWO_CLASSES), is_better(sure, better, TWO_CLASSES)] == [False, True]
    for outputs in (masks, TWO_CLASSES):
        assert not is_better({**better, "loss": np.nan}, {}, outputs)


def test_a_clear_gain_is_kept_by_the_images_that_became_right(frozen: Backbone, tmp_path: Path) -> None:
    """A new head calls all 12 images class 0; then the 6 of class 1 are right too, by chance once in 32."""
    stage = Stage(name="s", epochs=3, lr=0.1, patience=0)
    progress = fit(frozen, stage, tmp_path, boundary="top", keeps_start=True)
    assert (progress.start["accuracy"], progress.best["accuracy"]) == (0.5, 1.0)
    assert progress.decided_by == "score"
    assert progress.p_value == pytest.approx(1 / 32, abs=0.015)


class Killed(Exception):  # noqa: N818 - what a killed process leaves behind
    """Raised in the middle of a stage."""


@pytest.mark.parametrize(
    ("settings", "averaged"),
    [
        ({"epochs": 5, "average": 2}, [4, 5]),
        ({"epochs": 7, "average": 2, "schedule": "restarts", "cycle_mult": 2}, [3, 7]),
        ({"epochs": 3}, []),
    ],
)
def test_the_last_epochs_or_the_ends_of_the_last_cycles_are_averaged(
    settings: dict[str, Any], averaged: list[int]
) -> None:
    assert list_averaged_epochs(ResolvedStage(**settings)) == averaged


def test_the_mean_of_weights_is_taken_where_validation_says_so(
    frozen: Backbone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A rate so high that the weights jump to and fro: between them is better."""
    seen: list[np.ndarray] = []

    def watch(prefix: str, variables: Any) -> Any:
        if prefix == "average":
            seen.append(np.array(variables[0].numpy()))
        return snapshot(prefix, variables)

    monkeypatch.setattr("tlkit.training.loop.snapshot", watch)
    stage = Stage(name="s", epochs=6, lr=30.0, schedule="constant", average=4, patience=0)
    progress = fit(frozen, stage, tmp_path, boundary="top")
    assert len(seen) == progress.num_averaged == 4
    losses = [row["validation_loss"] for row in progress.rows]
    assert progress.average_is_kept == (progress.average["loss"] < min(losses))
    assert progress.best["loss"] == min(progress.average["loss"], *losses)


def test_a_killed_stage_goes_on_with_the_masks_that_it_would_have_had(frozen: Backbone, tmp_path: Path) -> None:
    stage = Stage(name="s", epochs=3, lr=0.05, patience=0)
    (tmp_path / "whole").mkdir()
    whole = fit(frozen, stage, tmp_path / "whole", boundary="top", dropout=0.5)

    class KillAtTwo(list[dict[str, Any]]):
        def append(self, row: dict[str, Any]) -> None:
            if row["stage_epoch"] == 2:
                raise Killed

    with pytest.raises(Killed):
        fit(frozen, stage, tmp_path, boundary="top", dropout=0.5, rows=KillAtTwo())
    again = fit(frozen, stage, tmp_path, boundary="top", dropout=0.5)
    losses = [[row["train_loss"] for row in progress.rows] for progress in (whole, again)]
    assert losses[0] == losses[1]


def test_a_stage_that_was_killed_while_it_averaged_ends_the_same(frozen: Backbone, tmp_path: Path) -> None:
    stage = Stage(name="s", epochs=4, lr=0.05, schedule="constant", average=3, patience=0)
    (tmp_path / "whole").mkdir()
    (tmp_path / "killed").mkdir()
    whole = fit(frozen, stage, tmp_path / "whole", boundary="top", keeps_start=True)

    class KillAtThree(list[dict[str, Any]]):
        def append(self, row: dict[str, Any]) -> None:
            if row["stage_epoch"] == 3:
                raise Killed

    with pytest.raises(Killed):
        fit(frozen, stage, tmp_path / "killed", boundary="top", rows=KillAtThree(), keeps_start=True)
    again = fit(frozen, stage, tmp_path / "killed", boundary="top", keeps_start=True)
    assert (again.average, again.num_averaged) == (whole.average, whole.num_averaged)
    assert (again.trained, again.decided_by, again.p_value) == (whole.trained, "score", whole.p_value)
