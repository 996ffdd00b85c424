"""The settings of a run, from the command line, a recipe file or a saved run: declared once, checked once."""

from tlkit.recipes.checks import check_recipe, has_single_box
from tlkit.recipes.defaults import (
    ResolvedBackbone,
    ResolvedStage,
    expand_gradual,
    find_usual_rate,
    resolve_backbone,
    resolve_recipe,
    resolve_stage,
    resolve_stages,
)
from tlkit.recipes.fields import FIND, RateSearch
from tlkit.recipes.head_settings import HeadSettings
from tlkit.recipes.origin import Inputs, MadeBy
from tlkit.recipes.reading import (
    GivenRecipe,
    build_recipe,
    build_settings,
    list_differences,
    make_absolute,
    read_given_recipe,
    read_recipe,
    write_recipe,
)
from tlkit.recipes.settings import (
    RECORDS,
    SECTIONS,
    BackboneSettings,
    DataSettings,
    Recipe,
    Stage,
    TrainingSettings,
)
from tlkit.recipes.task_defaults import fill_views, make_sections

__all__ = [
    "FIND",
    "RECORDS",
    "SECTIONS",
    "BackboneSettings",
    "DataSettings",
    "GivenRecipe",
    "HeadSettings",
    "Inputs",
    "MadeBy",
    "RateSearch",
    "Recipe",
    "ResolvedBackbone",
    "ResolvedStage",
    "Stage",
    "TrainingSettings",
    "build_recipe",
    "build_settings",
    "check_recipe",
    "expand_gradual",
    "fill_views",
    "find_usual_rate",
    "has_single_box",
    "list_differences",
    "make_absolute",
    "make_sections",
    "read_given_recipe",
    "read_recipe",
    "resolve_backbone",
    "resolve_recipe",
    "resolve_stage",
    "resolve_stages",
    "write_recipe",
]
