"""Plan the stages of a run with their boundaries, and check them before any heavy import."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tlkit.backbones.catalogue import HEAD_GROUP, PIXELS, TOP, BackboneEntry
from tlkit.backbones.weights import check_weights
from tlkit.errors import SettingError, name_fix
from tlkit.heads import join_kinds
from tlkit.metadata.columns import parse_metadata
from tlkit.models.spec import BundleSpec
from tlkit.recipes import (
    DataSettings,
    HeadSettings,
    Recipe,
    ResolvedBackbone,
    ResolvedStage,
    has_single_box,
    resolve_stages,
)
from tlkit.reports.console import Console

if TYPE_CHECKING:
    from tlkit.models.classifier import Classifier


@dataclass(frozen=True)
class StagePlan:
    """A stage and its place in the run.

    Attributes:
        stage: Resolved settings.
        boundary: Where the backbone is cut.
        number: Its place in the run, from 1.
        keeps_start: Whether the model was usable before it.
    """

    stage: ResolvedStage
    boundary: str
    number: int
    keeps_start: bool


def plan_stages(recipe: Recipe, backbone: ResolvedBackbone, earlier: BundleSpec | None) -> list[StagePlan]:
    """Find each stage's boundary and check the names of groups and weights.

    Args:
        recipe: The settings.
        backbone: Its backbone.
        earlier: The model to train further, if any.

    Raises:
        BackboneError: If a layer group or the weights do not exist.
        SettingError: If a setting has no effect.
    """
    entry = backbone.entry
    if not earlier:
        check_weights(entry, backbone.weights)
    if recipe.bn != "frozen" and all(stage.unfreeze == "none" for stage in recipe.stages):
        raise SettingError(
            f"bn = {recipe.bn!r} has no effect: only the head is trained.",
            expected="only settings that this run uses",
            fix="remove it, or set unfreeze.",
        )
    stages = resolve_stages(recipe)
    for stage in stages:
        _check_image_size(stage, backbone, recipe.head)
        _check_cutmix(stage, entry)
        _check_group_rates(stage, entry)
    return [
        StagePlan(stage, entry.boundary_below(stage.unfreeze), number, keeps_start=number > 1 or earlier is not None)
        for number, stage in enumerate(stages, start=1)
    ]


def _check_image_size(stage: ResolvedStage, backbone: ResolvedBackbone, head: HeadSettings) -> None:
    """Refuse a stage's image size that the backbone or head does not support."""
    if stage.resize_to is None:
        return
    if backbone.entry.choose_image_size(stage.resize_to) != backbone.image_size and not head.record.takes_any_size:
        raise SettingError(
            f"Stage {stage.name}: resize_to = {stage.resize_to}, but the {head.kind} head is made for one size.",
            expected=f"a head that pools, {join_kinds('takes_any_size')}, where stages differ in image size",
            fix="set the head's kind, or remove resize_to from the stage.",
        )


def _check_cutmix(stage: ResolvedStage, entry: BackboneEntry) -> None:
    """Refuse CutMix on cached features: they are not pixels, and each depends on more than its own position."""
    if stage.cutmix and entry.boundary_below(stage.unfreeze) != PIXELS:
        raise SettingError(
            f"Stage {stage.name}: cutmix = {stage.cutmix:g} with unfreeze = {stage.unfreeze!r}: this stage trains on "
            "cached features, not on pictures.",
            expected="cutmix only where everything is unfrozen",
            fix="set unfreeze to all, or use mixup, which mixes features as well.",
        )


def _check_group_rates(stage: ResolvedStage, entry: BackboneEntry) -> None:
    """Refuse a rate for a layer group that the stage does not train."""
    trained = (*entry.groups_above(entry.boundary_below(stage.unfreeze)), HEAD_GROUP)
    for group in stage.group_lr:
        if group not in trained:
            raise SettingError(
                f"Stage {stage.name}: group_lr names {group!r}, which is not trained in this stage.",
                expected=f"one of the trained groups: {', '.join(trained)}",
                fix=name_fix(group, trained),
            )


def check_same_model(recipe: Recipe, spec: BundleSpec) -> None:
    """Check that a recipe fits the model to train further; called before all other checks.

    Raises:
        SettingError: If it contradicts the model.
    """
    if has_single_box(recipe.data) != spec.has_box:
        raise SettingError(
            f"The run to start from has {'' if spec.has_box else 'not '}learnt boxes.",
            expected="settings that match the model to continue from",
            fix="add --boxes with the annotations."
            if spec.has_box
            else "leave out --boxes, or begin without --start-from.",
        )
    for what, asked, learnt in _compare_model(recipe, spec):
        if asked != learnt:
            raise SettingError(
                f"{what} is {asked}, but the run to start from has {learnt}.",
                expected="settings that match the model to continue from",
                fix=f"leave {what} out, or begin without --start-from.",
            )


def _compare_model(recipe: Recipe, spec: BundleSpec) -> Iterator[tuple[str, object, object]]:
    """Yield each setting of outputs and layers: name, requested value, and the model's value."""
    yield from _compare_answers(recipe.data, spec)
    backbone = recipe.backbone
    yield "backbone", backbone.name, spec.backbone
    yield "image_size", backbone.image_size or spec.image_size[0], spec.image_size[0]
    yield "fit", backbone.fit, spec.fit
    for item in dataclasses.fields(HeadSettings):
        name = "head" if item.name == "kind" else item.name
        yield name, getattr(recipe.head, item.name), getattr(spec.head, item.name)


def _compare_answers(data: DataSettings, spec: BundleSpec) -> Iterator[tuple[str, str, str]]:
    """Yield each setting of outputs and metadata: name, requested value, and the model's value."""
    target, scale = (spec.target.name, spec.target.is_log) if spec.target else ("", False)
    yield "task", data.task, spec.task
    yield "target", data.target or "none", target or "none"
    yield "target_scale", data.target_scale, "log" if scale else "linear"
    requests = parse_metadata(data.metadata)
    kinds = {column.name: column.kind for column in spec.metadata.requests}
    otherwise = {each.name for each in requests if each.kind and kinds.get(each.name, each.kind) != each.kind}
    asked = [f"{each.name}:{each.kind}" if each.name in otherwise else each.name for each in requests]
    learnt = [f"{name}:{kind}" if name in otherwise else name for name, kind in kinds.items()]
    yield "metadata", ", ".join(asked) or "none", ", ".join(learnt) or "none"


def check_batch_norm(classifier: Classifier, plans: Sequence[StagePlan], recipe: Recipe, console: Console) -> None:
    """Refuse `bn` for a backbone without batch norm; warn if statistics would come from small batches."""
    import keras

    if recipe.bn == "frozen":
        return
    layers = classifier.backbone.model.layers
    if not any(isinstance(layer, keras.layers.BatchNormalization) for layer in layers):
        if recipe.bn == recipe.default_bn:
            return
        raise SettingError(
            f"bn = {recipe.bn!r} has no effect: {classifier.spec.backbone} has no batch norm.",
            expected="only settings that this run uses",
            fix="leave bn out.",
        )
    smallest = min(plan.stage.images_per_step for plan in plans if plan.boundary != TOP)
    if recipe.bn == "train" and smallest < 32:
        console.warn(
            f"bn = train with batches of {smallest}: statistics of so few images are noisy and often "
            "undo what the backbone has learnt."
        )
