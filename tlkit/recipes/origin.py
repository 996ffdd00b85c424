"""What a run was made from and by: it stands in the run's recipe, so that the recipe alone repeats the run.

[inputs]  the data set, and the run that it starts from, with the hashes of both
[made_by]  the command and the versions
"""

from __future__ import annotations

from dataclasses import dataclass

from tlkit.recipes.fields import NOT_EMPTY, SHA256, setting


@dataclass(frozen=True)
class Inputs:
    """What the recipe is run on. Relative paths start from the recipe's folder."""

    data: str | None = setting(
        None, "The data set, a folder or a table, where the command line names none.", rule=NOT_EMPTY, words=()
    )
    data_sha256: str | None = setting(
        None, "Hash of its images, their splits and answers; other images are refused.", rule=SHA256
    )
    start_from: str | None = setting(
        None, "The run or bundle whose model is trained further; its split is kept.", rule=NOT_EMPTY, words=()
    )
    start_sha256: str | None = setting(None, "Hash of its bundle; another model is refused.", rule=SHA256)


@dataclass(frozen=True)
class MadeBy:
    """How the run was made; for people, and for a notice where the versions have changed."""

    command: str | None = setting(None, "The command line.", rule=NOT_EMPTY)
    versions: str | None = setting(None, "Versions of what computed it.", rule=NOT_EMPTY)
