"""The settings of a run, from the command line, a recipe file or a saved run: declared once, checked once."""

from tlkit.recipes.checks import check_recipe
from tlkit.recipes.gradual import expand_gradual
from tlkit.recipes.reading import (
    build_recipe,
    build_settings,
    find_usual_rate,
    list_differences,
    read_recipe,
    resolve_recipe,
    resolve_stages,
    write_recipe,
)
from tlkit.recipes.settings import (
    FIND,
    SECTIONS,
    BackboneSettings,
    DataSettings,
    HeadSettings,
    Recipe,
    ResolvedStage,
    Stage,
    TrainingSettings,
)

__all__ = [
    "FIND",
    "SECTIONS",
    "BackboneSettings",
    "DataSettings",
    "HeadSettings",
    "Recipe",
    "ResolvedStage",
    "Stage",
    "TrainingSettings",
    "build_recipe",
    "build_settings",
    "check_recipe",
    "expand_gradual",
    "find_usual_rate",
    "list_differences",
    "read_recipe",
    "resolve_recipe",
    "resolve_stages",
    "write_recipe",
]
