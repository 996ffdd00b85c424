"""The settings of a run: each field's name, default, help and rule stand here, once.

The command line builds its options from these fields, a recipe file (TOML) fills them, a run saves them. A recipe has
the tables [data], [backbone], [head] and [training], and a list of stages, [[stage]].

What a run records of its origin beside them is in `tlkit.recipes.origin`. None means that nothing is said. Every other
value is meant as it stands, zero included; a zero that makes no sense is refused by the field's rule.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from tlkit.backbones.catalogue import INT8
from tlkit.devices import ALL, AllDevices
from tlkit.outputs import TASKS
from tlkit.recipes.fields import (
    ALL_IMAGES,
    AT_LEAST_ONE,
    AT_LEAST_ONE_OR_ALL,
    FIND,
    FRACTION_ABOVE_ZERO,
    FRACTION_BELOW_ONE,
    HIGHEST,
    IMAGES_PER_STEP,
    NOT_EMPTY,
    NOT_NEGATIVE,
    NOT_NOTHING,
    POSITIVE,
    SEED,
    ZERO_OR_MORE,
    AllImages,
    RateSearch,
    Rule,
    describe_setting,
    setting,
)
from tlkit.recipes.head_settings import HeadSettings
from tlkit.recipes.optimizers import ADAMW, OPTIMIZERS
from tlkit.recipes.origin import Inputs, MadeBy

FITS = ("squash", "crop", "pad")
MOSAIC = "mosaic"
POLICIES = ("none", "standard", "letters", "crops", "scales", MOSAIC, "strong")
BATCH_NORM_MODES = ("frozen", "affine", "train")
BOX_LOSSES = ("mse", "huber", "ciou")
SCHEDULES = ("constant", "step", "cosine", "restarts", "one-cycle")
CLASS_WEIGHTS = ("none", "balanced")
FEATURE_DTYPES = ("float16", "float32")
TARGET_SCALES = ("linear", "log")
ENGINES = ("auto", "keras", "openvino")
SIMILARITY = "similarity"
PRECISIONS = ("auto", "float32", "bfloat16", INT8)
OPEN_PRECISIONS = ("auto", INT8)
"""Precisions of the frozen layers that leave that of training steps open."""


@dataclass(frozen=True)
class DataSettings:
    """How the images are found, checked and split."""

    sample: float = setting(
        1.0, "Stratified fraction of the images to use, for quick trials.", rule=FRACTION_ABOVE_ZERO
    )
    validation_fraction: float = setting(
        0.2,
        "Fraction of the training images to hold out for validation if the data has no such split.",
        rule=FRACTION_BELOW_ONE,
    )
    test_fraction: float = setting(
        0.0,
        "Fraction of the images to hold out for the final test if the data has no such split.",
        rule=FRACTION_BELOW_ONE,
    )
    group_by: str = setting(
        "bytes",
        "Images that a split keeps together: bytes, those with equal files; similarity: near copies, too, re-encoded, "
        "resized, mirrored or turned.",
        choices=("bytes", SIMILARITY),
    )
    task: str = setting(
        "classification",
        "What to predict: a class, labels (multilabel), a value (regression), objects (detection), masks (segmentation).",
        choices=TASKS,
    )
    target: str | None = setting(None, "Table column with the value to predict, for --task regression.", rule=NOT_EMPTY)
    target_scale: str = setting(
        "linear", "log: predict the logarithm of the value, for example of a price.", choices=TARGET_SCALES
    )
    metadata: str | None = setting(
        None,
        "Metadata for the head: table columns, such as bedrooms,zip:category (kinds: number, category; default: "
        "inferred), or facts of the image file, such as image-size.",
        rule=NOT_EMPTY,
    )
    image_column: str | None = setting(None, "Table column of image paths (default: found by name).", rule=NOT_EMPTY)
    label_column: str | None = setting(
        None, "Table column with the class, or with labels such as a|b (default: detected by name).", rule=NOT_EMPTY
    )
    label_separator: str | None = setting(
        None,
        "Separator of several labels: any text, space, or none (default: detected from the cells).",
        rule=NOT_NOTHING,
    )
    split_column: str | None = setting(
        None,
        "Table column with train, validation or test; none: use no column (default: detected from the cells).",
        rule=NOT_EMPTY,
    )
    boxes: str | None = setting(
        None,
        "Boxes beside the class, or of objects to detect: a folder of PASCAL VOC or YOLO files, a COCO .json, or a table.",
        rule=NOT_EMPTY,
        words=(),
    )
    masks: str | None = setting(
        None, "Masks for segmentation: a folder of PNG or LabelMe files, or a COCO .json.", rule=NOT_EMPTY, words=()
    )
    strict: bool = setting(False, "Stop at the first unusable image file instead of skipping it.")


@dataclass(frozen=True)
class BackboneSettings:
    """The pretrained network, and what the pictures look like when they reach it."""

    name: str = setting("mobilenet_v2", "Backbone; `tlkit backbones` lists them.", flag="--backbone")
    weights: str | None = setting(
        None,
        "imagenet, bundled, random, or the path of a .weights.h5, .h5 or .safetensors file "
        "(default: imagenet; bundled for tiny; random for mnist_…).",
        rule=NOT_EMPTY,
        words=("imagenet", "bundled", "random"),
    )
    image_size: int | None = setting(
        None, "Side of the square input in pixels (default: the backbone's; 320 for objects, masks).", rule=AT_LEAST_ONE
    )
    fit: str = setting("squash", "How to make a picture square: squash, crop (centre) or pad.", choices=FITS)
    feature_dtype: str = setting("float16", "Data type of the cached features.", choices=FEATURE_DTYPES)
    engine: str = setting(
        "auto", "Engine for the frozen layers: keras, openvino, or auto (the faster one).", choices=ENGINES
    )
    precision: str = setting(
        "auto",
        "Precision of the frozen layers and of training steps: float32, bfloat16, or auto (bfloat16 if the hardware "
        "supports it); or int8 for the frozen layers, calibrated on training images, with OpenVINO.",
        choices=PRECISIONS,
    )
    devices: int | AllDevices = setting(  # noqa: RUF009 - a member of an enum does not change
        1,
        "GPUs to divide Keras' work among, that of training steps and of frozen layers; or all.",
        rule=AT_LEAST_ONE_OR_ALL,
        word=ALL,
    )


@dataclass(frozen=True)
class TrainingSettings:
    """What holds for every stage of a run."""

    seed: int = setting(0, "Seed for splits, views, weights and shuffling.", rule=SEED)
    weight_decay: float = setting(1e-4, "Decoupled weight decay; adam has none.", rule=NOT_NEGATIVE)
    label_smoothing: float = setting(0.0, "Fraction of each label to spread over all classes.", rule=FRACTION_BELOW_ONE)
    focal: float = setting(
        0.0, "Gamma of the focal loss, which gives easy images less weight; 0: plain cross-entropy.", rule=NOT_NEGATIVE
    )
    box_loss: str = setting("mse", "Loss for boxes: mse, huber or ciou.", choices=BOX_LOSSES)
    box_weight: float = setting(10.0, "Weight of the box loss relative to the class loss.", rule=POSITIVE)
    false_alarms: float = setting(
        0.05,
        "Fraction of pictures of known kinds that may be flagged as unknown; 0: flag none.",
        rule=FRACTION_BELOW_ONE,
    )
    class_weight: str = setting(
        "none", "balanced: weight classes in the loss by inverse frequency.", choices=CLASS_WEIGHTS
    )
    bn: str | None = setting(
        None,
        "Batch norm of the unfrozen groups: frozen, affine (train only gamma and beta) or train (default: frozen; "
        "train from random weights).",
        choices=BATCH_NORM_MODES,
    )
    optimizer: str = setting(ADAMW, "Optimizer; momentum and nesterov are sgd with 0.9.", choices=OPTIMIZERS)


@dataclass(frozen=True)
class Stage:
    """One stretch of training at one boundary."""

    name: str | None = setting(None, "Name of the stage in the history (default: by its boundary).", rule=NOT_EMPTY)
    unfreeze: str = setting("none", "Lowest layer group to train: none (head only), a group's name, or all.")
    gradual: bool = setting(False, "Unfreeze one more layer group per stage, from the top down to `unfreeze`.")
    epochs: int | None = setting(
        None,
        "Maximum number of epochs (default: 30 for a head, 15 unfrozen, 60 from random weights).",
        rule=AT_LEAST_ONE,
    )
    batch_size: int | AllImages | None = setting(  # noqa: RUF009 - a member of an enum does not change
        None,
        "Images per training step; all: full batches, for a head alone (default: 64 for a head, 32 unfrozen, 64 from random "
        "weights; 16, 8, 8 for detection).",
        rule=IMAGES_PER_STEP,
        word=ALL_IMAGES,
    )
    lr: float | RateSearch | None = setting(  # noqa: RUF009 - a member of an enum does not change
        None,
        "Learning rate of the head; find: search for it before the stage "
        "(default: 1e-3 for a head, 1e-4 unfrozen, 2e-3 from random weights; 2e-3, 2e-4, 2e-3 for detection; other optimizers: multiples).",
        rule=Rule("a number above 0, or find", lambda value: value is FIND or value > 0),
        word=FIND,
    )
    lr_ratio: float | None = setting(
        None,
        "Learning rate of the head divided by that of the lowest trained group; groups between are spaced geometrically "
        "(default: 10; 1 from random weights).",
        rule=Rule("a number, 1 or more", lambda value: value >= 1),
    )
    group_lr: dict[str, float] = field(
        default_factory=dict,
        metadata=describe_setting("Learning rate of one layer group, as GROUP=RATE; may be repeated."),
    )
    views: int = setting(1, "Cached views per training image; view 0 is the image itself.", rule=AT_LEAST_ONE)
    policy: str = setting(
        "standard",
        "Augmentation policy for the other views: none, standard, letters (no mirroring), crops, scales, mosaic or strong.",
        choices=POLICIES,
    )
    mixup: float = setting(
        0.0,
        "MixUp: train on weighted means of two pictures or features; alpha of the Beta distribution of the weights; 0: off.",
        rule=NOT_NEGATIVE,
    )
    cutmix: float = setting(
        0.0,
        "CutMix: paste a rectangle of another picture into each; needs unfreeze = all; alpha as for mixup; 0: off.",
        rule=NOT_NEGATIVE,
    )
    resize_to: int | None = setting(
        None,
        "Side of the square input in this stage, in pixels (default: the run's); starting small is faster.",
        rule=AT_LEAST_ONE,
    )
    schedule: str = setting("cosine", "Schedule of the learning rate.", choices=SCHEDULES)
    warmup: float | None = setting(
        None,
        "Warmup from nearly 0, in epochs or fractions of one (default: a twentieth of the stage for cosine; else 0).",
        rule=NOT_NEGATIVE,
    )
    cycle_len: int = setting(1, "Length of the first cycle in epochs, for schedule = restarts.", rule=AT_LEAST_ONE)
    cycle_mult: int = setting(1, "Factor by which each cycle is longer than the one before.", rule=AT_LEAST_ONE)
    average: int = setting(
        0,
        "Average the weights of this many final epochs, or cycle ends, and keep the mean if its validation loss is lower; "
        "0: off.",
        rule=Rule(f"0, or a whole number, 2 to {HIGHEST:,}", lambda value: value == 0 or 2 <= value <= HIGHEST),
    )
    patience: int | None = setting(
        None,
        "Stop after this many epochs without a lower validation loss; 0: never (default: 8; 0 from random weights and for "
        "detection).",
        rule=ZERO_OR_MORE,
    )


SECTIONS: dict[str, type] = {
    "data": DataSettings,
    "backbone": BackboneSettings,
    "head": HeadSettings,
    "training": TrainingSettings,
}
RECORDS: dict[str, type] = {"inputs": Inputs, "made_by": MadeBy}
"""What a run writes into its recipe beside the settings; no options of the command line."""


@dataclass(frozen=True)
class Recipe:
    """All settings of a run, checked."""

    data: DataSettings = field(default_factory=DataSettings)
    backbone: BackboneSettings = field(default_factory=BackboneSettings)
    head: HeadSettings = field(default_factory=HeadSettings)
    training: TrainingSettings = field(default_factory=TrainingSettings)
    stages: tuple[Stage, ...] = ()
    inputs: Inputs = field(default_factory=Inputs)
    made_by: MadeBy = field(default_factory=MadeBy)

    @property
    def is_from_scratch(self) -> bool:
        """Whether the backbone begins with random weights and is trained whole from the first stage on."""
        return self.backbone.weights == "random" and bool(self.stages) and self.stages[0].unfreeze == "all"

    @property
    def training_precision(self) -> str:
        """Arithmetic of the training steps: where that is open, as in the recipe's run."""
        precision = self.backbone.precision
        return (self.made_by.precision or "auto") if precision in OPEN_PRECISIONS else precision

    @property
    def bn(self) -> str:
        """What happens to batch norm of the unfrozen groups, as it is set or by default."""
        return self.training.bn or self.default_bn

    @property
    def default_bn(self) -> str:
        """What happens to batch norm where nothing is said: statistics of random weights are not worth keeping."""
        return "train" if self.is_from_scratch else "frozen"
