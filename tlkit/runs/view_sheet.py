"""The picture of some training images and their views, as the network sees them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tlkit.data.manifest import Manifest
from tlkit.data.mosaics import list_companions
from tlkit.models.spec import BundleSpec
from tlkit.recipes import Recipe
from tlkit.reports.figures import draw_contact_sheet
from tlkit.reports.frames import Mark, choose_colour, draw_marks
from tlkit.tasks import find_task
from tlkit.training.held_images import HeldImages
from tlkit.training.targets import ViewDrawer, place_view_objects

NUM_SHEET_IMAGES = 4
NUM_SHEET_VIEWS = 6
_MAX_HELD_BYTES = 2**28


def find_shown_policy(recipe: Recipe) -> str:
    """Return the policy of the last stage that trains on several views of an image; "none" without one."""
    stages = [stage for stage in recipe.stages if stage.unfreeze == "all" or stage.views > 1]
    return stages[-1].policy if stages else "none"


def draw_views(path: Path, manifest: Manifest, spec: BundleSpec, recipe: Recipe) -> None:
    """Draw what the network sees: some training images, as they are and in the views of the last stage that has any.

    Objects are framed.
    """
    task = find_task(spec.task)
    policy = find_shown_policy(recipe)
    num_views = NUM_SHEET_VIEWS if policy != "none" else 1
    train = manifest.in_split("train")
    numbers = np.linspace(0, len(train) - 1, min(NUM_SHEET_IMAGES, len(train)), dtype=int).tolist()
    views = ViewDrawer(train, spec, policy, recipe.training.seed, list_companions(manifest, policy))
    held = HeldImages(spec, _MAX_HELD_BYTES)
    images, captions = [], []
    for number in numbers:
        record = train[number]
        seen = [held.load_view(views, number, index) for index in range(num_views)]
        images += _frame_objects(views, number, seen) if task.lists_objects else seen
        answer = task.describe_answer(record.answer) if task.has_objects else record.answer
        captions += [answer, *(f"{policy} view {index}" for index in range(1, num_views))]
    draw_contact_sheet(path, images, captions, num_columns=num_views if num_views > 1 else 0)


def _frame_objects(views: ViewDrawer, number: int, seen: Sequence[NDArray[np.uint8]]) -> list[NDArray[np.uint8]]:
    """Return views of an image, uint8 (height, width, 3) each, with its objects but for those to be ignored."""
    framed = []
    for index, pixels in enumerate(seen):
        placed = place_view_objects(views, number, index)
        learnt = placed[placed[:, 5] == 0]
        marks = []
        for (left, top, right, bottom), label in zip(learnt[:, :4].clip(0, 1).tolist(), learnt[:, 4], strict=True):
            marks.append(Mark((left, top, right, bottom), choose_colour(int(label) - 1)))
        framed.append(np.asarray(draw_marks(Image.fromarray(pixels), marks)))
    return framed
