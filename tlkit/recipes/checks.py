"""The checks of a recipe that need more than one setting."""

from __future__ import annotations

from tlkit.backbones.catalogue import INT8
from tlkit.errors import SettingError
from tlkit.heads import DETECTOR, SEGMENTER, join_kinds
from tlkit.metadata.columns import parse_metadata
from tlkit.metrics.whitenings import NONE, WITH_MATRIX
from tlkit.outputs import DETECTION, SEGMENTATION
from tlkit.recipes.defaults import list_cycle_ends
from tlkit.recipes.fields import ALL_IMAGES
from tlkit.recipes.head_settings import HeadSettings
from tlkit.recipes.optimizers import ADAM, ADAMW
from tlkit.recipes.settings import MOSAIC, DataSettings, Recipe, Stage, TrainingSettings
from tlkit.tasks import find_task


def check_recipe(recipe: Recipe, *, source: str) -> Recipe:
    """Return the recipe unchanged if its settings fit together.

    Raises:
        SettingError: If a setting was changed from its default that has no effect in this run.
    """
    if recipe.data.validation_fraction + recipe.data.test_fraction >= 1:
        raise SettingError(
            f"{source}: validation_fraction and test_fraction add up to "
            f"{recipe.data.validation_fraction + recipe.data.test_fraction:g}.",
            expected="a sum below 1, so that images remain for training",
            fix="reduce one of them.",
        )
    kind = recipe.head.kind
    if not recipe.head.record.has_units and recipe.head.units != HeadSettings().units:
        raise _without_effect(
            source, f"units = {recipe.head.units}", f"the {kind} head has no hidden layer", join_kinds("has_units")
        )
    if recipe.stages and all(stage.unfreeze == "all" for stage in recipe.stages) and recipe.backbone.engine != "auto":
        raise _without_effect(
            source, f"engine = {recipe.backbone.engine}", "no stage has frozen layers", "unfreeze to less than all"
        )
    training = recipe.training
    if training.optimizer == ADAM and training.weight_decay != TrainingSettings().weight_decay:
        raise _without_effect(
            source, f"weight_decay = {training.weight_decay:g}", f"the optimizer is {ADAM}", f"optimizer = {ADAMW}"
        )
    _check_objects(recipe, source)
    _check_whitening(recipe, source)
    _check_boxes(recipe, source)
    _check_task(recipe, source)
    _check_scratch(recipe, source)
    for number, stage in enumerate(recipe.stages, start=1):
        _check_stage(stage, where=f"{source}: stage {number}")
    return recipe


def has_single_box(data: DataSettings) -> bool:
    """Return whether a model predicts one box beside its answer, as in the course notes."""
    return bool(data.boxes) and not find_task(data.task).has_objects


def _check_objects(recipe: Recipe, source: str) -> None:
    """Raise SettingError if the head does not fit a task of objects, or objects have no boxes."""
    task = find_task(recipe.data.task)
    has_objects = task.has_objects
    _check_places_head(recipe.head.kind, recipe.data.task, source)
    if recipe.head.nms != HeadSettings().nms and not task.lists_objects:
        raise _without_effect(
            source, f"nms = {recipe.head.nms}", f"the task is {recipe.data.task}", f"task = {DETECTION}"
        )
    _check_masks(recipe.data, source)
    if has_objects and not task.has_masks and not recipe.data.boxes:
        raise SettingError(
            f"{source}: task is {recipe.data.task}, but there are no boxes.",
            expected="the annotations of the images",
            fix="add --boxes with a folder of PASCAL VOC or YOLO files, a COCO .json, or a table.",
        )
    if has_objects and recipe.backbone.precision == INT8:
        raise SettingError(
            f"{source}: precision = {INT8} with task = {recipe.data.task}: its loss is judged by one answer for an image.",
            expected="float32, bfloat16 or auto",
            fix="leave out --precision.",
        )
    for number, stage in enumerate(recipe.stages, start=1):
        check_mosaics(stage.policy, recipe.data.task, where=f"{source}: stage {number}")
        for name in ("mixup", "cutmix"):
            if has_objects and getattr(stage, name):
                raise _without_effect(
                    f"{source}: stage {number}",
                    f"{name} = {getattr(stage, name):g}",
                    f"the task is {recipe.data.task}, whose pictures are not mixed",
                    "task = classification",
                )


def check_mosaics(policy: str, task: str, *, where: str) -> None:
    """Raise SettingError if views of several images are made for a task that learns one answer for an image.

    Args:
        policy: The policy of the views.
        task: What is predicted.
        where: The place of the setting, for the message.
    """
    if policy == MOSAIC and not find_task(task).lists_objects:
        raise SettingError(
            f"{where}: policy = {policy} with task = {task}: a mosaic shows four images, each with its own answer.",
            expected=f"policy = {policy} only with task = {DETECTION}",
            fix="use policy = scales, or standard.",
        )


