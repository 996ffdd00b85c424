"""The group and its error boundary: what is imported, what is printed, and the exit codes."""

from __future__ import annotations

import errno
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

import click
import pytest

import tlkit
from tlkit.cli.main import COMMANDS, SECTIONS, main
from tlkit.cli.options import output_options
from tlkit.errors import DataError
from tlkit.reports.console import Console

HEAVY = ("tensorflow", "keras", "numpy", "h5py", "PIL", "matplotlib", "pyarrow", "safetensors", "rich", "platformdirs")

LIST_HEAVY_IMPORTS = f"""
import sys
from tlkit.cli.main import main
for word in sys.argv[1:]:
    assert main(word.split()) == 0, word
print("IMPORTED", *(name for name in {HEAVY!r} if name in sys.modules))
"""


@pytest.fixture
def add_command(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], object]], None]:
    """Add a command `probe`, which has the output options and calls the function that it is given."""

    def add(action: Callable[[], object]) -> None:
        @click.command()
        @output_options
        def probe(console: Console) -> None:
            action()

        module = ModuleType("tlkit.cli.probe")
        module.__dict__["probe"] = probe
        monkeypatch.setitem(sys.modules, "tlkit.cli.probe", module)
        monkeypatch.setitem(COMMANDS, "probe", "Call a function.")

    return add


def raise_(error: BaseException) -> NoReturn:
    raise error


def found_problem() -> NoReturn:
    raise DataError("photos/: no images.", expected="a folder of images", fix="check the path.")


def list_heavy_imports(*commands: str) -> str:
    result = subprocess.run(
        [sys.executable, "-c", LIST_HEAVY_IMPORTS, *commands], capture_output=True, text=True, check=True
    )
    return result.stdout.splitlines()[-1]


def test_help_of_the_group_imports_nothing_heavy_and_no_command() -> None:
    assert list_heavy_imports("--help") == "IMPORTED"


def test_help_of_every_command_imports_nothing_heavy() -> None:
    assert list_heavy_imports(*(f"{name} --help" for name in COMMANDS)) == "IMPORTED"


