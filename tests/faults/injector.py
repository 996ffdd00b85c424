"""Run programs on a disk that fails at the N-th change: killed there, or told that it is full or broken.

`run_with_fault` starts one command. `try_every_fault` runs a short scenario once for every change that it makes and
every fault, each time in a fork of one process that has imported everything: a few hundred faults take seconds.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import gc
import json
import os
import shutil
import struct
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SHARED_MEMORY = Path("/dev/shm")
_CONTROL = struct.Struct("=qqqq")


@dataclass(frozen=True)
class Fault:
    """What goes wrong at the N-th change.

    Args:
        error: The `errno` that the change fails with; 0 kills the process in the middle of it.
        onwards: Whether all later changes fail, too.
    """

    error: int = 0
    onwards: bool = False

    def __str__(self) -> str:
        return f"{errno.errorcode[self.error]}{' from then on' if self.onwards else ''}" if self.error else "kill"


KILL = Fault()
FULL_DISK = Fault(errno.ENOSPC, onwards=True)
BROKEN_DISK = Fault(errno.EIO, onwards=True)
FULL_ONCE = Fault(errno.ENOSPC)
BROKEN_ONCE = Fault(errno.EIO)
ALL_FAULTS = (KILL, FULL_DISK, BROKEN_DISK, FULL_ONCE, BROKEN_ONCE)


@dataclass(frozen=True)
class FaultyRun:
    """What became of a command.

    Attributes:
        exit_code: Its exit code, -9 if it was killed.
        stdout: What it wrote on standard output.
        stderr: And on standard error.
        num_changes: How many changes it made below the folder, or tried to.
    """

    exit_code: int
    stdout: str
    stderr: str
    num_changes: int


def run_with_fault(
    command: Sequence[object], folder: Path, operation: int = 0, fault: Fault = KILL, *, log: Path | None = None
) -> FaultyRun:
    """Run a command that meets a fault at a change below a folder; the test is skipped where that cannot be done.

    Args:
        command: The program and its arguments.
        folder: Only changes at it or below it count.
        operation: Which change it is, from 1; 0 for none, to count them.
        fault: What happens there.
        log: A file to which a line for every change is added.
    """
    with tempfile.TemporaryDirectory() as control_folder:
        control = Path(control_folder) / "control"
        _arm(control, operation, fault)
        environment = {**os.environ, **_preload(folder, control)} | ({"FAULT_LOG": str(log)} if log else {})
        done = subprocess.run(
            [str(word) for word in command], capture_output=True, text=True, env=environment, check=False
        )
        return FaultyRun(done.returncode, done.stdout, done.stderr, _read_count(control))


@dataclass(frozen=True)
class Outcome:
    """What a scenario's check said after one fault: nothing if all was well."""

    operation: int
    fault: str
    complaint: str


def try_every_fault(
    scenario: str, folder: Path, *, faults: Sequence[Fault] = ALL_FAULTS, every: int = 1
) -> tuple[int, list[Outcome]]:
    """Run a scenario with every fault at every change that it makes; return how often, and what was not well.

    A scenario is an importable module with three functions of one argument, an empty folder at first: `prepare` (what
    is there before), `act` (what meets the fault) and `check`, which is called without a fault after `act` was killed
    or has failed, and raises if something is lost. All three run in processes of their own.

    Args:
        scenario: The module's name.
        folder: Where it is run; changes below it count.
        faults: What happens.
        every: Take only every so many-th change.
    """
    if SHARED_MEMORY.is_dir():  # a real disk takes most of its time to flush
        with tempfile.TemporaryDirectory(dir=SHARED_MEMORY) as memory:
            return _try_in(Path(memory) / folder.name, scenario, faults, every)
    return _try_in(folder, scenario, faults, every)


def _try_in(folder: Path, scenario: str, faults: Sequence[Fault], every: int) -> tuple[int, list[Outcome]]:
    control = folder.parent / f"{folder.name}.control"
    _arm(control, 0, KILL)
    plan = json.dumps([asdict(fault) for fault in faults])
    environment = {**os.environ, **_preload(folder, control), "OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-m", "tests.faults.injector", scenario, str(folder), str(control), plan, str(every)],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout.splitlines()[-1])
    return answer["runs"], [Outcome(**outcome) for outcome in answer["complaints"]]


