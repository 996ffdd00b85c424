"""What a training step keeps in memory: maps of the layers above the boundary, for every image of its batch.

A system that runs out of memory ends the process without a word. So what cannot fit is refused before a stage begins.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import keras

from tlkit.backbones.cutting import record_steps
from tlkit.devices import choose_devices, native_precision, read_input_memory
from tlkit.errors import SettingError
from tlkit.models.about import format_size
from tlkit.models.classifier import Classifier
from tlkit.recipes.fields import ALL_IMAGES
from tlkit.training.run import Run
from tlkit.training.stage_plan import StagePlan


def estimate_image_bytes(classifier: Classifier, plan: StagePlan, *, value_bytes: int = 4) -> int:
    """Return the memory that a step of a stage needs at least for each image of its batch, weights left out.

    Args:
        classifier: The model, at the image size of the run.
        plan: The stage, which may have another size.
        value_bytes: Bytes of a value above the boundary; the head computes in float32.
    """
    tail = classifier.backbone.tail(plan.boundary)
    num_bytes = 4 * count_kept(classifier.head) + (value_bytes * count_kept(tail) if tail else 0)
    size = plan.stage.resize_to or classifier.spec.image_size[0]
    return int(num_bytes * (size / classifier.spec.image_size[0]) ** 2)


def count_kept(model: keras.Model) -> int:
    """Return how many values a model must keep of an image for its gradients, at least.

    One map for each layer that multiplies by a kernel, since its gradient needs the map that follows from the one below;
    batch norm and activations may share its memory.
    """
    return sum(
        math.prod(length or 1 for length in step.output.shape[1:])
        for step in record_steps(model)[1]
        if any(len(weight.shape) > 1 for weight in getattr(step.operation, "weights", ()))
    )


def check_step_memory(classifier: Classifier, plans: Sequence[StagePlan], run: Run) -> None:
    """Refuse stages whose steps cannot fit into the free memory.

    Raises:
        SettingError: One does not fit.
    """
    free, num_devices = read_input_memory(), max(1, len(choose_devices(run.backbone.devices)))
    precision = run.recipe.training_precision
    precision = native_precision("keras") if precision == "auto" else precision
    value_bytes = 2 if precision == "bfloat16" else 4
    for plan in plans:
        image_bytes = estimate_image_bytes(classifier, plan, value_bytes=value_bytes)
        takes_all = plan.stage.batch_size is ALL_IMAGES
        batch_size = len(run.manifest.in_split("train")) if takes_all else plan.stage.images_per_step
        needed = image_bytes * -(-batch_size // num_devices)
        if needed <= free:
            continue
        fitting = num_devices * (free // image_bytes)
        size = plan.stage.resize_to or classifier.spec.image_size[0]
        raise SettingError(
            f"Stage {plan.stage.name}: a step on {batch_size} images of {size} pixels needs at least "
            f"{format_size(needed)} of memory; {format_size(free)} are free.",
            expected="steps that fit into the free memory",
            fix=f"use --batch-size {fitting} or less, or a smaller --image-size."
            if fitting
            else "use a smaller --image-size, or unfreeze fewer layer groups.",
        )
