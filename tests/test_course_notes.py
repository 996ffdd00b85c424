"""docs/course-notes.md: what it names exists, every command is one that tlkit takes, and no section is left open."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.test_house import check_command_line
from tlkit.backbones.catalogue import BACKBONES
from tlkit.cli.main import COMMANDS, cli
from tlkit.heads import HEADS

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "course-notes.md").read_text(encoding="utf-8")
ROWS = [
    (section.strip(), where.strip())
    for section, where in re.findall(r"^\| ([^|]+) \|(.+)\|$", PAGE, re.MULTILINE)
    if section.strip() != "section"
]
NAMED = re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", PAGE, flags=re.DOTALL | re.MULTILINE))
EXAMPLES = "tests/reference/test_course_examples.py"
PLACEHOLDERS = {"photos/", "RUN"}
WRITTEN_BY_RUNS = {"curves.png", "report.html", "history.csv"}
OTHER_PROGRAMS = {"tensorboard --logdir runs"}


def list_options() -> set[str]:
    """Return every option of every command."""
    context = cli.make_context("tlkit", ["--help"], resilient_parsing=True)
    commands = [cli.get_command(context, name) for name in COMMANDS]
    return {flag for command in commands if command for parameter in command.params for flag in parameter.opts}


def find_fault(name: str, options: set[str]) -> str | None:
    """Return what is wrong with a name of the page, if anything is."""
    if name.startswith("tlkit "):
        check_command_line(name)
        return None
    if name.startswith("--"):
        missing = [word for word in name.split() if word.startswith("--") and word not in options]
        return f"no option {', '.join(missing)}" if missing else None
    if name in PLACEHOLDERS:
        return None
    if "/" in name or name.startswith("test_"):
        path, _, test = (f"{EXAMPLES}::{name}" if name.startswith("test_") else name).partition("::")
        if not (ROOT / path).exists():
            return f"no file {path}"
        text = (ROOT / path).read_text(encoding="utf-8") if test else ""
        return f"no test {test} in {path}" if test and f"def {test}(" not in text else None
    is_known = name in BACKBONES or name in HEADS or name in WRITTEN_BY_RUNS or name in OTHER_PROGRAMS
    return None if is_known else f"nothing is called {name}"


def test_everything_that_the_page_names_exists() -> None:
    options = list_options()
    assert len(NAMED) > 100
    assert [fault for fault in (find_fault(name, options) for name in NAMED) if fault] == []


def test_a_name_that_does_not_exist_is_found() -> None:
    options = list_options()
    assert find_fault("--no-such-option", options) == "no option --no-such-option"
    assert find_fault("recipes/none.toml", options) == "no file recipes/none.toml"
    test = "tests/test_course_notes.py"
    assert find_fault(f"{test}::test_nothing", options) == f"no test test_nothing in {test}"
    assert find_fault("resnet51", options) == "nothing is called resnet51"
    with pytest.raises(AssertionError, match="tlkit fly"):
        find_fault("tlkit fly", options)


def test_every_section_leads_somewhere_or_is_said_to_be_outside() -> None:
    assert len(ROWS) > 100
    assert [section for section, where in ROWS if not re.search(r"`|\]\(|\*outside\*", where)] == []


def test_every_recipe_of_the_notes_is_on_the_page() -> None:
    """Recipes say in their first lines that they are those of the notes."""
    recipes = {
        f"recipes/{path.name}"
        for path in (ROOT / "recipes").glob("*.toml")
        if "course notes" in path.read_text(encoding="utf-8").split("\n\n")[0]
    }
    assert len(recipes) > 2
    assert recipes <= set(NAMED)
