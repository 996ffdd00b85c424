"""What detector judges the boxes of a data set."""

from __future__ import annotations

from dataclasses import dataclass

from tlkit.backbones.maps import MapLayout
from tlkit.data.images import LOADER_VERSION
from tlkit.data.views import ViewPlan
from tlkit.models.spec import BundleSpec
from tlkit.outputs import GreyRange
from tlkit.recipes import HeadSettings, ResolvedBackbone, ResolvedStage, Stage, TrainingSettings, resolve_stage

NUM_FOLDS = 3
NUM_VIEWS = 4
MAX_EPOCHS, MIN_EPOCHS = 30, 8
NUM_IMAGES_SEEN = 20_000
"""Images that a detector is trained on, epoch by epoch, as long as the number of epochs allows it."""
MIN_IMAGES = 12
"""Fewer images teach no detector."""
_POLICY = "scales"


@dataclass(frozen=True)
class DetectorSettings:
    """What detector judges boxes.

    Attributes:
        backbone: Its backbone, which is not trained.
        head: Its head.
        training: Of the seed of weights, folds, views and order, and of the loss.
        task: Its task, which has objects.
        precision: Of training steps: see `tlkit.runtime.graph_precision`.
    """

    backbone: ResolvedBackbone
    head: HeadSettings
    training: TrainingSettings
    task: str
    precision: str = "auto"

    @property
    def views(self) -> ViewPlan:
        """The views of each image; view 0 is the image itself."""
        return ViewPlan(_POLICY, NUM_VIEWS, self.training.seed)

    def plan_stage(self, num_images: int) -> ResolvedStage:
        """Return how it is trained on so many images: on fewer views than by `tlkit finetune`, of many for fewer epochs."""
        epochs = min(MAX_EPOCHS, max(MIN_EPOCHS, round(NUM_IMAGES_SEEN / num_images)))
        stage = Stage(epochs=epochs, views=NUM_VIEWS, policy=_POLICY)
        return resolve_stage(stage, number=1, from_scratch=False, task=self.task)

    def describe_model(
        self, class_names: tuple[str, ...], layout: MapLayout, grey: tuple[GreyRange, ...] = ()
    ) -> BundleSpec:
        """Return the description of the model.

        Args:
            class_names: Its classes, in label order.
            layout: Its maps.
            grey: The data set's ranges for deep grey.
        """
        return BundleSpec(
            backbone=self.backbone.entry.name,
            image_size=self.backbone.image_size,
            fit=self.backbone.fit,
            loader_version=LOADER_VERSION,
            pooling=self.head.record.pooling,
            head=self.head,
            class_names=class_names,
            task=self.task,
            map_sizes=layout.sizes,
            grey=grey,
        )
