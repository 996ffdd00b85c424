"""The settings of a run: each field's name, default, help and rule stand here, once.

The command line builds its options from these fields, a recipe file (TOML) fills them, a run saves them. A recipe has
four tables and a list of stages:

    [data]  [backbone]  [head]  [training]  [[stage]] …
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tlkit.outputs import TASKS

FITS = ("squash", "crop", "pad")
HEADS = ("linear", "dense", "conv", "flat")
POLICIES = ("none", "standard", "letters", "crops", "strong")
BATCH_NORM_MODES = ("frozen", "affine", "train")
BOX_LOSSES = ("mse", "huber", "ciou")
SCHEDULES = ("constant", "step", "cosine", "restarts", "one-cycle")
CLASS_WEIGHTS = ("none", "balanced")
FEATURE_DTYPES = ("float16", "float32")
TARGET_SCALES = ("linear", "log")
ENGINES = ("auto", "keras", "openvino")
PRECISIONS = ("auto", "float32", "bfloat16")
FIND = "find"
"""What stands in the place of a learning rate that is looked for before the stage."""


@dataclass(frozen=True)
class Rule:
    """What a setting may be: `expected` in words, and the predicate that decides."""

    expected: str
    allows: Callable[[Any], bool]


def one_of(choices: tuple[str, ...], default: str) -> Rule:
    """Return the rule that a setting is one of `choices`, or is left at its default, which may be open."""
    return Rule(f"one of {', '.join(choices)}", lambda value: value in choices or value == default)


FRACTION_BELOW_ONE = Rule("a fraction, 0 <= x < 1", lambda value: 0 <= value < 1)
FRACTION_ABOVE_ZERO = Rule("a fraction, 0 < x <= 1", lambda value: 0 < value <= 1)
POSITIVE = Rule("a number above 0", lambda value: value > 0)
NOT_NEGATIVE = Rule("a number, 0 or more", lambda value: value >= 0)
SEED = Rule("a whole number, 0 <= x < 2**32", lambda value: 0 <= value < 2**32)
AT_LEAST_ONE = Rule("a whole number, 1 or more", lambda value: value >= 1)
ANYTHING = Rule("any value", lambda value: True)


def setting(
    default: Any,
    help: str,
    *,
    rule: Rule = ANYTHING,
    choices: tuple[str, ...] = (),
    flag: str | None = None,
    word: str = "",
) -> Any:
    """Return a dataclass field that carries its help, its rule and its command-line flag.

    Args:
        default: The value where neither the recipe nor the command line says anything.
        help: One line for `--help` and the reference.
        rule: What the value may be.
        choices: For a word out of a fixed list; replaces `rule`.
        flag: The option's name where it is not the field's own with dashes.
        word: What may stand in the place of a number.
    """
    return field(
        default=default, metadata=_metadata(help, one_of(choices, default) if choices else rule, choices, flag, word)
    )


def _metadata(
    help: str, rule: Rule, choices: tuple[str, ...] = (), flag: str | None = None, word: str = ""
) -> dict[str, Any]:
    return {"help": help, "rule": rule, "choices": choices, "flag": flag, "word": word}


@dataclass(frozen=True)
class DataSettings:
    """How the images are found, checked and split."""

    sample: float = setting(1.0, "Use a stratified part of the images, to try settings out.", rule=FRACTION_ABOVE_ZERO)
    validation_fraction: float = setting(
        0.2, "Part of the training images set aside for validation where the data has none.", rule=FRACTION_BELOW_ONE
    )
    test_fraction: float = setting(
        0.0, "Part of the images set aside for the final test where the data has none.", rule=FRACTION_BELOW_ONE
    )
    task: str = setting(
        "classification",
        "What is learnt of an image: its class, several labels (multilabel), or a value (regression).",
        choices=TASKS,
    )
    target: str = setting("", "Table column with the value to learn; with --task regression.")
    target_scale: str = setting(
        "linear", "log: learn the logarithm of the value, for prices and the like.", choices=TARGET_SCALES
    )
    metadata: str = setting(
        "",
        "Columns that join the features, such as bedrooms,zip:category (kinds: number, category; inferred); "
        "image-size: facts of the image file.",
    )
    image_column: str = setting("", "Table column with the image's path (default: found by its name).")
    label_column: str = setting("", "Table column with the class, or with labels, as a|b (default: found by its name).")
    split_column: str = setting("", "Table column with train, validation or test (default: found by its name).")
    boxes: str = setting(
        "", "Boxes to learn beside the class: a folder of PASCAL VOC or YOLO files, a COCO .json, or a table."
    )
    strict: bool = setting(False, "Stop at the first unusable image file instead of setting it aside.")


@dataclass(frozen=True)
class BackboneSettings:
    """The pretrained network, and what the pictures look like when they reach it."""

    name: str = setting("mobilenet_v2", "Backbone; `tlkit backbones` lists them.", flag="--backbone")
    weights: str = setting(
        "",
        "imagenet, bundled, random, or the path of a .weights.h5, .h5 or .safetensors file "
        "(default: imagenet; bundled for tiny).",
    )
    image_size: int = setting(0, "Edge of the square input in pixels (default: the backbone's own).", rule=NOT_NEGATIVE)
    fit: str = setting("squash", "How a picture is made square: squash, crop (centre) or pad.", choices=FITS)
    feature_dtype: str = setting("float16", "Number format of the cached features.", choices=FEATURE_DTYPES)
    engine: str = setting(
        "auto", "What computes the frozen part: keras, openvino, or auto: whichever is faster.", choices=ENGINES
    )
    precision: str = setting(
        "auto",
        "Arithmetic of the frozen part and of the training steps: float32, bfloat16, or auto: bfloat16 where the "
        "hardware has it.",
        choices=PRECISIONS,
    )


@dataclass(frozen=True)
class HeadSettings:
    """The new layers on top of the backbone."""

    kind: str = setting(
        "dense",
        "linear, dense (the Fisheries head), conv (keeps the map) or flat (one layer on the whole map).",
        choices=HEADS,
        flag="--head",
    )
    dropout: float = setting(0.5, "Dropout of the head.", rule=FRACTION_BELOW_ONE)
    units: int = setting(512, "Width of the dense head's layers, or filters of the conv head.", rule=AT_LEAST_ONE)

    @property
    def sees_places(self) -> bool:
        """Whether its last layer knows where in the map something is; a pooled vector does not tell."""
        return self.kind in ("dense", "flat")

    @property
    def pooling(self) -> str:
        """What the head wants of the backbone: "avg" (a pooled vector) or "none" (the feature map)."""
        return "avg" if self.kind == "linear" else "none"


@dataclass(frozen=True)
class TrainingSettings:
    """What holds for every stage of a run."""

    seed: int = setting(0, "Seed of splits, views, weights and order.", rule=SEED)
    weight_decay: float = setting(1e-4, "AdamW's decoupled weight decay.", rule=NOT_NEGATIVE)
    label_smoothing: float = setting(0.0, "Part of each label spread over all classes.", rule=FRACTION_BELOW_ONE)
    focal: float = setting(
        0.0, "Gamma of the focal loss, by which easy images count less; 0: plain cross-entropy.", rule=NOT_NEGATIVE
    )
    box_loss: str = setting("mse", "Loss of boxes: mse, huber or ciou.", choices=BOX_LOSSES)
    box_weight: float = setting(10.0, "Weight of the box's loss beside that of the answer.", rule=NOT_NEGATIVE)
    false_alarms: float = setting(
        0.05,
        "Part of pictures of the known kinds that may be called unknown; 0: none ever is.",
        rule=FRACTION_BELOW_ONE,
    )
    class_weight: str = setting(
        "none", "balanced: rare classes count more in the loss, in inverse proportion.", choices=CLASS_WEIGHTS
    )
    bn: str = setting(
        "",
        "Batch norm of the unfrozen groups: frozen, affine (gamma and beta only) or train (default: frozen; train from "
        "random weights).",
        choices=BATCH_NORM_MODES,
    )


@dataclass(frozen=True)
class Stage:
    """One stretch of training at one boundary."""

    name: str = setting("", "What the stage is called in the history (default: made from its boundary).")
    unfreeze: str = setting("none", "Lowest layer group that is trained: none (the head only), a group's name, or all.")
    gradual: bool = setting(
        False, "Unfreeze one layer group after the other, from the top down to `unfreeze`, each in a stage of its own."
    )
    epochs: int = setting(
        0,
        "Most passes over the training images (default: 30 for a head, 15 unfrozen, 60 from random weights).",
        rule=NOT_NEGATIVE,
    )
    batch_size: int = setting(0, "Images in a training step (default: 64 for a head, 32 unfrozen).", rule=NOT_NEGATIVE)
    lr: float | str = setting(
        0.0,
        "Learning rate of the head; find: look for it before the stage "
        "(default: 1e-3 for a head, 1e-4 unfrozen, 2e-3 from random weights).",
        rule=Rule("a number, 0 or more, or find", lambda value: value == FIND or value >= 0),
        word=FIND,
    )
    lr_ratio: float = setting(
        0.0,
        "The head's rate divided by the rate of the lowest trained group; groups between are spaced geometrically "
        "(default: 10; 1 from random weights).",
        rule=Rule("a number, 1 or more", lambda value: value == 0 or value >= 1),
    )
    group_lr: dict[str, float] = field(
        default_factory=dict,
        metadata=_metadata("Rate of one layer group, as GROUP=RATE; may be given again.", ANYTHING),
    )
    views: int = setting(1, "Cached views of each training image; view 0 is the image itself.", rule=AT_LEAST_ONE)
    policy: str = setting(
        "standard",
        "How the other views are made: none, standard, letters (no mirroring), crops or strong.",
        choices=POLICIES,
    )
    mixup: float = setting(
        0.0,
        "Train on weighted means of two pictures or features: alpha of the Beta distribution of the shares; 0: off.",
        rule=NOT_NEGATIVE,
    )
    cutmix: float = setting(
        0.0,
        "Train on pictures with a rectangle of another pasted in, everything unfrozen: alpha, as for mixup; 0: off.",
        rule=NOT_NEGATIVE,
    )
    resize_to: int = setting(
        0,
        "Edge of the square input in this stage, in pixels (default: that of the backbone); small first is faster.",
        rule=NOT_NEGATIVE,
    )
    schedule: str = setting("cosine", "Course of the learning rate over the stage.", choices=SCHEDULES)
    warmup: float = setting(
        -1.0,
        "Epochs, also parts of one, over which the rate rises from nearly 0 (default: a twentieth of a cosine; else 0).",
        rule=Rule("a number, 0 or more", lambda value: value == -1 or value >= 0),
    )
    cycle_len: int = setting(1, "Epochs of the first cycle of schedule = restarts.", rule=AT_LEAST_ONE)
    cycle_mult: int = setting(1, "How many times as long each further cycle is.", rule=AT_LEAST_ONE)
    average: int = setting(
        0,
        "Average the weights at the end of so many last epochs, or of restarts, and keep them if validation says so.",
        rule=Rule("0, or a whole number, 2 or more", lambda value: value == 0 or value >= 2),
    )
    patience: int = setting(
        -1,
        "Stop after so many epochs without a lower validation loss; 0: never (default: 8; 0 from random weights).",
        rule=Rule("a whole number, 0 or more", lambda value: value >= -1),
    )

    @property
    def head_rate(self) -> float:
        """The head's learning rate; 1 where it is yet to be found, so that the groups' rates are parts of it."""
        return 1.0 if isinstance(self.lr, str) else self.lr


SECTIONS: dict[str, type] = {
    "data": DataSettings,
    "backbone": BackboneSettings,
    "head": HeadSettings,
    "training": TrainingSettings,
}


@dataclass(frozen=True)
class Recipe:
    """All settings of a run, checked."""

    data: DataSettings = field(default_factory=DataSettings)
    backbone: BackboneSettings = field(default_factory=BackboneSettings)
    head: HeadSettings = field(default_factory=HeadSettings)
    training: TrainingSettings = field(default_factory=TrainingSettings)
    stages: tuple[Stage, ...] = ()

    @property
    def is_from_scratch(self) -> bool:
        """Whether the backbone begins with random weights and is trained whole from the first stage on."""
        return self.backbone.weights == "random" and bool(self.stages) and self.stages[0].unfreeze == "all"

    @property
    def default_bn(self) -> str:
        """What happens to batch norm where nothing is said: statistics of random weights are not worth keeping."""
        return "train" if self.is_from_scratch else "frozen"
