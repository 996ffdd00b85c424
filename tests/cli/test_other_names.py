"""Names from other tools are answered with tlkit's own."""

from __future__ import annotations

from typing import Any

import click
import pytest

from tlkit.cli.main import COMMANDS, cli
from tlkit.cli.other_names import OTHER_NAMES, OTHER_OPTIONS


@pytest.mark.parametrize(
    ("name", "own"), [("train", "tlkit finetune"), ("help", "tlkit --help"), ("version", "tlkit --version")]
)
def test_a_command_of_other_tools_is_answered_with_our_own(run_cli: Any, name: str, own: str) -> None:
    result = run_cli(name)
    assert result.exit_code == 2
    assert f"Error: no such command '{name}'; did you mean '{own}'?\n" in result.stderr


@pytest.mark.parametrize(
    ("option", "advice"),
    [
        ("--augment", "did you mean --policy or --views?"),
        ("--learning-rate", "did you mean --lr?"),
        ("--gpu", "tlkit uses the processors and the GPU that it finds."),
    ],
)
def test_an_option_of_other_tools_is_answered_with_our_own(run_cli: Any, option: str, advice: str) -> None:
    result = run_cli("finetune", "photos/", option, "1")
    assert result.exit_code == 2
    assert result.stderr.endswith(f"Error: No such option {option!r}; {advice}\n")


def test_an_option_that_this_command_has_not_got_is_not_suggested(run_cli: Any) -> None:
    result = run_cli("backbones", "--augment")
    assert result.stderr.endswith("Error: No such option '--augment'.\n")


def test_every_suggested_command_and_option_exists() -> None:
    assert {name for name in OTHER_NAMES.values() if not name.startswith("--")} <= set(COMMANDS)
    context = click.Context(cli)
    commands = [cli.get_command(context, name) for name in COMMANDS]
    flags = {flag for command in commands if command for parameter in command.params for flag in parameter.opts}
    assert {flag for own in OTHER_OPTIONS.values() for flag in own} <= flags


def test_no_name_of_ours_stands_among_the_others() -> None:
    assert OTHER_NAMES.keys().isdisjoint(COMMANDS)
