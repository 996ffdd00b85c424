"""Names of commands and options in other tools, to suggest tlkit's own for an unknown one."""

from __future__ import annotations

from collections.abc import Iterable

import click

from tlkit.errors import name_fix

OTHER_NAMES = {
    "train": "finetune",
    "fit": "finetune",
    "fine-tune": "finetune",
    "extract": "precompute",
    "embed": "precompute",
    "test": "evaluate",
    "val": "evaluate",
    "classify": "predict",
    "infer": "predict",
    "models": "backbones",
    "help": "--help",
    "version": "--version",
}
"""Command names of other tools."""

OTHER_OPTIONS = {
    "--augment": ("--policy", "--views"),
    "--augmentation": ("--policy", "--views"),
    "--learning-rate": ("--lr",),
    "--model": ("--backbone",),
    "--arch": ("--backbone",),
    "--architecture": ("--backbone",),
    "--pretrained": ("--weights",),
    "--checkpoint": ("--start-from",),
    "--freeze": ("--unfreeze",),
    "--size": ("--image-size",),
    "--imgsz": ("--image-size",),
    "--img-size": ("--image-size",),
    "--input-size": ("--image-size",),
    "--bs": ("--batch-size",),
    "--val-split": ("--validation-fraction",),
    "--val-fraction": ("--validation-fraction",),
    "--wd": ("--weight-decay",),
    "--output": ("--out",),
    "--output-dir": ("--out",),
    "--topk": ("--top-k",),
    "--device": (),
    "--gpu": (),
    "--gpus": ("--devices",),
    "--num-gpus": ("--devices",),
    "--num-devices": ("--devices",),
    "--workers": (),
    "--num-workers": (),
}
"""Option names of other tools; empty if tlkit has no such option and chooses by itself."""


def suggest_command(name: str, commands: Iterable[str]) -> str:
    """Return the fix for a command that does not exist."""
    own = OTHER_NAMES.get(name.lower())
    return f"did you mean 'tlkit {own}'?" if own else name_fix(name, commands)


def suggest_option(error: click.NoSuchOption) -> click.UsageError:
    """Return the error for an option that does not exist, with the command's own option if there is one."""
    others = OTHER_OPTIONS.get(error.option_name)
    if others is None or error.ctx is None:
        return error
    flags = {flag for parameter in error.ctx.command.get_params(error.ctx) for flag in parameter.opts}
    own = [flag for flag in others if flag in flags]
    if others and not own:
        return click.UsageError(f"No such option {error.option_name!r}.", error.ctx)
    advice = f"did you mean {' or '.join(own)}?" if own else "tlkit uses the processors and the GPU that it finds."
    return click.UsageError(f"No such option {error.option_name!r}; {advice}", error.ctx)