def _check_whitening(recipe: Recipe, source: str) -> None:
    """Raise SettingError if the head has no input to whiten, the floor no effect, or the features are yet to be learnt."""
    head = recipe.head
    if head.whiten not in WITH_MATRIX and head.whiten_floor != HeadSettings().whiten_floor:
        raise _without_effect(
            source,
            f"whiten_floor = {head.whiten_floor:g}",
            f"whiten is {head.whiten}",
            f"whiten = {' or '.join(WITH_MATRIX)}",
        )
    if head.whiten == NONE:
        return
    if head.record.finds_objects:
        raise SettingError(
            f"{source}: whiten = {head.whiten} with the {head.kind} head, which takes several maps at once.",
            expected=f"whiten only with a head that takes one feature: {join_kinds('takes_one_feature')}",
            fix="remove whiten.",
        )
    if recipe.is_from_scratch:
        raise SettingError(
            f"{source}: whiten = {head.whiten}, but the backbone's weights are random: what is fitted to their features "
            "would not suit those that they learn.",
            expected="whiten only with pretrained weights",
            fix="remove whiten, or set weights.",
        )


def _check_places_head(kind: str, task: str, source: str) -> None:
    """Raise SettingError if a head for answers at places does not fit the task, or the other way round."""
    fitting = {DETECTION: DETECTOR, SEGMENTATION: SEGMENTER}
    wanted = fitting.get(task)
    if kind == wanted or (wanted is None and kind not in fitting.values()):
        return
    found = {DETECTOR: "finds objects", SEGMENTER: "gives a class to every place"}.get(
        kind, "gives one answer for an image"
    )
    own_task = next((name for name, head in fitting.items() if head == kind), None)
    raise SettingError(
        f"{source}: the {kind} head does not fit the task {task}: it {found}.",
        expected=f"{wanted or 'another head'} for {task}",
        fix=f"use --head {wanted}, or leave out --head." if wanted else f"use --task {own_task}, or another --head.",
    )


def _check_masks(data: DataSettings, source: str) -> None:
    """Raise SettingError if masks are missing, or have no effect."""
    has_masks = find_task(data.task).has_masks
    if data.masks and not has_masks:
        raise _without_effect(source, f"masks = {data.masks}", f"the task is {data.task}", f"task = {SEGMENTATION}")
    if has_masks and data.boxes:
        raise _without_effect(source, f"boxes = {data.boxes}", f"the task is {data.task}", f"task = {DETECTION}")
    if has_masks and not data.masks:
        raise SettingError(
            f"{source}: task is {data.task}, but there are no masks.",
            expected="the masks of the images",
            fix="add --masks with a folder of PNG files, or a COCO .json.",
        )


def _check_boxes(recipe: Recipe, source: str) -> None:
    """Raise SettingError if boxes are asked of a head that cannot learn them, or their settings have no effect."""
    has_boxes = has_single_box(recipe.data)
    if has_boxes and not recipe.head.record.sees_places:
        raise SettingError(
            f"{source}: the {recipe.head.kind} head cannot predict boxes: it does not keep positions.",
            expected=f"a head that keeps positions: {join_kinds('sees_places')}",
            fix="use --head dense.",
        )
    defaults = TrainingSettings()
    for name in ("box_loss", "box_weight"):
        value = getattr(recipe.training, name)
        if not has_boxes and value != getattr(defaults, name):
            reason = f"the task is {recipe.data.task}" if recipe.data.boxes else "there are no boxes"
            raise _without_effect(source, f"{name} = {value}", reason, "boxes")
    for number, stage in enumerate(recipe.stages, start=1):
        if has_boxes and (stage.mixup or stage.cutmix):
            name = "mixup" if stage.mixup else "cutmix"
            raise SettingError(
                f"{source}: stage {number}: {name} = {getattr(stage, name):g} with boxes: a mixed picture shows "
                "two objects, and the model predicts one box.",
                expected="mixup and cutmix only without boxes",
                fix=f"remove {name}, or boxes.",
            )


