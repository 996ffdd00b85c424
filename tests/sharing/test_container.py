"""A folder from which Docker builds a server: what the Dockerfile says, and that its command line serves the model."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest

from tests.runs.test_card import write_zeros
from tlkit.cli.main import cli
from tlkit.sharing.container import format_dockerfile
from tlkit.version import __version__

RunCli = Callable[..., Any]


def read_instructions() -> list[tuple[str, str]]:
    """Return the instructions of the Dockerfile with their arguments, lines joined and without comments."""
    text = re.sub(r"^#.*\n", "", format_dockerfile(), flags=re.MULTILINE).replace("\\\n", " ")
    lines = [" ".join(line.split()).partition(" ") for line in text.splitlines() if line.strip()]
    return [(name, argument) for name, _, argument in lines]


def test_the_dockerfile_installs_this_version_and_runs_as_nobody_in_particular() -> None:
    instructions = read_instructions()

    assert [name for name, _ in instructions] == [
        "FROM", "RUN", "COPY", "USER", "WORKDIR", "ENV", "EXPOSE", "HEALTHCHECK", "CMD",
    ]  # fmt: skip
    given = dict(instructions)
    assert re.fullmatch(r"python:3\.\d+-slim", given["FROM"])
    assert f'"tlkit[serve]=={__version__}" && useradd' in given["RUN"]
    assert given["COPY"] == "--chmod=755 bundle/ /model/bundle/"
    assert (given["USER"], given["EXPOSE"]) == ("tlkit", "8000")


def test_its_command_serves_the_model_to_all_and_checks_the_token() -> None:
    shell, flag, script = json.loads(dict(read_instructions())["CMD"])
    check, command = script.split(" && exec ")
    program, name, *words = shlex.split(command)

    assert (shell, flag, check) == ("sh", "-c", ': "${TLKIT_TOKEN:?is not set}"')
    assert (program, name) == ("tlkit", "serve")
    serve = cli.get_command(None, "serve")  # type: ignore[arg-type]  # the context is not used
    assert serve is not None
    context = serve.make_context("serve", words, parent=click.Context(cli, **cli.context_settings))
    assert (str(context.params["run"]), context.params["host"], context.params["port"]) == (
        "/model/bundle", "0.0.0.0", 8000,
    )  # fmt: skip


def test_the_health_check_asks_the_port_of_the_server() -> None:
    _, _, words = dict(read_instructions())["HEALTHCHECK"].partition("CMD ")
    python, flag, program = json.loads(words)

    assert (python, flag) == ("python", "-c")
    compile(program, "health", "exec")
    assert "http://127.0.0.1:8000/health" in program


def test_the_folder_holds_the_bundle_and_nothing_of_the_run(run_cli: RunCli, tmp_path: Path) -> None:
    run, out = tmp_path / "run", tmp_path / "docker"
    run.mkdir()
    write_zeros(run / "bundle")
    (run / "bundle" / "notes.txt").touch()
    for _ in range(2):
        result = run_cli("export", run, "--docker", "--out", out, "--json")

    assert result.json()["files"] == ["Dockerfile", ".dockerignore", "bundle"]
    assert (out / ".dockerignore").read_text() == "*\n!bundle\n"
    assert {path.name for path in (out / "bundle").iterdir()} == {
        "bundle.json", "weights.safetensors", "golden.safetensors", "novelty.safetensors", "README.md",
    }  # fmt: skip
    assert (out / "bundle" / "bundle.json").read_bytes() == (run / "bundle" / "bundle.json").read_bytes()


@pytest.mark.parametrize("name", ["weights.safetensors", "novelty.safetensors"])
def test_a_damaged_file_is_not_copied(run_cli: RunCli, tmp_path: Path, name: str) -> None:
    bundle = write_zeros(tmp_path / "bundle")
    content = bytearray((bundle / name).read_bytes())
    content[-1] ^= 1
    (bundle / name).write_bytes(content)
    refused = run_cli("export", bundle, "--docker", "--out", tmp_path / "docker")

    assert refused.exit_code == 1
    assert refused.stderr.startswith(f"Error: {bundle / name} has the sha256 ")
