"""Recipes in and out of files.

Nothing heavy is imported: every setting is checked before TensorFlow is loaded.
"""

from __future__ import annotations

import dataclasses
import math
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from tlkit.errors import SettingError, name_fix
from tlkit.files import write_text
from tlkit.recipes.checks import check_recipe
from tlkit.recipes.fields import ANYTHING, NOT_EMPTY, Rule, as_word
from tlkit.recipes.settings import RECORDS, SECTIONS, DataSettings, Recipe, Stage
from tlkit.recipes.task_defaults import fill_views, make_sections

Settings = TypeVar("Settings", bound=Any)

RECIPE_FILE = "recipe.toml"
"""The recipe in the folder of its run."""
MAX_BYTES = 1_000_000
MAX_DOTS = 100
"""In a line: the time that a key of many parts takes goes with the square of their number."""
LONGEST_SHOWN = 80
"""Characters of a value that an error shows."""
NOT_COMPARED = ("data_sha256", "devices")
"""Settings and inputs in which two recipes of the same run may differ."""


def read_recipe(path: Path) -> Recipe:
    """Read and check a recipe file.

    Raises:
        SettingError: If the file is missing, is not TOML, has an unknown key, or a value outside its rule.
    """
    return read_given_recipe(path).recipe


@dataclass(frozen=True)
class GivenRecipe:
    """A recipe, and what its file says itself.

    Attributes:
        recipe: With defaults for what the file leaves out.
        sections: By section, the settings that stand in the file.
    """

    recipe: Recipe
    sections: dict[str, dict[str, Any]]


def read_given_recipe(path: Path, *, is_whole: bool = True) -> GivenRecipe:
    """Read and check a recipe file; raises as `read_recipe` does.

    Args:
        path: The file.
        is_whole: Whether its settings have to go together. They need not where others are laid over them; what comes of
            that is checked later.
    """
    content = _read_toml(path)
    recipe = build_recipe(content, source=str(path), is_whole=is_whole)
    parts = {
        name: make_absolute(getattr(recipe, name), path.parent) for name in (*SECTIONS, *RECORDS) if name in content
    }
    sections = {name: {key: getattr(parts[name], key) for key in content[name]} for name in SECTIONS if name in content}
    return GivenRecipe(dataclasses.replace(recipe, **parts), sections)


def make_absolute(settings: Settings, folder: Path) -> Settings:
    """Return the settings with their relative paths taken from a folder; one that is not there stays as it is."""
    changed = {}
    for item in dataclasses.fields(settings):
        value, words = getattr(settings, item.name), item.metadata["words"]
        if words is not None and value is not None and value not in words and (folder / value).exists():
            changed[item.name] = os.path.abspath(folder / value)  # noqa: PTH100 - takes ".." away, which Path.absolute does not
    return dataclasses.replace(settings, **changed)


def _read_toml(path: Path) -> dict[str, Any]:
    if path.exists() and not path.is_file():  # a device or a pipe might never end
        raise _unreadable(path, "not a regular file")
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise _unreadable(path, str(error.strerror)) from error
    if len(content) > MAX_BYTES:
        raise _unreadable(path, f"larger than {MAX_BYTES:,} bytes")
    try:
        if any(line.count(b".") > MAX_DOTS for line in content.splitlines()):
            raise RecursionError
        document = tomllib.loads(content.decode("utf-8", errors="surrogateescape"))  # paths may hold any bytes
        _refuse_giants(document)
    except tomllib.TOMLDecodeError as error:
        raise SettingError(f"{path}: not valid TOML: {error}.", expected="a TOML file", fix="fix that line.") from error
    except (RecursionError, ValueError) as error:
        reason = "nested too deeply" if isinstance(error, RecursionError) else "a whole number of more than 64 bits"
        raise SettingError(
            f"{path}: {reason}.",
            expected="the tables listed in docs/reference/recipe.md",
            fix="remove everything else.",
        ) from error
    return document


def _refuse_giants(value: Any) -> None:
    """Raise ValueError for a whole number that TOML does not allow, and RecursionError for tables without end."""
    if isinstance(value, int) and value.bit_length() > 63:
        raise ValueError
    if isinstance(value, dict | list):
        for each in value.values() if isinstance(value, dict) else value:
            _refuse_giants(each)