def _check_task(recipe: Recipe, source: str) -> None:
    """Raise SettingError if settings of the answer or of the metadata do not go together."""
    data, training = recipe.data, recipe.training
    task = find_task(data.task)
    is_regression = not task.has_names
    if is_regression and not data.target:
        raise SettingError(
            f"{source}: task is {data.task}, but there is no target.",
            expected="the name of a table column",
            fix="add --target COLUMN.",
        )
    for name, has_effect, reason, needed in (
        ("target", is_regression, f"the task is {data.task}", "task = regression"),
        ("target_scale", is_regression, f"the task is {data.task}", "task = regression"),
        ("label_column", not is_regression, "regression uses target", "target"),
        ("label_separator", task.has_labels, f"the task is {data.task}", "task = multilabel"),
    ):
        value = getattr(data, name)
        if not has_effect and value != getattr(DataSettings(), name):
            raise _without_effect(source, f"{name} = {value}", reason, needed)
    for name, has_effect in (
        ("class_weight", task.is_exclusive or task.lists_objects),
        ("label_smoothing", not is_regression and not task.has_objects),
        ("focal", not is_regression and not task.has_objects),
    ):
        value = getattr(training, name)
        if not has_effect and value != getattr(TrainingSettings(), name):
            raise _without_effect(source, f"{name} = {value}", f"the task is {data.task}", "task = classification")
    if parse_metadata(data.metadata) and task.has_objects:
        raise _without_effect(
            source, f"metadata = {data.metadata}", f"the task is {data.task}", "task = classification"
        )
    if parse_metadata(data.metadata) and not recipe.head.record.takes_metadata:
        raise SettingError(
            f"{source}: the {recipe.head.kind} head cannot take metadata: no layer of it combines all features.",
            expected=join_kinds("takes_metadata"),
            fix="use --head dense.",
        )


def _check_scratch(recipe: Recipe, source: str) -> None:
    """Refuse to unfreeze random weights one group after the other: those still frozen would never have learnt."""
    if recipe.is_from_scratch and recipe.stages[0].gradual:
        raise SettingError(
            f"{source}: stage 1: gradual, but the backbone's weights are random: frozen groups would stay untrained.",
            expected="gradual only with pretrained weights",
            fix="remove gradual, or set weights.",
        )


def _check_stage(stage: Stage, *, where: str) -> None:
    defaults = Stage()
    _check_cycles(stage, where)
    if stage.unfreeze == "none" and (stage.lr_ratio not in (None, 1.0) or stage.group_lr or stage.gradual):
        changed = "gradual" if stage.gradual else "group_lr" if stage.group_lr else f"lr_ratio = {stage.lr_ratio:g}"
        raise _without_effect(where, changed, "only the head is trained", "unfreeze")
    if stage.batch_size is ALL_IMAGES and stage.unfreeze != "none":
        raise SettingError(
            f"{where}: batch_size = all with unfreeze = {stage.unfreeze}: the memory of a step grows with its images.",
            expected="a number, unless only the head is trained",
            fix="set batch_size = 64, or remove it for the default.",
        )
    if stage.unfreeze == "all" and not stage.gradual and stage.views != defaults.views:
        raise SettingError(
            f"{where}: views = {stage.views} has no effect: with everything unfrozen, each epoch draws fresh views.",
            expected="views only with cached features",
            fix="remove views; policy still sets the augmentation.",
        )
    if stage.unfreeze != "all" and stage.views == 1 and stage.policy not in ("none", defaults.policy):
        raise _without_effect(where, f'policy = "{stage.policy}"', "the only view is the image itself", "views")
    if stage.views > 1 and stage.policy == "none":
        raise SettingError(
            f'{where}: views = {stage.views} with policy = "none" would cache the same picture {stage.views} times.',
            expected="views = 1, or another policy",
            fix="remove one of the two.",
        )


def _check_cycles(stage: Stage, where: str) -> None:
    """Raise SettingError if cycles are set that the schedule does not have, or the epochs end within one."""
    defaults = Stage()
    if stage.schedule != "restarts":
        for name in ("cycle_len", "cycle_mult"):
            value = getattr(stage, name)
            if value != getattr(defaults, name):
                raise _without_effect(
                    where, f"{name} = {value}", f"the schedule is {stage.schedule}", "schedule = restarts"
                )
        return
    if stage.epochs is None:
        return
    ends = list_cycle_ends(stage, stage.epochs)
    if stage.epochs not in ends:
        whole = [str(end) for end in ([0, *ends])[-2:] if end]
        raise SettingError(
            f"{where}: epochs = {stage.epochs} ends within a cycle, while the rate is still high.",
            expected=f"whole cycles: {' or '.join(whole)} epochs",
            fix=f"set epochs = {whole[-1]}.",
        )


def _without_effect(where: str, changed: str, reason: str, needed: str) -> SettingError:
    return SettingError(
        f"{where}: {changed} has no effect: {reason}.",
        expected="only settings that this run uses",
        fix=f"remove it, or set {needed}.",
    )
