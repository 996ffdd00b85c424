"""What a run does where its recipe leaves a setting open."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from tlkit.backbones.catalogue import INT8, BackboneEntry, find_backbone
from tlkit.devices import AllDevices, as_word, choose_devices
from tlkit.errors import SettingError
from tlkit.outputs import CLASSIFICATION
from tlkit.recipes.fields import HIGHEST, AllImages, RateSearch
from tlkit.recipes.optimizers import ADAMW, RATE_FACTORS
from tlkit.recipes.origin import MadeBy
from tlkit.recipes.settings import OPEN_PRECISIONS, BackboneSettings, Recipe, Stage
from tlkit.recipes.task_defaults import StageDefaults, find_task_defaults

DEFAULT_CYCLES = 3


def list_cycle_ends(stage: Stage, epochs: int) -> list[int]:
    """Return the epoch after which each cycle ends, rising, up to `epochs`; the last may end beyond them.

    The first cycle takes `cycle_len` epochs, each further one `cycle_mult` times as many as the one before (SGDR:
    Loshchilov and Hutter 2017, arXiv:1608.03983).
    """
    ends, length = [stage.cycle_len], stage.cycle_len
    while ends[-1] < epochs:
        length *= stage.cycle_mult
        ends.append(ends[-1] + length)
    return ends


def count_epochs(cycle_len: int, cycle_mult: int, num_cycles: int = DEFAULT_CYCLES) -> int:
    """Return how many epochs some whole cycles take."""
    return sum(cycle_len * cycle_mult**number for number in range(num_cycles))


@dataclass(frozen=True)
class ResolvedBackbone:
    """A backbone as a run uses it: `BackboneSettings` with every default filled in.

    Attributes:
        entry: Its entry in the catalogue.
        weights: imagenet, bundled, random, or the path of a file.
        image_size: (height, width) of the input, in pixels.
        fit: How an image is resized to that size.
        feature_dtype: Number format of the cached features.
        engine: Engine of the frozen part; auto for the faster one.
        precision: Its arithmetic; auto: bfloat16 where the hardware has it; int8 with OpenVINO.
        devices: How many GPUs Keras computes on, for the frozen part and in training steps.
    """

    entry: BackboneEntry
    weights: str
    image_size: tuple[int, int]
    fit: str
    feature_dtype: str
    engine: str
    precision: str
    devices: int | AllDevices = 1

    @property
    def training_precision(self) -> str:
        """Arithmetic of training steps: see `tlkit.runtime.graph_precision`."""
        return "auto" if self.precision in OPEN_PRECISIONS else self.precision

    def at(self, boundary: str, made_by: MadeBy) -> ResolvedBackbone:
        """Return the backbone with `auto` replaced by the engine and precision that the recorded run used at a boundary."""
        engine, precision = made_by.read_engines().get(boundary, (self.engine, self.precision))
        if self.engine not in ("auto", engine) or self.precision not in ("auto", precision):
            return self
        return dataclasses.replace(self, engine=engine, precision=precision)


def resolve_backbone(settings: BackboneSettings) -> ResolvedBackbone:
    """Look up a backbone in the catalogue and fill in its defaults.

    Raises:
        BackboneError: The backbone does not exist, or the images are too small for it.
        SettingError: The engine cannot compute in the precision, or on several devices; or there are not as many.
    """
    entry = find_backbone(settings.name)
    if settings.precision == INT8 and settings.engine == "keras":
        raise SettingError(
            "--precision int8 does not go with --engine keras.",
            expected="OpenVINO, which computes in int8",
            fix="leave out --engine, or use another --precision.",
        )
    _check_devices(settings)
    return ResolvedBackbone(
        entry,
        settings.weights or entry.default_weights,
        entry.choose_image_size(settings.image_size),
        settings.fit,
        settings.feature_dtype,
        settings.engine,
        settings.precision,
        settings.devices,
    )


def _check_devices(settings: BackboneSettings) -> None:
    """Raise SettingError if there are not as many devices, or the frozen layers would not use them."""
    if settings.devices == 1:
        return
    for option, value, fix in (
        ("engine", settings.engine, "use --engine keras"),
        ("precision", settings.precision, "use another --precision"),
    ):
        if value in ("openvino", INT8):
            raise SettingError(
                f"--devices {as_word(settings.devices)} does not go with --{option} {value}: OpenVINO uses all cores of the "
                "processor as one device.",
                expected="several devices only with Keras, which computes on GPUs",
                fix=f"leave out --devices, or {fix}.",
            )
    choose_devices(settings.devices)


class ResolvedStage(Stage):
    """A stage whose open settings are filled in: the fields of `Stage`, of which these are no longer None."""

    name: str
    epochs: int
    batch_size: int | AllImages
    lr: float | RateSearch
    lr_ratio: float
    patience: int

    @property
    def images_per_step(self) -> int:
        """Largest number of images in a batch."""
        return HIGHEST if isinstance(self.batch_size, AllImages) else self.batch_size

    @property
    def head_rate(self) -> float:
        """The head's learning rate.

        Raises:
            ValueError: The rate has not been searched for yet.
        """
        if isinstance(self.lr, RateSearch):
            raise ValueError(f"the learning rate of stage {self.name} has yet to be found")
        return self.lr


def resolve_stage(
    stage: Stage, *, number: int, from_scratch: bool, task: str = CLASSIFICATION, optimizer: str = ADAMW
) -> ResolvedStage:
    """Return the stage with its open defaults filled in.

    Args:
        stage: As given.
        number: Its place in the run, from 1.
        from_scratch: Whether it trains a backbone that begins with random weights.
        task: What is predicted, one of `tlkit.outputs.TASKS`.
        optimizer: What it is trained with, one of `tlkit.recipes.optimizers.OPTIMIZERS`.
    """
    defaults = _choose_defaults(stage, from_scratch=from_scratch, task=task)
    filled: dict[str, Any] = {
        "name": f"{number}-{defaults.name.format(stage.unfreeze)}",
        "epochs": _default_epochs(stage, defaults),
        "batch_size": defaults.batch_size,
        "lr": _scale_rate(defaults, optimizer),
        "lr_ratio": defaults.lr_ratio,
        "patience": defaults.patience,
    }
    given = {item.name: getattr(stage, item.name) for item in dataclasses.fields(stage)}
    return ResolvedStage(**{**given, **{name: value for name, value in filled.items() if given[name] is None}})


def find_usual_rate(stage: Stage, recipe: Recipe) -> float:
    """Return the learning rate of a stage of a recipe that says nothing of it."""
    defaults = _choose_defaults(stage, from_scratch=recipe.is_from_scratch, task=recipe.data.task)
    return _scale_rate(defaults, recipe.training.optimizer)


def _scale_rate(defaults: StageDefaults, optimizer: str) -> float:
    """Return the usual rate with an optimizer, to three digits."""
    return float(f"{defaults.lr * RATE_FACTORS[optimizer]:.3g}")


def _choose_defaults(stage: Stage, *, from_scratch: bool, task: str) -> StageDefaults:
    defaults = find_task_defaults(task)
    if stage.unfreeze == "none":
        return defaults.head
    return defaults.scratch if from_scratch else defaults.unfrozen


def _default_epochs(stage: Stage, defaults: StageDefaults) -> int:
    """Return the usual epochs; with restarts as many as three whole cycles have."""
    if stage.schedule != "restarts":
        return defaults.epochs
    return count_epochs(stage.cycle_len, stage.cycle_mult)


def resolve_recipe(recipe: Recipe) -> Recipe:
    """Return the recipe with every open default filled in; its stages are of `ResolvedStage`."""
    training = dataclasses.replace(recipe.training, bn=recipe.bn)
    return dataclasses.replace(recipe, training=training, stages=resolve_stages(recipe))


def resolve_stages(recipe: Recipe) -> tuple[ResolvedStage, ...]:
    """Return the stages of a recipe, each with its open defaults filled in."""
    return tuple(
        resolve_stage(
            stage,
            number=number,
            from_scratch=recipe.is_from_scratch,
            task=recipe.data.task,
            optimizer=recipe.training.optimizer,
        )
        for number, stage in enumerate(recipe.stages, start=1)
    )


def expand_gradual(recipe: Recipe, groups: Sequence[str]) -> Recipe:
    """Return the recipe with a stage for each layer group in the place of every gradual stage.

    The highest group comes first, the one that `unfreeze` names last (Howard and Ruder 2018, arXiv:1801.06146). Each
    stage has the settings of the one that it comes from; where everything is unfrozen no views are cached, so they are
    left out there.

    Args:
        recipe: As given or read, checked.
        groups: The backbone's layer groups, from the pixels upwards. A name that is none of them is left for the check
            of names to refuse.
    """
    stages = [each for stage in recipe.stages for each in (_list_steps(stage, groups) if stage.gradual else (stage,))]
    return dataclasses.replace(recipe, stages=tuple(stages))


def _list_steps(stage: Stage, groups: Sequence[str]) -> Iterator[Stage]:
    """Yield the stages that a gradual one stands for, which all trained groups but the highest join one by one."""
    if stage.unfreeze not in (*groups, "all"):
        yield dataclasses.replace(stage, gradual=False)
        return
    lowest = 0 if stage.unfreeze == "all" else groups.index(stage.unfreeze)
    for height in reversed(range(lowest, len(groups))):
        unfreeze = stage.unfreeze if height == lowest else groups[height]
        trained_later = groups[lowest:height]
        yield dataclasses.replace(
            stage,
            name=f"{stage.name}-{unfreeze}" if stage.name else None,
            unfreeze=unfreeze,
            gradual=False,
            views=1 if unfreeze == "all" else stage.views,
            group_lr={group: rate for group, rate in stage.group_lr.items() if group not in trained_later},
        )