@functools.cache
def build_injector() -> Path | str:
    """Return the compiled library, or why there can be none here."""
    if sys.platform != "linux":
        return "faults are injected through LD_PRELOAD; run on Linux"
    compiler = shutil.which("cc")
    if compiler is None:
        return "there is no C compiler `cc`; install one (gcc or clang)"
    library = Path(tempfile.mkdtemp(prefix="tlkit-test-fault-")) / "fault.so"
    source = Path(__file__).with_name("fault.c")
    subprocess.run([compiler, "-O1", "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
    return library


def _preload(folder: Path, control: Path) -> Mapping[str, str]:
    library = build_injector()
    if isinstance(library, str):
        pytest.skip(library)
    return {"LD_PRELOAD": str(library), "FAULT_FOLDER": str(folder.resolve()), "FAULT_CONTROL": str(control)}


def _arm(control: Path, operation: int, fault: Fault) -> None:
    """Count from 0 again, and strike at a change; 0 for none."""
    content = _CONTROL.pack(0, operation, fault.error, fault.onwards)
    # In place: a running process has the file mapped.
    with control.open("r+b" if control.exists() else "wb") as file:
        file.write(content)


def _read_count(control: Path) -> int:
    count: int = _CONTROL.unpack(control.read_bytes())[0]
    return count


def _run_plan(
    scenario: str, folder: Path, control: Path, faults: Sequence[Fault], every: int
) -> tuple[int, list[Outcome]]:
    """Do the work of `try_every_fault`, in the process that has the library loaded."""
    import importlib

    module = importlib.import_module(scenario)
    names = folder.parent / f"{folder.name}.imports"
    complaints = []

    def run_once(operation: int, fault: Fault) -> int:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        steps = [module.prepare, module.act, module.check]
        prepare, act, check = steps if names.exists() else [_noting_imports(step, names) for step in steps]
        _fork(prepare, folder)
        _arm(control, operation, fault)
        ending = _fork(act, folder)
        count = _read_count(control)
        _arm(control, 0, KILL)
        complaint = _fork(check, folder)
        if ending and not operation:
            complaint = ending
        if complaint:
            complaints.append(Outcome(operation, str(fault), complaint))
        return count

    runs = 0
    for fault in faults:
        operation, num_changes = 0, run_once(0, fault)
        for name in sorted({*names.read_text().split()} - {*sys.modules}):  # so that not every fork has to
            with contextlib.suppress(ImportError):  # names that only look like modules
                importlib.import_module(name)
        gc.freeze()  # or each fork would copy the memory in which the search for garbage notes what it saw
        while (operation := operation + every) <= num_changes:
            run_once(operation, fault)
            runs += 1
    return runs, complaints


def _noting_imports(step: Callable[[Path], object], names: Path) -> Callable[[Path], None]:
    """Return the same step, which also leaves the names of all modules that it has imported."""

    def run(folder: Path) -> None:
        step(folder)
        with names.open("a") as file:
            file.write("\n".join([*sys.modules, ""]))

    return run


def _fork(function: Callable[[Path], object], folder: Path) -> str:
    """Run a function of a folder in a fork; return "", the traceback of what it raised, or how it was killed."""
    reader, writer = os.pipe()
    process = os.fork()
    if process == 0:
        os.close(reader)
        code = 0
        try:
            function(folder)
        except BaseException:  # noqa: BLE001 - told to the parent
            import traceback

            os.write(writer, traceback.format_exc().encode()[-60_000:])
            code = 1
        os._exit(code)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        problem = pipe.read().decode()
    _, status = os.waitpid(process, 0)
    return problem or (f"ended with {os.waitstatus_to_exitcode(status)}" if status else "")


if __name__ == "__main__":
    words = sys.argv[1:]
    number, outcomes = _run_plan(
        words[0], Path(words[1]), Path(words[2]), [Fault(**fault) for fault in json.loads(words[3])], int(words[4])
    )
    print(json.dumps({"runs": number, "complaints": [asdict(outcome) for outcome in outcomes]}))  # noqa: T201
