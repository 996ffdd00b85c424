"""How the steps before and after the network grow with the number of images, 10^4 to 10^6: processor time and memory.

python -m benchmarks.scale [COUNT...] prints a Markdown table with fitted exponents. No image is decoded and no network is
run: files are empty, and hashes, facts and features are invented.

- list: find the files of a folder of class folders, and keep those of part 1 of 8;
- manifest: write and read manifest.csv, with one record an image;
- rows: the rows that the manifest needs, looked up in a cache that holds all of them, with their checksums;
- epoch: read all rows in random order, 1,024 at a time, as an epoch of training does.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.side_by_side.figures import fit_exponent
from tlkit.data.dataset import find_candidates
from tlkit.data.manifest import ImageRecord, Manifest, read_manifest, write_manifest
from tlkit.data.parts import Part
from tlkit.data.views import ViewPlan
from tlkit.features.cache import CacheSpec, FeatureCache
from tlkit.features.requested_rows import RequestedRows
from tlkit.features.row_keys import RowKey
from tlkit.recipes.settings import DataSettings

COUNTS = (10_000, 100_000, 1_000_000)
WIDTH = 64
BATCH = 1_024
NUM_CLASSES = 100
SPEC = CacheSpec("tiny", "ab" * 32, "top", "avg", (96, 96), "squash", 2, "openvino", "float32", "float16", (WIDTH,))


class Clock:
    """Measures steps: processor seconds, and the growth of the process's peak memory, in bytes an image."""

    def __init__(self, count: int) -> None:
        self.figures: dict[str, tuple[float, float]] = {}
        self.peak_bytes = 0
        self._count = count

    @contextlib.contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Measure what is done inside the context."""
        before, start = read_memory("VmRSS"), time.process_time()
        Path("/proc/self/clear_refs").write_text("5")  # the peak counts from here
        yield
        seconds = time.process_time() - start
        peak = read_memory("VmHWM")
        self.peak_bytes = max(self.peak_bytes, peak)  # the system's own figure begins again with each step
        self.figures[name] = (seconds, max(0, peak - before) / self._count)


def read_memory(name: str) -> int:
    """Return a figure of this process's memory in bytes."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(name))
    return int(line.split()[1]) * 1024


def measure(count: int) -> tuple[dict[str, tuple[float, float]], int]:
    """Return (processor seconds, peak bytes an image) of each step, and the highest peak of a step in bytes."""
    clock = Clock(count)
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        _measure_listing(root / "photos", count, clock)
        records = [_make_record(root / "photos", number) for number in range(count)]
        with clock.step("records"):
            again = [_make_record(root / "photos", number) for number in range(count)]
        del again
        names = tuple(sorted({record.answer for record in records}))
        manifest = Manifest(root / "photos", names, tuple(records))
        (root / "run").mkdir()
        with clock.step("write manifest.csv"):
            write_manifest(manifest, root / "run")
        with clock.step("read manifest.csv"):
            read = read_manifest(root / "run")
        assert len(read.records) == count
        del read
        _write_cache(root / "cache", records)
        with clock.step("open the cache"):
            cache = FeatureCache.open(root / "cache", SPEC)
        with clock.step("find all rows"):
            requested = RequestedRows(manifest, ViewPlan())
            positions = requested.find(cache)[:, 0]
        assert (positions >= 0).all()
        with clock.step("read an epoch"):
            order = np.random.default_rng(0).permutation(positions)
            for start in range(0, count, BATCH):
                cache.read(order[start : start + BATCH])
    return clock.figures, clock.peak_bytes


def _measure_listing(folder: Path, count: int, clock: Clock) -> None:
    for number in range(NUM_CLASSES):
        (folder / f"class_{number:03d}").mkdir(parents=True)
    for number in range(count):
        os.close(os.open(_name(folder, number), os.O_CREAT | os.O_WRONLY))
    with clock.step("list the files"):
        found = find_candidates(folder, DataSettings(), None)
    with clock.step("choose part 1/8"):
        part = Part(1, 8)
        chosen = [item for item in found.items if part.holds(item.path, found.root)]
    assert len(found.items) == count
    assert 0.1 < len(chosen) / count < 0.15


def _name(folder: Path, number: int) -> str:
    return f"{folder}/class_{number % NUM_CLASSES:03d}/photo_{number:09d}.jpg"


def _make_record(folder: Path, number: int) -> ImageRecord:
    name = _name(folder, number)
    sha256 = hashlib.sha256(name.encode()).hexdigest()
    return ImageRecord(Path(name), sha256, 640, 480, "train" if number % 5 else "validation", name.split("/")[-2])


def _write_cache(root: Path, records: list[ImageRecord]) -> None:
    features = np.random.default_rng(0).standard_normal((BATCH, WIDTH), dtype=np.float32)
    with FeatureCache.open(root, SPEC).writer() as writer:
        for start in range(0, len(records), BATCH):
            keys = [RowKey(record.sha256, "0") for record in records[start : start + BATCH]]
            writer.append(keys, features[: len(keys)])


def run_all(counts: list[int], say: Callable[[str], None]) -> None:
    """Measure each number in a process of its own, and print the table."""
    found: list[dict[str, Any]] = []
    for count in counts:
        words = [sys.executable, "-m", "benchmarks.scale", "--one", str(count)]
        found.append(json.loads(subprocess.run(words, check=True, stdout=subprocess.PIPE).stdout))
    say("| step | " + " | ".join(f"{count:,}" for count in counts) + " | exponent | bytes an image |")
    say("|---|" + "---|" * (len(counts) + 2))
    for name in found[0]["steps"]:
        steps = [each["steps"][name] for each in found]
        exponent = fit_exponent(counts, [max(seconds, 1e-3) for seconds, _ in steps]) if len(counts) > 1 else 1
        cells = [f"{seconds:.2f} s" for seconds, _ in steps]
        say(f"| {name} | " + " | ".join(cells) + f" | {exponent:.2f} | {steps[-1][1]:,.0f} |")
    say("| highest peak of a step | " + " | ".join(f"{each['peak'] / 1e6:,.0f} MB" for each in found) + " | | |")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        steps, peak_bytes = measure(int(sys.argv[2]))
        print(json.dumps({"steps": steps, "peak": peak_bytes}))
    else:
        run_all([int(word) for word in sys.argv[1:]] or list(COUNTS), print)
