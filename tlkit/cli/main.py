"""The `tlkit` command: a group that imports commands lazily, and the one error boundary.

`tlkit --help` is rendered from the table below, so it imports nothing but click.
"""

from __future__ import annotations

import importlib
import os
import shlex
import signal
import sys
from collections.abc import Sequence

import click

from tlkit.cli.other_names import suggest_command, suggest_option
from tlkit.disk_errors import explain_disk_error
from tlkit.errors import TlkitError
from tlkit.interruption import describe_interruption, is_interrupted
from tlkit.places.copies import show_text
from tlkit.version import __version__

JSON_ASKED_FOR = "tlkit.json"
"""Key in `click.Context.meta`: whether the command was called with `--json`."""

COMMAND_LINE = "tlkit.command_line"
"""Key in `click.Context.meta`: the command line as typed, which a run records."""

COMPLETION_ASKED_FOR = "_TLKIT_COMPLETE"
"""Environment variable by which a shell asks click for completions; click then ends the process."""

EXIT_PROBLEM = 1
EXIT_BUG = 70
EXIT_BROKEN_PIPE = 141
EXIT_CODES = {
    0: "success",
    EXIT_PROBLEM: "a problem that you can fix: standard error says what was found, what was expected and how to fix it",
    click.UsageError.exit_code: "a usage error",
    EXIT_BUG: "a bug in tlkit: please report the traceback",
    128 + signal.SIGINT: "interrupted with Ctrl-C",
    EXIT_BROKEN_PIPE: "the reader of the pipe closed it",
    128 + signal.SIGTERM: "terminated (SIGTERM)",
}
"""Exit codes and their meanings."""


SECTIONS = {
    "Start": {
        "demo": "Draw a small picture set, then train and predict on it.",
        "backbones": "List the backbones, or print the layers of one.",
        "plan": "Estimate the cost of training, and how much to unfreeze.",
        "compare": "Rank backbones, boundaries, heads or views on a data set.",
    },
    "Train": {
        "precompute": "Compute the features of a data set and cache them.",
        "lr-find": "Find a learning rate before training.",
        "finetune": "Train a classifier on a backbone, or continue from a run.",
        "run": "Run all stages of a recipe file.",
    },
    "Look": {
        "evaluate": "Evaluate a run on labelled images.",
        "explain": "Show what speaks for a run's answers, as heat maps.",
        "dream": "Run a network backwards: see what it looks for, and fool it.",
        "leak": "Find metadata that give the answer away.",
        "audit": "Find wrong labels and boxes, copies and poor pictures.",
        "apply": "Carry out the moves that an audit proposes, or undo them.",
        "drift": "Compare new images with a run's, and estimate the score on them.",
        "suggest": "Suggest which unlabelled images to label next.",
    },
    "Ship": {
        "predict": "Classify images with a run.",
        "export": "Write a run for people and devices without tlkit.",
        "serve": "Answer over HTTP with a run.",
        "card": "Write a model card for a run.",
        "push": "Upload a run's model and its card to a model hub.",
        "pull": "Download a model from a model hub, and check it.",
    },
    "Keep house": {
        "cache": "List, verify, merge or prune cached features.",
    },
}
"""The commands and what each is for, in the sections of `tlkit --help`."""

COMMANDS = {name: purpose for section in SECTIONS.values() for name, purpose in section.items()}


class LazyGroup(click.Group):
    """A click group that imports its commands from `tlkit.cli.<name>` when they are called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names, section by section."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return one command, or None for an unknown name."""
        if cmd_name not in COMMANDS:
            return None
        attribute = cmd_name.replace("-", "_")
        command: click.Command = getattr(importlib.import_module(f"tlkit.cli.{attribute}"), attribute)
        command.short_help = COMMANDS[cmd_name]
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command named first in `args`; an unknown one is a usage error with the nearest name."""
        name = args[0]
        if name not in COMMANDS and not name.startswith("-") and not ctx.resilient_parsing:
            fix = suggest_command(name, COMMANDS)
            raise click.UsageError(f"no such command {name!r}; {fix}\nCommands: {', '.join(COMMANDS)}.", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write what each command is for, in sections, without importing it."""
        width = max(map(len, COMMANDS))
        for title, commands in SECTIONS.items():
            with formatter.section(title):
                formatter.write_dl([(name.ljust(width), purpose) for name, purpose in commands.items()])

    def invoke(self, ctx: click.Context) -> object:
        """Run the command; turn a problem that the user can fix into a message and exit code 1."""
        try:
            return super().invoke(ctx)
        except click.NoSuchOption as error:
            raise suggest_option(error) from error
        except TlkitError as error:
            report_problem(error, as_json=ctx.meta.get(JSON_ASKED_FOR, False))
        except BrokenPipeError:
            raise
        except Exception as error:
            problem = None if is_interrupted() else explain_disk_error(error)
            if problem is None:
                raise
            report_problem(problem, as_json=ctx.meta.get(JSON_ASKED_FOR, False))
        raise click.exceptions.Exit(EXIT_PROBLEM)


HELP = """Transfer learning on images with Keras.

Start with a folder that has one subfolder of images per class:

\b
  tlkit finetune photos/ --out runs/first
  tlkit predict runs/first new-photos/ --out predictions.csv
"""


@click.group(
    cls=LazyGroup,
    help=HELP,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Try it without photos of your own: tlkit demo",
)
@click.version_option(__version__, prog_name="tlkit")
def cli() -> None:
    """Collect the commands."""


def report_problem(error: TlkitError, *, as_json: bool) -> None:
    """Write `error` as three lines on standard error and, with `--json`, as one JSON object on standard output."""
    click.echo(f"Error: {show_text(str(error))}", err=True)
    if as_json:
        import json

        texts = {"found": error.found, "expected": error.expected, "fix": error.fix}
        details = {name: show_text(text) for name, text in texts.items()}
        click.echo(json.dumps({"error": details}))


def report_interruption(error: BaseException) -> int:
    """Say what an interrupted command keeps, and return its exit code."""
    text, exit_code = describe_interruption(error)
    click.echo(f"\n{text}", err=True)
    return exit_code


def report_unexpected(error: Exception) -> int:
    """Report an exception that no command has handled, and return the exit code.

    It may be a full disk behind standard output, which is flushed last, or a consequence of an interruption. Anything
    else is a bug, shown with its traceback.
    """
    if is_interrupted():
        return report_interruption(error)
    if problem := explain_disk_error(error):
        report_problem(problem, as_json=False)
        return EXIT_PROBLEM
    report_bug(error)
    return EXIT_BUG


def report_bug(error: Exception) -> None:
    """Print the traceback of an exception, and ask for a report."""
    import traceback

    traceback.print_exception(error)
    click.echo(
        f"This is a bug in tlkit {__version__}. Please report it with the traceback above and the command.", err=True
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code.

    Args:
        arguments: The words after `tlkit`; those of the process if None.
    """
    if COMPLETION_ASKED_FOR in os.environ:
        cli.main(prog_name="tlkit")
    try:
        words = list(sys.argv[1:] if arguments is None else arguments)
        with cli.make_context("tlkit", list(words)) as context:
            context.meta[COMMAND_LINE] = shlex.join(["tlkit", *words])
            cli.invoke(context)
        sys.stdout.flush()
    except click.exceptions.Exit as ending:
        return ending.exit_code
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except BrokenPipeError:
        # The interpreter would fail again when it flushes the buffered rest at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_BROKEN_PIPE
    except KeyboardInterrupt as error:
        return report_interruption(error)
    except Exception as error:  # noqa: BLE001 - the boundary
        return report_unexpected(error)
    return 0
