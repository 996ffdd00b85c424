"""Options made from the settings' fields, and what a command gets from them."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import click
import pytest

from tlkit.cli.options import output_options, settings_options
from tlkit.devices import ALL
from tlkit.errors import SettingError
from tlkit.recipes import FIND, SECTIONS, BackboneSettings, DataSettings, HeadSettings, Stage, TrainingSettings
from tlkit.recipes.given import collect_settings, given_settings, setting_flag
from tlkit.reports.console import Console

ALL_SETTINGS = (*SECTIONS.values(), Stage)


def parse(words: Sequence[str], *settings_types: type, only: Sequence[str] = ()) -> dict[str, Any]:
    """Return the keyword arguments that a command with the options of `settings_types` gets from `words`."""

    def command(**options: Any) -> dict[str, Any]:
        return options

    function: Any = command
    for settings_type in settings_types:
        function = settings_options(settings_type, only)(function)
    options = click.command()(function).main(list(words), standalone_mode=False)
    assert isinstance(options, dict)
    return options


def help_of(*settings_types: type) -> str:
    function: Any = lambda **options: None  # noqa: E731
    for settings_type in settings_types:
        function = settings_options(settings_type)(function)
    command = click.command()(function)
    return " ".join(command.get_help(click.Context(command)).split())


def test_every_setting_has_a_flag_of_its_own() -> None:
    flags = [setting_flag(field) for settings_type in ALL_SETTINGS for field in dataclasses.fields(settings_type)]
    assert len(flags) == len(set(flags))
    options = parse([], *ALL_SETTINGS)
    assert len(options) == len(flags)


def test_a_flag_is_the_fields_name_with_dashes_unless_the_field_says_otherwise() -> None:
    flags = {field.name: setting_flag(field) for field in dataclasses.fields(BackboneSettings)}
    assert flags["image_size"] == "--image-size"
    assert flags["name"] == "--backbone"


def test_a_rate_is_a_number_or_the_word_that_it_is_found() -> None:
    assert given_settings(Stage, parse(["--lr", "find"], Stage)) == {"lr": FIND}
    assert given_settings(Stage, parse(["--lr", "1e-3"], Stage)) == {"lr": 1e-3}
    assert "--lr FLOAT|find" in help_of(Stage)
    with pytest.raises(click.BadParameter, match=r"^'fnd' is neither a number nor 'find'\.$"):
        parse(["--lr", "fnd"], Stage)


def test_devices_are_a_whole_number_or_all() -> None:
    assert given_settings(BackboneSettings, parse(["--devices", "all"], BackboneSettings)) == {"devices": ALL}
    assert given_settings(BackboneSettings, parse(["--devices", "4"], BackboneSettings)) == {"devices": 4}
    assert "--devices INTEGER|all" in help_of(BackboneSettings)
    with pytest.raises(click.BadParameter, match=r"^'1.5' is neither a whole number nor 'all'\.$"):
        parse(["--devices", "1.5"], BackboneSettings)
    with pytest.raises(
        SettingError, match=r"^--devices: devices is 0\.\n  Expected: a whole number, 1 to 1,000,000, or all"
    ):
        given_settings(BackboneSettings, parse(["--devices", "0"], BackboneSettings))


def test_settings_that_were_not_given_are_not_collected() -> None:
    options = parse([], *ALL_SETTINGS)
    for settings_type in ALL_SETTINGS:
        assert given_settings(settings_type, options) == {}
        assert collect_settings(settings_type, options) == settings_type()


def test_settings_arrive_at_their_own_dataclass_in_their_own_type() -> None:
    words = ["--backbone", "vgg16", "--dropout", "0", "--epochs", "3", "--lr", "1e-3", "--strict", "--fit", "pad"]
    options = parse(words, *ALL_SETTINGS)
    assert given_settings(BackboneSettings, options) == {"name": "vgg16", "fit": "pad"}
    assert given_settings(HeadSettings, options) == {"dropout": 0.0}
    assert given_settings(DataSettings, options) == {"strict": True}
    assert given_settings(TrainingSettings, options) == {}
    assert collect_settings(Stage, options) == Stage(epochs=3, lr=0.001)


def test_a_flag_can_be_switched_off_against_a_recipe() -> None:
    assert given_settings(DataSettings, parse(["--no-strict"], DataSettings)) == {"strict": False}


def test_rates_of_groups_are_gathered() -> None:
    options = parse(["--group-lr", "conv4=1e-5", "--group-lr", "conv5=1e-4"], Stage)
    assert given_settings(Stage, options) == {"group_lr": {"conv4": 1e-5, "conv5": 1e-4}}


@pytest.mark.parametrize("words", ["conv4", "conv4=", "conv4=fast"])
def test_a_rate_that_is_no_number_is_a_usage_error(words: str) -> None:
    with pytest.raises(click.BadParameter) as caught:
        parse(["--group-lr", words], Stage)
    assert caught.value.message == f"{words!r} is not KEY=NUMBER, such as conv4=1e-5."


def test_only_adds_the_fields_that_are_named() -> None:
    assert set(parse([], Stage, only=("views", "policy"))) == {"views", "policy"}
    with pytest.raises(KeyError):
        settings_options(Stage, only=("viws",))


def test_a_value_outside_its_rule_is_a_setting_error_that_names_the_flag() -> None:
    with pytest.raises(SettingError) as caught:
        given_settings(HeadSettings, parse(["--dropout", "1.5"], HeadSettings))
    assert str(caught.value).splitlines() == [
        "--dropout: dropout is 1.5.",
        "  Expected: a fraction, 0 <= x < 1",
        "  Fix: correct dropout, or leave it out for the default.",
    ]


def test_a_word_outside_its_choices_is_a_usage_error() -> None:
    with pytest.raises(click.BadParameter) as caught:
        parse(["--fit", "stretch"], BackboneSettings)
    assert caught.value.message == "'stretch' is not one of 'squash', 'crop', 'pad'."


def test_help_shows_each_settings_help_and_its_default_once() -> None:
    text = help_of(*ALL_SETTINGS)
    for settings_type in ALL_SETTINGS:
        for field in dataclasses.fields(settings_type):
            assert " ".join(field.metadata["help"].split()) in text
    assert "Weights: " not in text
    assert "(default: imagenet; bundled for tiny; random for mnist_…)." in text
    assert "Decoupled weight decay; adam has none. [default: 0.0001]" in text
    assert "(default: the backbone's; 320 for objects, masks). --fit" in text


@pytest.mark.parametrize(
    ("words", "verbosity", "json"),
    [([], 0, False), (["-v"], 1, False), (["--quiet"], -1, False), (["--json"], 0, True), (["-q", "--json"], -1, True)],
)
def test_output_options_make_the_console(words: list[str], verbosity: int, json: bool) -> None:
    @click.command()
    @output_options
    def command(console: Console) -> Console:
        return console

    console = command.main(words, standalone_mode=False)
    assert (console.verbosity, console.json) == (verbosity, json)


def test_verbose_and_quiet_exclude_each_other() -> None:
    @click.command()
    @output_options
    def command(console: Console) -> None:
        pass

    with pytest.raises(click.UsageError) as caught:
        command.main(["-v", "-q"], standalone_mode=False)
    assert caught.value.message == "-v and -q are mutually exclusive."
