"""What a run was made from and by: it stands in the run's recipe, so that the recipe alone repeats the run.

[inputs]  the data set, and the run that it starts from, with the hashes of both
[made_by]  the command and the versions, and what `auto` came to on the machine that it ran on
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from tlkit.recipes.fields import NOT_EMPTY, SHA256, Rule, setting

_ENGINE = r"\w+ (keras|openvino) (float32|bfloat16|int8)"
_ENGINES = Rule(
    "boundaries, each with its engine and precision: top openvino float32, block4 keras float32",
    lambda value: re.fullmatch(f"{_ENGINE}(, {_ENGINE})*", value) is not None,
)


@dataclass(frozen=True)
class Inputs:
    """What the recipe is run on. Relative paths start from the recipe's folder."""

    data: str | None = setting(
        None, "Data set, a folder or a table, used unless the command line names one.", rule=NOT_EMPTY, words=()
    )
    data_sha256: str | None = setting(
        None, "Hash of its images, splits and targets; data that differs is refused.", rule=SHA256
    )
    start_from: str | None = setting(None, "Run or bundle to start from; its split is kept.", rule=NOT_EMPTY, words=())
    start_sha256: str | None = setting(None, "Hash of its bundle; a different model is refused.", rule=SHA256)


@dataclass(frozen=True)
class MadeBy:
    """How the run was made: for people, for a notice where the versions have changed, and for `auto` to mean the same."""

    command: str | None = setting(None, "Command line of the run.", rule=NOT_EMPTY)
    versions: str | None = setting(None, "Versions of the packages that the result depends on.", rule=NOT_EMPTY)
    engines: str | None = setting(
        None, "Engine and precision at each boundary; engine = auto and precision = auto reuse them.", rule=_ENGINES
    )
    precision: str | None = setting(
        None,
        "Precision of the training steps; precision = auto reuses it.",
        choices=("float32", "bfloat16"),
    )

    def read_engines(self) -> dict[str, tuple[str, str]]:
        """Return engine and precision by boundary."""
        lines = (line.split() for line in self.engines.split(", ")) if self.engines else ()
        return {boundary: (engine, precision) for boundary, engine, precision in lines}

    def with_engines(self, engines: Mapping[str, tuple[str, str]]) -> MadeBy:
        """Return the same with other engines and precisions by boundary."""
        text = ", ".join(f"{boundary} {engine} {precision}" for boundary, (engine, precision) in engines.items())
        return replace(self, engines=text or None)