def _unreadable(path: Path, reason: str) -> SettingError:
    return SettingError(
        f"{path}: the recipe cannot be read ({reason}).",
        expected="the path of a TOML file",
        fix="check the path; recipes/ in the tlkit repository has examples.",
    )


def build_recipe(content: Mapping[str, Any], *, source: str, is_whole: bool = True) -> Recipe:
    """Build a checked recipe from a parsed TOML document; `source` names it in errors.

    Unless it `is_whole`, only each setting is checked by itself.

    Raises:
        SettingError: If a key is unknown or a value is outside its rule.
    """
    _refuse_unknown_keys(content, (*SECTIONS, "stage", *RECORDS), where=source)
    tables = {name: _as_table(content.get(name, {}), f"{source}: [{name}]") for name in SECTIONS | RECORDS}
    task = build_settings(DataSettings, tables["data"], f"{source}: [data]").task
    usual = make_sections(task)
    sections = {
        name: build_settings(section, tables[name], f"{source}: [{name}]", usual.get(name))
        for name, section in (SECTIONS | RECORDS).items()
    }
    stages = content.get("stage", [])
    if not isinstance(stages, list) or not stages:
        raise SettingError(
            f"{source} has no [[stage]].",
            expected="one or more [[stage]] tables, in training order",
            fix="add [[stage]] with unfreeze, epochs and lr.",
        )
    built = tuple(
        _build_stage(stage, task, f"{source}: [[stage]] {number}") for number, stage in enumerate(stages, start=1)
    )
    recipe = Recipe(stages=built, **sections)
    return check_recipe(recipe, source=source) if is_whole else recipe


def _build_stage(content: Any, task: str, where: str) -> Stage:
    values = _as_table(content, where)
    stage: Stage = build_settings(Stage, values, where)
    given = {name: getattr(stage, name) for name in values}
    filled = Stage(**fill_views(task, given))
    fresh = filled.unfreeze == "all" and not filled.gradual
    return dataclasses.replace(filled, views=stage.views) if fresh else filled


def build_settings(cls: type[Any], values: Mapping[str, Any], where: str, usual: Any = None) -> Any:
    """Build one settings dataclass from names and values, checking every name, type and rule.

    Args:
        cls: DataSettings, BackboneSettings, HeadSettings, TrainingSettings or Stage.
        values: Field names to values; fields left out keep their defaults.
        where: What the user called this place, for errors: `recipe.toml: [head]`, `--head`.
        usual: Settings whose fields take the place of the defaults; None for the fields' own.

    Raises:
        SettingError: Naming the place, the field, the value and the rule.
    """
    fields = {item.name: item for item in dataclasses.fields(cls)}
    _refuse_unknown_keys(values, tuple(fields), where=where)
    checked = {name: _checked(fields[name], value, where) for name, value in values.items()}
    return dataclasses.replace(cls() if usual is None else usual, **checked)


def write_recipe(recipe: Recipe, path: Path) -> None:
    """Write every setting of a recipe that is not open as TOML; `read_recipe` gives an equal recipe back.

    Weights that come from the run to start from are left out: they are what that run has.
    """
    import tomli_w

    recipe = _without_weights_of_start(recipe)
    content: dict[str, Any] = {name: _list_values(getattr(recipe, name)) for name in (*RECORDS, *SECTIONS)}
    content["stage"] = [_list_values(stage) for stage in recipe.stages]
    write_text(path, tomli_w.dumps({name: values for name, values in content.items() if values}))


def _list_values(settings: Any) -> dict[str, Any]:
    """Return the settings that are not None, by name, as TOML writes them."""
    values = {name: value for name, value in dataclasses.asdict(settings).items() if value is not None}
    return {name: as_word(value) for name, value in values.items()}


def _without_weights_of_start(recipe: Recipe) -> Recipe:
    if not recipe.inputs.start_from:
        return recipe
    return dataclasses.replace(recipe, backbone=dataclasses.replace(recipe.backbone, weights=None))


