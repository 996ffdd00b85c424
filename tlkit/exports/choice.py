"""Choose formats and precisions, and list what there is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tlkit.errors import SettingError, name_fix
from tlkit.exports import EXPORTS, find_export
from tlkit.exports.base import PRECISIONS, Export

Pair = tuple[Export, str]
"""A format and a precision."""


def choose_pairs(formats: Sequence[str], precisions: Sequence[str]) -> list[Pair]:
    """Return each format with each of the precisions that it has.

    Raises:
        SettingError: A format or precision is unknown, none or none of the formats has it, or a package is missing.
    """
    for option, names, valid in (("--format", formats, EXPORTS), ("--precision", precisions, PRECISIONS)):
        for name in names or ("",):
            if name not in valid:
                raise SettingError(
                    f"{option} {name}: there is no such {option.removeprefix('--')}.",
                    expected=f"some of {', '.join(valid)}, with commas between them",
                    fix=name_fix(name, valid),
                )
    exports = [find_export(name) for name in dict.fromkeys(formats)]
    for precision in precisions:
        if not any(precision in export.precisions for export in exports):
            having = [name for name in EXPORTS if precision in find_export(name).precisions]
            raise SettingError(
                f"--precision {precision}: {' and '.join(export.title for export in exports)} cannot be written in it.",
                expected=f"{precision} with --format {' or '.join(having)}" if having else "another precision",
                fix="leave it out, or add such a format.",
            )
    for export in exports:
        if not {*export.precisions} & {*precisions}:
            raise SettingError(
                f"--format {export.name}: {export.title} can only be written in {' or '.join(export.precisions)}.",
                expected=f"--precision {export.precisions[0]}",
                fix="add this precision, or leave out the format.",
            )
    pairs = [(export, each) for export in exports for each in dict.fromkeys(precisions) if each in export.precisions]
    for export, precision in pairs:
        export.require(precision)
    return pairs


def choose_installed(formats: Sequence[str]) -> str:
    """Return the first of some formats that is installed here, or the last."""
    return next((name for name in formats if name in EXPORTS and not find_export(name).missing_packages), formats[-1])


def list_formats() -> list[dict[str, Any]]:
    """Return what there is, a row for each format: its names, precisions, what it is for, and what is not installed."""
    return [
        {
            "format": export.name,
            "title": export.title,
            "precisions": list(export.precisions),
            "use": export.use,
            "runtime": export.runtime,
            "is_installed": not export.missing_packages,
            "install": "" if not export.missing_packages else export.installation,
        }
        for export in map(find_export, EXPORTS)
    ]