def test_no_command_loads_tensorflow_before_it_starts_silently() -> None:
    code = (
        "import importlib, pkgutil, sys, tlkit.commands as commands\n"
        "for module in pkgutil.iter_modules(commands.__path__, 'tlkit.commands.'):\n"
        "    importlib.import_module(module.name)\n"
        "    print(*({'keras', 'tensorflow'} & sys.modules.keys() and [module.name]), end='')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("", "")


def test_help_lists_every_command_in_its_section(run_cli: Any) -> None:
    result = run_cli("--help")
    listed: dict[str, list[str]] = {}
    for title, body in re.findall(r"^(\w[\w ]*):\n((?:  .+\n)+)", result.stdout.partition("Options:")[2], re.MULTILINE):
        listed[title] = [line.split()[0] for line in body.splitlines()]
    assert list(listed) == ["Start", "Train", "Look", "Ship", "Keep house"]
    assert {title: list(commands) for title, commands in SECTIONS.items()} == listed
    assert result.exit_code == 0


def test_every_command_of_the_table_has_a_help_with_an_example(run_cli: Any) -> None:
    for name in COMMANDS:
        result = run_cli(name, "--help")
        assert result.exit_code == 0
        assert f"tlkit {name}" in result.stdout.partition("\n")[2], f"`tlkit {name} --help` shows no example"


def test_version_is_the_packages(run_cli: Any) -> None:
    assert run_cli("--version").stdout == f"tlkit, version {tlkit.__version__}\n"


def test_a_problem_gives_three_lines_on_standard_error_and_exit_code_1(run_cli: Any, add_command: Any) -> None:
    add_command(found_problem)
    result = run_cli("probe")
    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr == ("Error: photos/: no images.\n  Expected: a folder of images\n  Fix: check the path.\n")


def test_a_problem_under_json_is_also_an_object_on_standard_output(run_cli: Any, add_command: Any) -> None:
    add_command(found_problem)
    result = run_cli("probe", "--json")
    assert result.exit_code == 1
    assert result.json() == {
        "error": {"found": "photos/: no images.", "expected": "a folder of images", "fix": "check the path."}
    }
    assert result.stderr.startswith("Error: photos/: no images.\n")


def test_the_json_flag_of_one_call_does_not_reach_the_next(run_cli: Any, add_command: Any) -> None:
    add_command(found_problem)
    run_cli("probe", "--json")
    assert run_cli("probe").stdout == ""


def test_an_unknown_command_names_the_nearest_and_exits_with_2(run_cli: Any) -> None:
    result = run_cli("finetun", "photos/")
    assert result.exit_code == 2
    assert result.stderr == (
        "Usage: tlkit [OPTIONS] COMMAND [ARGS]...\n"
        "Try 'tlkit --help' for help.\n\n"
        "Error: no such command 'finetun'; did you mean 'finetune'?\n"
        f"Commands: {', '.join(COMMANDS)}.\n"
    )


@pytest.mark.parametrize("words", [["--wrong"], ["probe", "--wrong"], ["probe", "-v", "-q"], []])
def test_a_wrong_command_line_exits_with_2(run_cli: Any, add_command: Any, words: list[str]) -> None:
    add_command(lambda: None)
    result = run_cli(*words)
    assert result.exit_code == 2
    assert result.stdout == ""


def test_a_bug_keeps_its_traceback_and_asks_for_a_report(run_cli: Any, add_command: Any) -> None:
    add_command(lambda: raise_(ZeroDivisionError("division by nought")))
    result = run_cli("probe", allow_bug=True)
    assert result.exit_code == 70
    assert "Traceback (most recent call last):" in result.stderr
    assert "raise_" in result.stderr
    assert result.stderr.endswith(
        "ZeroDivisionError: division by nought\n"
        f"This is a bug in tlkit {tlkit.__version__}. Please report it with the traceback above and the command.\n"
    )


def test_an_end_of_file_inside_tlkit_is_a_bug_and_no_interrupt(run_cli: Any, add_command: Any) -> None:
    add_command(lambda: raise_(EOFError("short read")))
    result = run_cli("probe", allow_bug=True)
    assert result.exit_code == 70
    assert "EOFError: short read" in result.stderr


def test_an_interrupt_exits_with_130(run_cli: Any, add_command: Any) -> None:
    add_command(lambda: raise_(KeyboardInterrupt()))
    result = run_cli("probe")
    assert (result.exit_code, result.stderr) == (130, "\nInterrupted. Nothing is left half-written.\n")


def test_a_full_disk_is_a_problem_and_no_bug(run_cli: Any, add_command: Any) -> None:
    add_command(lambda: raise_(OSError(errno.ENOSPC, "No space left on device", "runs/first/history.csv")))
    result = run_cli("probe")
    assert result.exit_code == 1
    assert result.stderr == (
        "Error: runs/first/history.csv: No space left on device.\n"
        "  Expected: a disk with free space\n"
        "  Fix: free some space, or choose another folder with --out or TLKIT_CACHE.\n"
    )


def test_an_exit_code_chosen_by_a_command_is_the_process_exit_code(run_cli: Any, add_command: Any) -> None:
    add_command(lambda: click.get_current_context().exit(1))
    assert run_cli("probe").exit_code == 1


def test_a_reader_that_goes_away_is_no_error() -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", "import sys; from tlkit.cli.main import main; sys.exit(main(['--help']))"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    stderr = process.stderr.read()
    process.stderr.close()
    assert (process.wait(), stderr) == (141, b"")


def test_the_launcher_of_a_checkout_is_the_command() -> None:
    launcher = Path(tlkit.__file__).parent.parent / "cli.py"
    result = subprocess.run([sys.executable, launcher, "--version"], capture_output=True, text=True, check=True)
    assert result.stdout == f"tlkit, version {tlkit.__version__}\n"


def test_shell_completion_completes_commands(capsys: pytest.CaptureFixture[str], monkeypatch: Any) -> None:
    monkeypatch.setenv("_TLKIT_COMPLETE", "bash_complete")
    monkeypatch.setenv("COMP_WORDS", "tlkit prec")
    monkeypatch.setenv("COMP_CWORD", "1")
    with pytest.raises(SystemExit, match="0"):
        main([])
    assert capsys.readouterr().out == "plain,precompute\n"