def list_differences(left: Recipe, right: Recipe) -> list[str]:
    """Return `table.key: left → right` for every setting and input in which two recipes differ.

    The hash of the data is left out: it is known only once the images have been read. So is the number of devices, which
    only rounds otherwise.
    """
    left, right = map(_without_weights_of_start, (left, right))
    differences = []
    for name in ("inputs", *SECTIONS):
        differences += _field_differences(name, getattr(left, name), getattr(right, name))
    if len(left.stages) != len(right.stages):
        differences.append(f"number of stages: {len(left.stages)} → {len(right.stages)}")
    for number, (one, other) in enumerate(zip(left.stages, right.stages, strict=False), start=1):
        differences += _field_differences(f"stage {number}", one, other)
    return differences


def _field_differences(where: str, left: Any, right: Any) -> list[str]:
    return [
        f"{where}.{item.name}: {_show(getattr(left, item.name))} → {_show(getattr(right, item.name))}"
        for item in dataclasses.fields(left)
        if getattr(left, item.name) != getattr(right, item.name) and item.name not in NOT_COMPARED
    ]


def _show(value: Any) -> str:
    if value is None:
        return "not set"
    if isinstance(value, Mapping):
        return " ".join(f"{name}={_show(each)}" for name, each in value.items()) or "none"
    return _as_toml(value)


def _as_toml(value: Any) -> str:
    """Return a value about as it stands in a file; the beginning of one that is long."""
    if isinstance(value, bool):
        text = str(value).lower()
    elif isinstance(value, Mapping):
        text = f"{{{', '.join(f'{name} = {_as_toml(each)}' for name, each in value.items())}}}"
    elif isinstance(value, list):
        text = f"[{', '.join(map(_as_toml, value))}]"
    else:
        value = as_word(value)
        text = repr(value) if isinstance(value, str) else str(value)
    return text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}…"


def _as_table(value: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise SettingError(
            f"{where} is {_as_toml(value)}.", expected="a table of settings", fix="write it as a TOML table."
        )
    return value


def _refuse_unknown_keys(values: Mapping[str, Any], valid: tuple[str, ...], *, where: str) -> None:
    for name in values:
        if name not in valid:
            raise SettingError(
                f"{where}: unknown key {name!r}.", expected=f"one of {', '.join(valid)}", fix=name_fix(name, valid)
            )


def _checked(item: dataclasses.Field[Any], value: Any, where: str) -> Any:
    """Return the value in its field's type, or raise with the field's rule."""
    rule: Rule = item.metadata["rule"]
    word = item.metadata["word"]
    if word and value in (word, word.value):
        return word
    kind = {"float": float, "int": int, "str": str, "bool": bool}.get(str(item.type).split(" | ")[0])
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if kind is None:
        value = _checked_rates(value, f"{where} {item.name}")
    elif type(value) is not kind:
        names = {float: "a number", int: "a whole number", str: "text in quotes", bool: "true or false"}
        raise SettingError(
            f"{where} {item.name} is {_as_toml(value)}.",
            expected=names[kind] if rule in (ANYTHING, NOT_EMPTY) or kind in (str, bool) else rule.expected,
            fix=name_fix(value, (word.value,))
            if word and isinstance(value, str)
            else f"correct {item.name}, or remove the line for the default.",
        )
    if (kind is float and not math.isfinite(value)) or not rule.allows(value):
        raise SettingError(
            f"{where} {item.name} is {_as_toml(value)}.", expected=rule.expected, fix=_rule_fix(item, value)
        )
    return value


def _checked_rates(value: Any, where: str) -> dict[str, float]:
    rates = {str(group): rate for group, rate in _as_table(value, where).items()}
    for group, rate in rates.items():
        if isinstance(rate, bool) or not isinstance(rate, (int, float)) or not 0 <= rate < math.inf:
            raise SettingError(
                f"{where} {group} is {_as_toml(rate)}.",
                expected="a learning rate for each layer group, a number, 0 or more",
                fix=f"correct the rate of {group}.",
            )
    return {group: float(rate) for group, rate in rates.items()}


def _rule_fix(item: dataclasses.Field[Any], value: Any) -> str:
    choices = item.metadata["choices"]
    if choices:
        return name_fix(str(value), choices)
    return f"correct {item.name}, or leave it out for the default."
