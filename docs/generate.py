"""Write from the code what the documentation says of it: docs/reference, and the picture of the layers.

Run `make docs` after changing an option or a setting; a test fails as long as the pages are not up to date.
"""

from __future__ import annotations

import dataclasses
import html
import importlib
import inspect
import re
import textwrap
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import click

import tlkit
from tlkit import errors
from tlkit.api import audits, dreams, features, models, new_images, probes, shipping, training, upkeep
from tlkit.cli.main import COMMANDS, EXIT_CODES, cli
from tlkit.recipes import RECORDS, SECTIONS, Stage
from tlkit.recipes.given import setting_flag

DOCS = Path(__file__).parent
HELP_WIDTH = 100
PYTHON_API = """Import these names from `tlkit`. A `Place` is a path, as text or `pathlib.Path`; a `Result` is a dictionary: what the
command prints with `--json`. Further `settings` are [the keys of a recipe](recipe.md) by the names of their flags:
`--image-size 160` is `image_size=160`."""
PICTURE_WIDTH, PICTURE_MARGIN, PICTURE_GAP = 860, 32, 8
LINE_HEIGHT, CHARACTER_WIDTH = 16, 6.3
NOTICE = "<!-- Written by docs/generate.py; change the code and run `make docs`. -->"


def render_pages() -> dict[str, str]:
    """Return the text of every generated file by its path below docs/."""
    return {
        "reference/commands.md": render_commands(),
        "reference/recipe.md": render_recipe(),
        "reference/python.md": render_python(),
        "reference/errors.md": render_errors(),
        "pictures/layers.svg": draw_layers(),
    }


def render_commands() -> str:
    """Return the page with the help of `tlkit` and of each command and subcommand."""
    parts = [NOTICE, "", "# Commands", ""]
    root = click.Context(cli, info_name="tlkit", terminal_width=HELP_WIDTH, **cli.context_settings)
    for context in walk_commands(root):
        parts += [f"## {context.command_path}", "", "```text", context.command.get_help(context), "```", ""]
    return "\n".join(parts)


def walk_commands(context: click.Context) -> Iterator[click.Context]:
    """Yield `context` and then the contexts of all commands below it."""
    yield context
    group = context.command
    if isinstance(group, click.Group):
        names = list(COMMANDS) if group is cli else group.list_commands(context)
        for name in names:
            command = group.get_command(context, name)
            assert command is not None
            yield from walk_commands(click.Context(command, info_name=name, parent=context, terminal_width=HELP_WIDTH))


def render_recipe() -> str:
    """Return the page with a table of the keys of each part of a recipe."""
    parts = [NOTICE, "", "# Recipe keys", ""]
    parts += ["Every key may be left out. The flag is the same setting on the command line.", ""]
    for title, settings_type in [*((f"[{name}]", section) for name, section in SECTIONS.items()), ("[[stage]]", Stage)]:
        parts += [f"## `{title}`", "", *render_settings(settings_type), ""]
    for name, record in RECORDS.items():
        parts += [f"## `[{name}]`", "", *render_record(record), ""]
    return "\n".join(parts)


def render_settings(settings_type: type) -> list[str]:
    """Return the dataclass's purpose and the table of its keys, as lines."""
    lines = [str(settings_type.__doc__), "", "| key | flag | default | allowed | meaning |", "|---|---|---|---|---|"]
    for field in dataclasses.fields(settings_type):
        cells = (
            f"`{field.name}`",
            f"`{setting_flag(field)}`",
            render_default(field),
            field.metadata["rule"].expected,
            field.metadata["help"],
        )
        lines.append("| " + " | ".join(cell.replace("|", r"\|") for cell in cells) + " |")
    return lines


def render_record(record: type) -> list[str]:
    """Return the purpose and the table of the keys that a run writes, as lines; they are no options."""
    rows = [
        f"| `{field.name}` | {field.metadata['rule'].expected} | {field.metadata['help']} |"
        for field in dataclasses.fields(record)
    ]
    return [str(record.__doc__), "", "| key | allowed | meaning |", "|---|---|---|", *rows]


def render_default(field: dataclasses.Field[Any]) -> str:
    """Return a field's default as it would stand in a recipe; nothing where it is left open."""
    if field.default is None:
        return ""
    if field.default is dataclasses.MISSING:
        return "`{}`"
    if isinstance(field.default, bool):
        return f"`{str(field.default).lower()}`"
    return f'`"{field.default}"`' if isinstance(field.default, str) else f"`{field.default}`"


