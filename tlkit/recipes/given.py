"""Given settings, by the names of the command line's options.

A setting that is not given is None, which lets a recipe or an earlier run decide before the default does.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, TypeVar

from tlkit.errors import SettingError, name_fix
from tlkit.recipes.fields import as_word
from tlkit.recipes.reading import build_settings
from tlkit.recipes.settings import MOSAIC, SECTIONS
from tlkit.recipes.task_defaults import make_sections


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


Settings = TypeVar("Settings")


def setting_parameter(field: dataclasses.Field[Any]) -> str:
    """Return the keyword by which a settings field is given: `backbone` for `[backbone] name`."""
    return setting_flag(field).removeprefix("--").replace("-", "_")


def given_settings(settings_type: type, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings that were given, by field name, each one checked.

    Args:
        settings_type: One of the dataclasses in `tlkit.recipes`.
        options: By keyword; those that belong to other dataclasses are skipped.

    Raises:
        SettingError: A value breaks its field's rule.
    """
    given = {}
    for field in dataclasses.fields(settings_type):
        value = options.get(setting_parameter(field))
        if value is None or value == ():
            continue
        if isinstance(value, tuple):
            value = dict(value)
        checked = build_settings(settings_type, {field.name: value}, f"{setting_flag(field)}:")
        given[field.name] = getattr(checked, field.name)
    return given


def collect_settings(settings_type: type[Settings], options: Mapping[str, Any]) -> Settings:
    """Return the settings dataclass filled with what was given, defaults elsewhere.

    Raises:
        SettingError: A value breaks its field's rule.
    """
    return settings_type(**given_settings(settings_type, options))


def collect_sections(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return all sections of a recipe filled with what was given, elsewhere with the defaults of the task that is given.

    Raises:
        SettingError: A value breaks its field's rule.
    """
    given = given_sections(options)
    usual = make_sections(given["data"].get("task"))
    return {name: dataclasses.replace(usual[name], **values) for name, values in given.items()}


def given_sections(options: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return, by section of a recipe, the settings that were given.

    Raises:
        SettingError: A value breaks its field's rule.
    """
    return {name: given_settings(section, options) for name, section in SECTIONS.items()}


def check_known(options: Mapping[str, Any], *settings_types: type, of: str) -> None:
    """Refuse a keyword that belongs to no field of some settings dataclasses.

    Args:
        options: By keyword.
        settings_types: Those that apply.
        of: What was called, for the message.

    Raises:
        SettingError: A keyword is unknown.
    """
    known = [setting_parameter(field) for each in settings_types for field in dataclasses.fields(each)]
    for name in options:
        if name not in known:
            raise SettingError(
                f"{of} takes no {name}.", expected=f"one of {', '.join(known)}", fix=name_fix(name, known)
            )


def check_policy(views: int, policy: str | None) -> None:
    """Refuse a policy where there is no view that it could make.

    Raises:
        SettingError: The policy has nothing to do.
    """
    if policy not in (None, "none") and views == 1:
        raise SettingError(
            f"--policy {policy} has no effect without --views: the only view is the image itself.",
            expected="--policy only with --views of 2 or more",
            fix="add --views 4, or leave out --policy.",
        )


def refuse_mosaics(policy: str | None, option: str) -> None:
    """Refuse views that show several images where each image is asked about by itself.

    Args:
        policy: The policy.
        option: The option that gives it, for the message.

    Raises:
        SettingError: Its views are mosaics.
    """
    if policy == MOSAIC:
        raise SettingError(
            f"{option} {policy}: a mosaic shows four images, and each is judged by itself.",
            expected="a policy whose views show one image",
            fix=f"use {option} scales.",
        )
