"""Set up what a stage trains: the layers above the boundary and their batch norm."""

from __future__ import annotations

import dataclasses

import keras

from tlkit.backbones.build import Backbone
from tlkit.backbones.catalogue import HEAD_GROUP
from tlkit.backbones.fused import make_lean
from tlkit.devices import FLOAT32, choose_devices, choose_training_dtype
from tlkit.models.classifier import Classifier
from tlkit.recipes import ResolvedStage
from tlkit.training.layer_groups import GroupRate, compute_group_rates
from tlkit.training.replicas import ONE_DEVICE, Replicas
from tlkit.training.run import Run
from tlkit.training.stage_plan import StagePlan
from tlkit.training.steps import StageModel


def build_run_model(classifier: Classifier, plan: StagePlan, run: Run) -> StageModel:
    """Return what a stage of a run trains, in the run's precision and on its devices; see `build_stage_model`.

    Args:
        classifier: The model, at the image size of the stage.
        plan: The stage.
        run: The settings.
    """
    model = build_stage_model(classifier.backbone, classifier.head, boundary=plan.boundary, bn=run.recipe.bn)
    dtype = choose_training_dtype(run.recipe.training_precision) if model.tail else FLOAT32
    devices = choose_devices(run.backbone.devices)
    return dataclasses.replace(model, dtype=dtype, replicas=Replicas(devices) if devices else ONE_DEVICE)


def build_stage_model(backbone: Backbone, head: keras.Model, *, boundary: str, bn: str) -> StageModel:
    """Join the tail above a boundary and the head, with every layer's `trainable` set.

    Args:
        backbone: The whole network; layers below the boundary do not run and are not changed.
        head: The new layers, all of which are trained.
        boundary: Where the backbone is cut.
        bn: Batch norm of the tail. `frozen`: nothing is updated. `affine`: gamma and beta are trained, the statistics
            are kept; the tail then runs in inference mode, without dropout. `train`: everything is updated.

    Returns:
        A model from the boundary's feature to logits.
    """
    tail = backbone.tail(boundary)
    if tail is not None:
        for layer in tail.layers:
            layer.trainable = bn != "frozen" or not isinstance(layer, keras.layers.BatchNormalization)
        tail = make_lean(tail)
    return StageModel(tail=tail, head=head, tail_trains=bn != "affine")


def compute_stage_rates(
    model: StageModel, backbone: Backbone, stage: ResolvedStage, *, boundary: str, head_rate: float | None = None
) -> tuple[list[float], list[GroupRate]]:
    """Return the learning rate of each trainable variable, and a table of rates by group.

    Args:
        model: From `build_stage_model`.
        backbone: The network, for the layer group of each weight of the tail.
        stage: Resolved settings, with the ratio and the rates by group.
        boundary: Where the backbone is cut.
        head_rate: Rate of the head; None for the stage's own. With 1, the other rates are fractions of it, except those
            set by group.

    Returns:
        Rates in the order of `model.trainable_variables`, and one entry per group; frozen groups have rate 0.
    """
    rates = compute_group_rates(
        backbone.entry.groups_above(boundary),
        lr=stage.head_rate if head_rate is None else head_rate,
        lr_ratio=stage.lr_ratio,
        group_lr=stage.group_lr,
    )
    groups = find_variable_groups(model, backbone)
    totals = backbone.count_by_group() | {HEAD_GROUP: model.head.count_params()}
    counts = dict.fromkeys(totals, 0)
    for group, variable in zip(groups, model.trainable_variables, strict=True):
        counts[group] += int(variable.value.shape.num_elements())
    table = [GroupRate(group, totals[group], counts[group], rates.get(group, 0.0)) for group in counts]
    return [rates[group] for group in groups], table


def find_variable_groups(model: StageModel, backbone: Backbone) -> list[str]:
    """Return the layer group of each of `model.trainable_variables`, `head` for the head's."""
    head_weights = {id(variable) for variable in model.head.trainable_variables}
    return [
        HEAD_GROUP if id(variable) in head_weights else backbone.group_of(variable)
        for variable in model.trainable_variables
    ]