def render_python() -> str:
    """Return the page of the public names, functions by their module first; the site fills in their docstrings."""
    public = [getattr(tlkit, name) for name in tlkit.__all__ if not name.startswith("__")]
    classes = [each for each in public if inspect.isclass(each) and not issubclass(each, Exception)]
    parts = [NOTICE, "", "# Python API", "", PYTHON_API, ""]
    for module in (training, models, dreams, new_images, shipping, features, probes, audits, upkeep):
        heading = str(module.__doc__).partition(":")[0]
        functions = [each for each in public if inspect.getmodule(each) is module]
        parts += [f"## {heading}", "", *render_docstrings(functions)]
    return "\n".join([*parts, "## Classes", "", *render_docstrings(classes)])


def render_docstrings(things: Iterable[Any]) -> list[str]:
    """Return the lines in whose place the site puts the signatures and docstrings of functions and classes."""
    return [line for each in things for line in (f"::: tlkit.{each.__name__}", "")]


def render_errors() -> str:
    """Return the page of the error types and the exit codes."""
    parts = [NOTICE, "", "# Errors and exit codes", "", "## Errors", "", "::: tlkit.TlkitError", ""]
    parts += ["| in `tlkit.errors` | |", "|---|---|"]
    parts += [f"| `{error.__name__}` | {error.__doc__} |" for error in errors.TlkitError.__subclasses__()]
    parts += ["", "## Exit codes", "", "| code | meaning |", "|---|---|"]
    parts += [f"| {code} | {meaning} |" for code, meaning in sorted(EXIT_CODES.items())]
    return "\n".join([*parts, ""])


def draw_layers() -> str:
    """Return the picture of the layers that import-linter holds, each package with the first sentence it says of itself."""
    contracts = tomllib.loads((DOCS.parent / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]
    layers = [layer.split(" | ") for layer in contracts["contracts"][0]["layers"][1:]]
    shapes: list[str] = []
    top = PICTURE_GAP
    for depth, names in enumerate(layers):
        width = (PICTURE_WIDTH - PICTURE_MARGIN - PICTURE_GAP * len(names)) // len(names)
        texts = [textwrap.wrap(describe_purpose(name), int(width / CHARACTER_WIDTH) - 4) for name in names]
        height = 30 + LINE_HEIGHT * max(map(len, texts))
        for number, (name, lines) in enumerate(zip(names, texts, strict=True)):
            left = PICTURE_MARGIN + number * (width + PICTURE_GAP)
            shade = blend_colors("00695c", "45515c", depth / (len(layers) - 1))
            shapes.append(f'<rect x="{left}" y="{top}" width="{width}" height="{height}" rx="5" fill="#{shade}"/>')
            shapes.append(f'<text x="{left + 12}" y="{top + 19}" font-weight="bold" font-size="14">{name}</text>')
            shapes += [
                f'<text x="{left + 12}" y="{top + 20 + LINE_HEIGHT * (index + 1)}">{html.escape(line)}</text>'
                for index, line in enumerate(lines)
            ]
        top += height + PICTURE_GAP
    arrow = f'<path d="M14 {PICTURE_GAP}V{top - 22}m-6 0h12l-6 14z" stroke="#808b96" stroke-width="2" fill="#808b96"/>'
    return "\n".join(
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {PICTURE_WIDTH} {top}" role="img" font-family='
            '"system-ui, sans-serif" font-size="12" fill="#fff">',
            "<title>The layers of tlkit; imports go downward only</title>",
            arrow,
            *shapes,
            "</svg>",
            "",
        )
    )


def describe_purpose(name: str) -> str:
    """Return the first sentence of a module or package of tlkit, without the full stop."""
    return re.split(r"\.?\n\n|\.$", inspect.getdoc(importlib.import_module(f"tlkit.{name}")) or "")[0].replace(
        "\n", " "
    )


def blend_colors(first: str, second: str, part: float) -> str:
    """Return the colour between two, all as six hexadecimal digits."""
    pairs = zip(bytes.fromhex(first), bytes.fromhex(second), strict=True)
    return bytes(round(start + (end - start) * part) for start, end in pairs).hex()


def main() -> None:
    """Write the files."""
    for name, text in render_pages().items():
        (DOCS / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
