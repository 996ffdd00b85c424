"""Settings as words of the command line."""

from __future__ import annotations

import dataclasses
from typing import Any

from tlkit.recipes.fields import as_word


def setting_flag(field: dataclasses.Field[Any]) -> str:
    """Return the command-line flag of a settings field: `--lr-ratio` for `lr_ratio`."""
    return field.metadata["flag"] or "--" + field.name.replace("_", "-")


def list_words(settings: Any) -> list[str]:
    """Return the words that give every setting of a settings dataclass that differs from its default.

    Examples:
        >>> from tlkit.recipes.settings import BackboneSettings
        >>> list_words(BackboneSettings(name="resnet50", image_size=160))
        ['--backbone', 'resnet50', '--image-size', '160']
    """
    words = []
    defaults = type(settings)()
    for field in dataclasses.fields(settings):
        value, flag = getattr(settings, field.name), setting_flag(field)
        if value == getattr(defaults, field.name):
            continue
        if isinstance(value, bool):
            words.append(flag if value else f"--no-{flag.removeprefix('--')}")
        elif isinstance(value, dict):
            words += [word for key, number in value.items() for word in (flag, f"{key}={number:g}")]
        else:
            words += [flag, f"{value:g}" if isinstance(value, float) else str(as_word(value))]
    return words
