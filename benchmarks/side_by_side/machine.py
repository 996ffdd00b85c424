"""Where the figures come from: processor, memory, versions, date."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from benchmarks.side_by_side.bench import PEERS, PEERS_ARE_THERE
from benchmarks.side_by_side.processes import ROOT

PACKAGES = ("tensorflow", "keras", "openvino", "numpy", "pillow", "h5py")
PEER_PACKAGES = ("torch", "onnxruntime", "scikit-learn", "pillow", "numpy")
FLAGS = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "avx512_fp16", "amx_bf16", "amx_int8", "amx_tile")
BFLOAT16_FLAGS = {"avx512_bf16", "amx_bf16"}


@dataclass(frozen=True)
class Machine:
    """What a figure depends on besides the code, as lines of name and value."""

    facts: tuple[tuple[str, str], ...]

    def list_facts(self) -> list[tuple[str, str]]:
        """Return the lines."""
        return list(self.facts)


def describe_machine() -> Machine:
    """Look the machine over."""
    cpu = _read("/proc/cpuinfo")
    model = re.search(r"^model name\s*:\s*(.*)$", cpu, re.MULTILINE)
    flags = _read_flags()
    memory = re.search(r"^MemTotal:\s*(\d+) kB", _read("/proc/meminfo"), re.MULTILINE)
    return Machine(
        (
            ("date", datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")),
            ("tlkit", _describe_checkout()),
            ("processor", model[1] if model else platform.processor() or platform.machine()),
            ("cores", str(os.cpu_count())),
            ("of its instructions", " ".join(flag for flag in FLAGS if flag in flags) or "unknown"),
            ("memory", f"{int(memory[1]) / 2**20:.1f} GiB" if memory else "unknown"),
            ("system", f"{platform.system()} {platform.release()}, Python {platform.python_version()}"),
            ("load before the run", f"{os.getloadavg()[0]:.2f} (1 minute)"),
            ("versions", ", ".join(f"{name} {found}" for name in PACKAGES if (found := _find_version(name)))),
            ("versions of the peers", ", ".join(_list_peers()) or f"there is no {PEERS.name}"),
        )
    )


def has_bfloat16() -> bool:
    """Return whether the processor multiplies in bfloat16; known on Linux only."""
    return not BFLOAT16_FLAGS.isdisjoint(_read_flags())


def _read_flags() -> set[str]:
    line = re.search(r"^flags\s*:(.*)$", _read("/proc/cpuinfo"), re.MULTILINE)
    return set(line[1].split()) if line else set()


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")
    except OSError:
        return ""


def _find_version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _list_peers() -> list[str]:
    if not PEERS_ARE_THERE.is_file():
        return []
    folders = list(PEERS.glob("lib/python*/site-packages"))
    names = (f"{name.replace('-', '_')}-*.dist-info" for name in PEER_PACKAGES)
    found = [path.name.removesuffix(".dist-info") for folder in folders for name in names for path in folder.glob(name)]
    return [name.replace("-", " ").replace("_", "-") for name in found]


def _describe_checkout() -> str:
    from tlkit import __version__

    words = ["git", "describe", "--always", "--dirty", "--exclude=*"]
    try:
        commit = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return __version__
    return f"{__version__}, commit {commit}"
