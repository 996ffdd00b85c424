"""Options that commands share: those built from the settings in `tlkit.recipes`, and `-v`, `-q`, `--json`.

A setting's flag, help, default and rule come from its dataclass field, so an option exists once. An option that is
not given is None, so a recipe or an earlier run takes precedence over the default.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar, get_args, get_type_hints

import click

from tlkit.cli.main import COMMAND_LINE, JSON_ASKED_FOR
from tlkit.devices import ALL
from tlkit.models.networks import NETWORK_FORMATS, PREDICTION_ENGINES
from tlkit.places.place import is_place, without_secrets
from tlkit.recipes import SECTIONS, Stage
from tlkit.recipes.given import setting_flag, setting_parameter
from tlkit.recipes.settings import MOSAIC, OPEN_PRECISIONS, POLICIES, PRECISIONS
from tlkit.recipes.task_defaults import list_other_defaults
from tlkit.reports.console import Console, announce_waits

Function = TypeVar("Function", bound=Callable[..., Any])


class PathOrUrl(click.Path):
    """A path; or the URL of a place, such as s3://bucket/photos, whose slashes a path would lose."""

    def __init__(self) -> None:
        super().__init__(path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return a URL as text, anything else as a path."""
        return value if isinstance(value, str) and is_place(value) else super().convert(value, param, ctx)


PATH_OR_URL = PathOrUrl()


class KeyNumber(click.ParamType[tuple[str, float]]):
    """An option's value such as `conv4=1e-5`."""

    name = "KEY=NUMBER"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, float]:
        """Return (key, number)."""
        if isinstance(value, tuple):
            return value
        key, _, number = value.partition("=")
        try:
            return key.strip(), float(number)
        except ValueError:
            self.fail(f"{value!r} is not KEY=NUMBER, such as conv4=1e-5.", param, ctx)


class NumberOrWord(click.ParamType[float | str]):
    """A number, or one word in its place."""

    def __init__(self, word: str, kind: type[int | float]) -> None:
        self._word = word
        self._kind = kind
        self.name = "INTEGER" if kind is int else "FLOAT"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float | str:
        """Return the number, or the word."""
        if value == self._word:
            return self._word
        try:
            return self._kind(value)
        except ValueError:
            number = "a whole number" if self._kind is int else "a number"
            self.fail(f"{value!r} is neither {number} nor {self._word!r}.", param, ctx)

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        """Return the placeholder for the value in the help."""
        return f"{self.name}|{self._word}"


def settings_options(settings_type: type, only: Sequence[str] = ()) -> Callable[[Function], Function]:
    """Return a decorator that adds one option for each field of a settings dataclass.

    Args:
        settings_type: One of the dataclasses in `tlkit.recipes`.
        only: Names of the fields to add; all of them if empty.
    """
    fields = _chosen_fields(settings_type, only)
    types = get_type_hints(settings_type)

    def decorate(function: Function) -> Function:
        for field in reversed(fields):
            function = _setting_option(field, types[field.name])(function)
        return function

    return decorate


def run_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of every command that trains: `--out`, `--start-from`, `--resume` and the recipe's sections.

    The command receives `out`, `start_from`, `resume` and, for the sections, keyword arguments for `tlkit.recipes.given`.
    """
    for section in reversed(SECTIONS.values()):
        function = settings_options(section)(function)
    resume = click.option(
        "--resume", is_flag=True, help="Resume the interrupted run in --out; pass the same options as before."
    )
    out = click.option(
        "--out",
        type=PATH_OR_URL,
        help="Folder to create for the run (default: in runs/, named after the data).",
    )
    decorated: Callable[..., Any] = out(start_from_option(resume(function)))
    return decorated


def start_from_option(function: Function) -> Function:
    """Add `--start-from`."""
    return click.option(
        "--start-from",
        type=PATH_OR_URL,
        help="Start from the model of an earlier run; its split is kept.",
    )(function)


def ray_option(function: Function) -> Function:
    """Add `--ray`."""
    return click.option(
        "--ray",
        metavar="auto|local|HOST:PORT",
        help="Compute on a Ray cluster: a running one, one on this machine, or the one at an address. All nodes must see the "
        "images at the same path.",
    )(function)


def engine_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add `--engine` and `--precision` for a saved model."""
    engine = click.option(
        "--engine",
        type=click.Choice(PREDICTION_ENGINES),
        default="auto",
        show_default=True,
        help=f"Engine that runs the model; auto: {' or '.join(NETWORK_FORMATS)} if it is installed and the run has a network for it, "
        "else keras.",
    )
    precision = click.option(
        "--precision",
        type=click.Choice([each for each in PRECISIONS if each not in OPEN_PRECISIONS]),
        default="float32",
        show_default=True,
        help="Precision of OpenVINO; bfloat16 changes probabilities by up to 0.01, and is faster if the processor supports it.",
    )
    decorated: Callable[..., Any] = engine(precision(function))
    return decorated


