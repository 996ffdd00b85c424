"""Rules that hold for the repository as a whole: what is documented, locked and laid out where."""

from __future__ import annotations

import importlib.util
import re
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import tlkit
from tlkit.cli.main import COMMANDS, cli

ROOT = Path(__file__).parent.parent
GUIDES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
LONGEST_MODULE_LINES = 320


@pytest.fixture(scope="module")
def reference() -> dict[str, str]:
    """What docs/generate.py, which is no part of a package, makes of the code."""
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs" / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    pages: dict[str, str] = module.render_pages()
    return pages


def test_the_reference_is_what_the_code_says(reference: dict[str, str]) -> None:
    docs = ROOT / "docs"
    assert {path.relative_to(docs).as_posix() for path in (docs / "reference").iterdir()} < reference.keys()
    written = {name: (docs / name).read_text(encoding="utf-8") for name in reference}
    assert written == reference, "run `make docs`"


def test_the_reference_has_every_public_name(reference: dict[str, str]) -> None:
    names = re.findall(
        r"^::: tlkit\.(\w+)$", reference["reference/python.md"] + reference["reference/errors.md"], re.MULTILINE
    )
    assert sorted([*names, "__version__"]) == sorted(tlkit.__all__)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_its_module_its_tests_and_a_place_in_a_guide(name: str) -> None:
    module = name.replace("-", "_")
    assert (ROOT / "tlkit" / "cli" / f"{module}.py").is_file()
    assert (ROOT / "tests" / "cli" / f"test_{module}.py").is_file()
    assert any(f"tlkit {name}" in guide.read_text(encoding="utf-8") for guide in GUIDES)


def test_every_module_of_the_command_line_is_a_command() -> None:
    modules = {path.stem for path in (ROOT / "tlkit" / "cli").glob("*.py")}
    assert modules - {"__init__", "main", "options", "other_names"} == {name.replace("-", "_") for name in COMMANDS}


@pytest.mark.parametrize("guide", GUIDES, ids=lambda guide: guide.name)
def test_every_command_line_in_a_guide_is_one_that_tlkit_takes(guide: Path) -> None:
    for line in read_command_lines(guide):
        check_command_line(line)


def read_command_lines(guide: Path) -> Iterator[str]:
    """Yield every call of `tlkit` in a guide's code blocks, also those between pipes."""
    for block in re.findall(r"^```\w*\n(.*?)^```", guide.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE):
        for line in block.splitlines():
            yield from (part.strip() for part in line.split(" | ") if part.strip().startswith("tlkit "))


def check_command_line(line: str) -> None:
    """Assert that a line names commands and options that exist; values are not looked at."""
    words = shlex.split(line, comments=True)[1:]
    command: click.Command = cli
    # A command keeps the help option that it has in the first context.
    context = click.Context(cli, info_name="tlkit", **cli.context_settings)
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        found = command.get_command(context, words.pop(0))
        assert found is not None, line
        command = found
        context = click.Context(command, parent=context)
    known = {flag for parameter in command.get_params(context) for flag in (*parameter.opts, *parameter.secondary_opts)}
    assert {word.partition("=")[0] for word in words if re.match(r"-[a-zA-Z-]", word)} <= known, line


def read_lock() -> dict[str, str]:
    """Return the locked versions by canonical name."""
    text = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    return {
        canonicalize_name(name): version for name, version in re.findall(r"^([\w.-]+)==([^\s;]+)", text, re.MULTILINE)
    }


def test_the_lock_satisfies_pyproject_with_exact_versions() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    locked, extras = read_lock(), project["optional-dependencies"]
    own = next(requirement for requirement in map(Requirement, extras["dev"]) if requirement.name == project["name"])
    others = [line for line in extras["dev"] if Requirement(line).name != project["name"]]
    for line in (*project["dependencies"], *others, *(line for name in own.extras for line in extras[name])):
        requirement = Requirement(line)
        assert requirement.specifier.contains(locked[canonicalize_name(requirement.name)]), f"{line}: run `make lock`"


def test_ci_runs_on_every_python_that_is_promised() -> None:
    classifiers = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["classifiers"]
    ci = (ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8")
    (versions,) = re.findall(r"^ +python: \[(.*)\]$", ci, re.MULTILINE)
    assert re.findall(r"3\.\d+", versions) == re.findall(r":: (3\.\d+)", "\n".join(classifiers))


def test_the_lock_names_hashes_for_all_and_no_place_to_download_from() -> None:
    text = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    pins = re.findall(r"^[\w.-]+==.*\\\n(    --hash=sha256:[0-9a-f]{64})", text, re.MULTILINE)
    assert len(pins) == len(re.findall(r"^[^\s#]", text, re.MULTILINE)) > 0
    assert not re.search(r"://|--(?:extra-)?index-url|--find-links", text)


@pytest.mark.parametrize("name", ["scikit-learn", "pandas"])
def test_packages_that_slow_the_start_of_keras_are_not_locked(name: str) -> None:
    assert name not in read_lock()


def test_no_module_is_longer_than_a_reader_likes() -> None:
    long = {
        str(path.relative_to(ROOT)): lines
        for path in (ROOT / "tlkit").rglob("*.py")
        if (lines := len(path.read_text(encoding="utf-8").splitlines())) > LONGEST_MODULE_LINES
    }
    assert long == {}
