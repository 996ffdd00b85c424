"""Before training: `tlkit compare`, `tlkit leak`, `tlkit plan`, `tlkit lr-find`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from tlkit.api.arguments import Place, Result, as_path, fetch, fetch_data, quiet_console
from tlkit.errors import SettingError
from tlkit.recipes.fields import FIND
from tlkit.recipes.given import check_known, collect_sections, collect_settings, given_sections, given_settings
from tlkit.recipes.settings import (
    SECTIONS,
    BackboneSettings,
    DataSettings,
    Stage,
    TrainingSettings,
)
from tlkit.reports.console import Console

if TYPE_CHECKING:
    from tlkit.probes.fleet import Fleet

__all__ = ["compare", "leak", "lr_find", "plan"]


def compare(
    data: Place,
    *,
    backbones: Sequence[str] = (BackboneSettings.name,),
    boundaries: Sequence[str] = (),
    heads: Sequence[str] = (),
    policies: Sequence[str] = (),
    views: Sequence[int | str] = (),
    whiten: Sequence[str] = (),
    out: Place | None = None,
    console: Console | None = None,
    **settings: Any,
) -> Result:
    """Rank backbones and boundaries, or heads and views: `tlkit compare`.

    Args:
        data: As in `finetune`.
        backbones: Names, or NAME:FILE for your own weights.
        boundaries: Where they are cut.
        heads: Kinds of heads to train, or KIND:UNITS.
        policies: Policies for making views.
        views: Numbers of cached views to train with.
        whiten: What the features of probes or heads are made into: KIND, or KIND:FLOOR.
        out: PNG to draw; None for `runs/`, named after the data.
        console: As in `finetune`.
        settings: Settings of `[backbone]` and `[data]`, and `seed`.

    Returns:
        The candidates with their scores, the best first, and the advice.

    Raises:
        TlkitError: Any problem that the user can solve.
    """
    sections, seed = _take_data_and_backbone("compare", settings)
    sections["backbone_settings"] = collect_sections(settings)["backbone"]
    from tlkit.commands.compare import run_compare
    from tlkit.probes.candidates import ComparisonRequest

    return run_compare(
        fetch_data(data, console),
        requested=ComparisonRequest(backbones, boundaries, heads, policies, [str(number) for number in views], whiten),
        **sections,
        seed=seed,
        out=as_path(out),
        console=console or quiet_console(),
    )


def leak(
    data: Place,
    *,
    group_by: str | None = None,
    out: Place | None = None,
    console: Console | None = None,
    **settings: Any,
) -> Result:
    """Find metadata that leak the target: `tlkit leak`.

    Args:
        data: As in `finetune`.
        group_by: Column of groups to hold out as a whole.
        out: As in `compare`.
        console: As in `finetune`.
        settings: As in `compare`.

    Returns:
        The scores, and a verdict on each column.

    Raises:
        TlkitError: Any problem that the user can solve.
    """
    sections, seed = _take_data_and_backbone("leak", settings)
    from tlkit.commands.leak import run_leak

    return run_leak(
        fetch_data(data, console),
        **sections,
        group_by=group_by,
        seed=seed,
        out=as_path(out),
        console=console or quiet_console(),
    )


def _take_data_and_backbone(of: str, settings: dict[str, Any]) -> tuple[dict[str, Any], int]:
    """Return the settings of both sections, and the seed."""
    check_known(settings, BackboneSettings, DataSettings, TrainingSettings, of=of)
    sections = {
        "data_settings": collect_settings(DataSettings, settings),
        "backbone_settings": collect_settings(BackboneSettings, settings),
    }
    return sections, collect_settings(TrainingSettings, settings).seed


def plan(
    data: Place,
    *,
    out: Place | None = None,
    machines: int | None = None,
    price: float | None = None,
    console: Console | None = None,
    **settings: Any,
) -> Result:
    """Estimate the cost of a training, and how much of the backbone to train: `tlkit plan`.

    Args:
        data: As in `finetune`.
        out: As in `compare`.
        machines: Number of machines like this one to divide the features among; None for none, or 1 with a price.
        price: Price of a machine for an hour, in any currency.
        console: As in `finetune`.
        settings: Settings of a recipe's sections; `views` and `policy`.

    Returns:
        The cost of each strategy, of the features on `machines` if asked, the evidence from a short trial, and the advice
        with its command.

    Raises:
        TlkitError: Any problem that the user can solve.
    """
    check_known(settings, Stage, *SECTIONS.values(), of="plan")
    fleet = _make_fleet(machines, price)
    from tlkit.commands.plan import run_plan

    return run_plan(
        fetch_data(data, console),
        sections=given_sections(settings),
        views=given_settings(Stage, settings),
        out=as_path(out),
        console=console or quiet_console(),
        fleet=fleet,
    )


def _make_fleet(machines: int | None, price: float | None) -> Fleet | None:
    """Return the machines of a plan, before anything heavy is imported.

    Raises:
        SettingError: A number makes no sense.
    """
    if machines is None and price is None:
        return None
    if machines is not None and machines < 1:
        raise SettingError(
            f"--machines is {machines}.", expected="1 or more", fix="use --machines 8 for eight machines."
        )
    if price is not None and not 0 <= price < float("inf"):
        raise SettingError(f"--price is {price}.", expected="0 or more", fix="use --price 0.5 for 0.50 an hour.")
    from tlkit.probes.fleet import Fleet

    return Fleet(machines or 1, price)


def lr_find(
    data: Place,
    *,
    out: Place | None = None,
    start_from: Place | None = None,
    console: Console | None = None,
    **settings: Any,
) -> Result:
    """Find the learning rate of a stage without training it: `tlkit lr-find`.

    Args:
        data: As in `finetune`.
        out: As in `compare`.
        start_from: As in `finetune`.
        console: As in `finetune`.
        settings: As in `finetune`, except the learning rate.

    Returns:
        The `suggestion`, `suggestions` by rule, and the sweep's `rates` and `losses`.

    Raises:
        TlkitError: Any problem that the user can solve.
    """
    check_known(settings, Stage, *SECTIONS.values(), of="lr_find")
    from tlkit.commands.lr_find import run_lr_find
    from tlkit.runs.recipe import make_finetune_recipe

    stage = {**given_settings(Stage, settings), "lr": FIND}
    start = fetch(start_from, console)
    recipe = make_finetune_recipe(stage=stage, sections=given_sections(settings), start_from=start)
    return run_lr_find(
        recipe, fetch_data(data, console), out=as_path(out), start_from=start, console=console or quiet_console()
    )
