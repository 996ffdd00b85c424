"""What a new training takes over from the images of the training that it continues."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from tlkit.outputs import GreyRange


@dataclass(frozen=True)
class EarlierImages:
    """The images of an earlier training.

    Attributes:
        class_names: Classes of its model, in label order; the data must have the same ones.
        grey: Black and white levels for grey of more than 8 bits.
        splits: Splits by image hash, as far as they are known. They apply where the data has no splits, so that no
            earlier validation image is trained on.
    """

    class_names: tuple[str, ...]
    grey: tuple[GreyRange, ...] = ()
    splits: Mapping[str, str] = field(default_factory=dict)
