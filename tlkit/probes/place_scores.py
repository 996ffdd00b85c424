"""Score how much cached maps know of objects or masks: a linear model at every place, cross-validated by image.

It takes seconds where a head takes minutes. Answers are scored in the picture, as `tlkit evaluate` does, so that maps of
other sizes and other fits can be compared.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tlkit.backbones.maps import MapLayout
from tlkit.backbones.note import TrunkNote
from tlkit.data.box_views import place_objects, recover_objects
from tlkit.data.manifest import ImageRecord
from tlkit.data.mask_views import place_mask, recover_mask
from tlkit.data.views import View
from tlkit.metrics.detection_precision import compute_map50_by_image
from tlkit.probes.folds import Fold
from tlkit.probes.images import Questions
from tlkit.probes.mask_probe import probe_masks
from tlkit.probes.object_probe import probe_objects
from tlkit.probes.place_maps import PlaceMaps
from tlkit.segmentation.confusion import count_confusions
from tlkit.tasks import find_task
from tlkit.tasks.objects import make_object_rows, pad_object_rows
from tlkit.tasks.scored_outputs import ScoredOutputs
from tlkit.tasks.scored_places import ScoredMasks, ScoredObjects


@dataclass(frozen=True, eq=False)
class PlaceFeatures:
    """Features with a position.

    Attributes:
        read: Returns those of images, by position: float16 or float32 (n, *).
        layout: How their maps lie in them.
        image_size: (height, width) of the network's input, in pixels.
        fit: How images are fitted into it.
    """

    read: Callable[[NDArray[np.int64]], NDArray[Any]]
    layout: MapLayout
    image_size: tuple[int, int]
    fit: str

    def place(self, record: ImageRecord) -> dict[str, Any]:
        """Return how an image lies in the input, as `tlkit.data.box_views` takes it."""
        return {"picture_size": (record.height, record.width), "image_size": self.image_size, "fit": self.fit}


def find_layout(note: TrunkNote) -> MapLayout:
    """Return how the maps of a trunk lie in its feature, which may be a single map.

    Raises:
        ValueError: The feature has no positions.
    """
    if note.layout:
        return note.layout
    if len(note.feature_shape) != 3:
        raise ValueError(f"expected maps. Received: features of shape {note.feature_shape}")
    height, width, channels = note.feature_shape
    return MapLayout(((height, width, channels),))


def score_places(questions: Questions, features: PlaceFeatures, folds: Sequence[Fold] = ()) -> ScoredOutputs:
    """Fit linear models to the places of most images of each fold, and score what they say of the others.

    500 images at 320 pixels take about ten seconds with MobileNetV2.

    Args:
        questions: Images, with objects or masks.
        features: Features of the images.
        folds: Other folds than those of the questions.
    """
    folds = folds or questions.folds
    num_images = len(questions.manifest.records)
    maps = PlaceMaps.fit(features.read, features.layout, num_images=num_images, seed=questions.seed)
    score = _score_masks if find_task(questions.manifest.task).has_masks else _score_objects
    return score(questions, features, maps, folds)


def _score_objects(
    questions: Questions, features: PlaceFeatures, maps: PlaceMaps, folds: Sequence[Fold]
) -> ScoredObjects:
    manifest = questions.manifest
    placed = pad_object_rows(
        [
            place_objects(make_object_rows(each.answer, manifest.class_names), View(), **features.place(each))
            for each in manifest.records
        ]
    )
    found = probe_objects(maps, placed, folds, num_classes=len(manifest.class_names), seed=questions.seed)
    outputs = np.stack(
        [
            recover_objects(of_image, **features.place(each))
            for of_image, each in zip(found, manifest.records, strict=True)
        ]
    )
    each = compute_map50_by_image(questions.targets, outputs)
    return ScoredObjects(outputs.astype(np.float64), each, questions.targets)


def _score_masks(questions: Questions, features: PlaceFeatures, maps: PlaceMaps, folds: Sequence[Fold]) -> ScoredMasks:
    records, num_classes = questions.manifest.records, len(questions.manifest.class_names)
    masks = questions.targets.astype(np.uint8, copy=False)
    placed = np.stack(
        [
            place_mask(mask, None, **features.place(each), grid_size=features.layout.sizes[0])
            for mask, each in zip(masks, records, strict=True)
        ]
    )
    counts = np.zeros((len(masks), num_classes + 1, num_classes + 1), np.int64)
    for image, scores in probe_masks(maps, placed, folds, num_classes=num_classes, seed=questions.seed):
        mask = masks[image]
        found = recover_mask(scores, **features.place(records[image]), mask_size=(mask.shape[0], mask.shape[1]))
        counts[image] = count_confusions(mask, found, num_classes)
    return ScoredMasks.of(counts)
