"""The settings of the head: `[head]` in a recipe."""

from __future__ import annotations

from dataclasses import dataclass

from tlkit.heads import HEADS, Head
from tlkit.metrics.whitenings import WHITENINGS, Whitening
from tlkit.outputs import SOFT, SUPPRESSIONS
from tlkit.recipes.fields import AT_LEAST_ONE, FRACTION_ABOVE_ZERO, FRACTION_BELOW_ONE, setting

WHITEN_HELP = (
    "Preprocessing of the features that the head takes, fitted on training images: centre (mean 0), standard (also variance "
    "1), pca or zca (also uncorrelated)"
)


@dataclass(frozen=True)
class HeadSettings:
    """The new layers on top of the backbone."""

    kind: str = setting(
        "dense",
        "Kind of head: " + "; ".join(f"{head.kind}: {head.summary}" for head in HEADS.values()) + ".",
        choices=tuple(HEADS),
        flag="--head",
    )
    dropout: float = setting(0.5, "Dropout rate of the head.", rule=FRACTION_BELOW_ONE)
    units: int = setting(
        512, "Units per layer of a head with dense layers, or filters of the conv head.", rule=AT_LEAST_ONE
    )
    nms: str = setting(
        SOFT, "Boxes that overlap a better one of their class: soft: lower the score; hard: drop.", choices=SUPPRESSIONS
    )
    whiten: str = setting(
        Whitening.kind, f"{WHITEN_HELP}; none: the head's own batch norm, which learns.", choices=WHITENINGS
    )
    whiten_floor: float = setting(
        Whitening.floor,
        "Lowest variance that pca and zca make 1, as a fraction of the largest.",
        rule=FRACTION_ABOVE_ZERO,
    )

    @property
    def whitening(self) -> Whitening:
        """What fixed layers make of the feature."""
        return Whitening(self.whiten, self.whiten_floor)

    @property
    def record(self) -> Head:
        """What the kind of head is."""
        return HEADS[self.kind]