def devices_option(function: Function) -> Function:
    """Add `--devices` for a saved model."""
    return click.option(
        "--devices",
        type=NumberOrWord(ALL.value, int),
        default=1,
        show_default=True,
        help="GPUs that Keras computes on, or all; batches go to each in turn.",
    )(function)


def window_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add `--window` and `--step` for windows of a large picture."""
    window = click.option(
        "--window",
        type=click.IntRange(min=8),
        metavar="PX",
        help="Edge of a window in pixels of the picture; it is scaled to the model's image size (default: that size, as it is).",
    )
    step = click.option(
        "--step", type=click.IntRange(min=1), metavar="PX", help="Pixels from a window to the next one."
    )
    decorated: Callable[..., Any] = window(step(function))
    return decorated


def table_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add `--table` and `--image-column` for the metadata of new images."""
    table = click.option(
        "--table",
        type=PATH_OR_URL,
        help="Table with the metadata that the model takes, by image path.",
    )
    image_column = click.option(
        "--image-column", help="Column of --table with image paths (default: detected by name)."
    )
    decorated: Callable[..., Any] = table(image_column(function))
    return decorated


def view_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add `--views` and `--policy` for a saved model."""
    views = click.option(
        "--views",
        type=click.IntRange(min=1),
        default=1,
        show_default=True,
        help="Number of views per picture to average predictions over; view 0 is the picture itself.",
    )
    policy = click.option(
        "--policy",
        type=click.Choice([policy for policy in POLICIES[1:] if policy != MOSAIC]),
        help=f"Augmentation policy for the other views, preferably that of the training (default: {Stage.policy}).",
    )
    decorated: Callable[..., Any] = views(policy(function))
    return decorated


def card_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add what only the user knows of a model: `--license`, `--dataset` and `--evaluation`."""
    licence = click.option(
        "--license", metavar="NAME", help="Licence of the model, as hubs name it, such as mit or apache-2.0."
    )
    dataset = click.option("--dataset", metavar="NAME", help="Name of the data set on a hub, such as user/birds.")
    evaluation = click.option(
        "--evaluation",
        type=PATH_OR_URL,
        help="Folder of `tlkit evaluate --out`; its scores stand before those of the run.",
    )
    decorated: Callable[..., Any] = licence(dataset(evaluation(function)))
    return decorated


def output_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add `-v`, `-q` and `--json`, and pass the command a `console` made from them."""

    @click.option("-v", "--verbose", is_flag=True, help="Print more details.")
    @click.option("-q", "--quiet", is_flag=True, help="Print only warnings and results.")
    @click.option(
        "--json",
        "as_json",
        is_flag=True,
        is_eager=True,
        callback=_remember_json,
        help="Print one JSON object on standard output, and everything else on standard error.",
    )
    @functools.wraps(function)
    def command(*args: Any, verbose: bool, quiet: bool, as_json: bool, **kwargs: Any) -> Any:
        if verbose and quiet:
            raise click.UsageError("-v and -q are mutually exclusive.")
        typed = click.get_current_context().meta.get(COMMAND_LINE)
        command = without_secrets(typed) if typed else None  # runs record it
        console = Console(verbosity=1 if verbose else -1 if quiet else 0, json=as_json, command=command)
        if not quiet:
            announce_waits()
        return function(*args, console=console, **kwargs)

    return command


def _chosen_fields(settings_type: type, only: Sequence[str]) -> list[dataclasses.Field[Any]]:
    fields = {field.name: field for field in dataclasses.fields(settings_type)}
    return [fields[name] for name in only] if only else list(fields.values())


def _setting_option(field: dataclasses.Field[Any], kind: Any) -> Callable[[Function], Function]:
    flag = setting_flag(field)
    details: dict[str, Any] = {"default": None, "help": _help_with_default(field)}
    if kind is bool:
        return click.option(f"{flag}/--no-{flag.removeprefix('--')}", setting_parameter(field), **details)
    if field.metadata["word"]:
        details["type"] = NumberOrWord(field.metadata["word"].value, int if int in get_args(kind) else float)
    elif field.metadata["choices"]:
        details["type"] = click.Choice(field.metadata["choices"])
    elif field.default_factory is dict:
        details.update(type=KeyNumber(), multiple=True)
    else:
        (details["type"],) = {int, float, str} & {kind, *get_args(kind)}
    return click.option(flag, setting_parameter(field), **details)


def _help_with_default(field: dataclasses.Field[Any]) -> str:
    """Return the field's help, with its default unless that is None or a flag."""
    text: str = field.metadata["help"]
    default = field.default
    if default is None or isinstance(default, bool) or default is dataclasses.MISSING:
        return text
    others = {task: value for task, value in list_other_defaults(field.name).items() if value != default}
    shown = [_show(default), *(f"{_show(value)} for {task}" for task, value in others.items())]
    return f"{text}  [default: {'; '.join(shown)}]"


def _show(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _remember_json(ctx: click.Context, param: click.Parameter, value: bool) -> bool:
    ctx.meta[JSON_ASKED_FOR] = value
    return value
