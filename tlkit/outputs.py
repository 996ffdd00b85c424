"""Kinds of outputs of a model: a class, several labels, a value, objects or a mask, and optionally a box."""

from __future__ import annotations

import math
import unicodedata
from dataclasses import dataclass

Box = tuple[float, float, float, float]
"""left, top, right, bottom."""

CLASSIFICATION, MULTILABEL, REGRESSION = "classification", "multilabel", "regression"
DETECTION, SEGMENTATION = "detection", "segmentation"
TASKS = (CLASSIFICATION, MULTILABEL, REGRESSION, DETECTION, SEGMENTATION)

MAX_CLASS_NAME_LENGTH = 200

SOFT, HARD = SUPPRESSIONS = ("soft", "hard")
"""Kinds of non-maximum suppression: see `tlkit.detection.decoding`."""

COCO, YOLO, VOC = OBJECT_FORMATS = ("coco", "yolo", "voc")
"""Formats in which found objects are written, beside rows."""

FOLDER_FORMATS = (YOLO, VOC)
"""Those with a file for each image."""

LABEL_SEPARATOR = "|"
"""What stands between the names of several labels in one cell of a table."""

QUANTITIES = {
    "accuracy": "accuracy",
    "label_accuracy": "label accuracy",
    "r2": "R²",
    "map50": "mAP50",
    "miou": "mIoU",
    "iou": "IoU",
    "loss": "loss",
}
"""The figures of a history as people write them."""


def normalize_name(name: str) -> str:
    """Return a class name in Unicode's composed form, as folders made on a Mac are spelled otherwise than on Linux."""
    return unicodedata.normalize("NFC", name)


@dataclass(frozen=True)
class Target:
    """A value that is learnt: (value - mean) / scale, of the value or of its logarithm.

    Attributes:
        name: The column's.
        mean: Of the training values, or of their logarithms.
        scale: Their standard deviation, above 0.
        is_log: Whether the logarithm is learnt.
    """

    name: str
    mean: float
    scale: float
    is_log: bool


def format_value(value: float, *, signed: bool = False) -> str:
    """Return a number as people read it: three significant digits or more, thousands apart.

    Args:
        value: Any number.
        signed: Whether a positive one begins with "+".

    Examples:
        >>> [format_value(value) for value in (325_000.4, 12.3, 2.0, 0.00123, 4e-7)]
        ['325,000', '12.3', '2', '0.00123', '4.00e-07']
    """
    sign = "+" if signed and value else ""
    if value and not 1e-4 <= abs(value) < 1e12:
        return f"{value:{sign}.2e}"
    if float(value).is_integer():
        return f"{value:{sign}z,.0f}"
    digits_left_of_point = 1 + math.floor(math.log10(abs(value)))
    return f"{value:{sign},.{max(0, 3 - digits_left_of_point)}f}"


DEEP_12, DEEP_16, DEEP_32, DEEP_FLOAT = GREY_KINDS = ("12-bit", "16-bit", "32-bit", "float")
"""How a file stores grey that has more than 8 bits; which of them it uses is another matter."""


@dataclass(frozen=True)
class GreyRange:
    """Which values of a kind of deep grey are black and white.

    Attributes:
        kind: One of GREY_KINDS.
        black: The value that becomes 0.
        white: The value that becomes 255; not below `black`.
    """

    kind: str
    black: float
    white: float
