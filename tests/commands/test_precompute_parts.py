from __future__ import annotations

import dataclasses
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.commands.slow_part import SETTINGS, VIEWS, precompute_slowly
from tlkit.commands.precompute import PrecomputeOptions, run_precompute
from tlkit.data.parts import Part
from tlkit.data.views import PICTURE_ITSELF, ViewPlan
from tlkit.errors import SettingError
from tlkit.features.shards import SHARD_PATTERN, map_shard, read_shard
from tlkit.features.upkeep import list_caches, verify_cache
from tlkit.recipes import BackboneSettings, DataSettings
from tlkit.reports.console import Console

QUIET = Console(verbosity=-1)
IN_INT8 = dataclasses.replace(SETTINGS, engine="openvino", precision="int8")
Rows = dict[tuple[bytes, bytes], bytes]


@pytest.fixture
def photos(tmp_path: Path, make_image_folder: Callable[..., Path]) -> Path:
    layout = {
        f"{split}/{name}": count for split, count in (("train", 9), ("validation", 4)) for name in ("red", "blue")
    }
    return make_image_folder(tmp_path / "photos", layout)


def read_rows(root: Path) -> tuple[Rows, Counter[tuple[bytes, bytes]]]:
    """Return the features of every row of the only cache, and how often each row is there."""
    (cache,) = list_caches(root)
    assert cache.spec is not None
    assert verify_cache(cache.folder, advance=lambda count: None).damaged == {}
    rows: Rows = {}
    numbers: Counter[tuple[bytes, bytes]] = Counter()
    for path in sorted(cache.folder.glob(SHARD_PATTERN)):
        shard = map_shard(read_shard(path, cache.spec))
        for sha256, view, features in zip(shard.sha256, shard.view, shard.features, strict=True):
            key = (bytes(sha256), bytes(view))
            numbers[key] += 1
            assert rows.setdefault(key, features.tobytes()) == features.tobytes()
    return rows, numbers


def run(
    photos: Path,
    part: str | None,
    *,
    views: ViewPlan = PICTURE_ITSELF,
    backbone: BackboneSettings = SETTINGS,
    sample: float = 1.0,
    boundary: str = "top",
    console: Console = QUIET,
) -> dict[str, object]:
    options = PrecomputeOptions(boundary, None, views, None, None if part is None else Part.parse(part))
    data_settings = DataSettings(sample=sample)
    return run_precompute(photos, options, data_settings=data_settings, backbone_settings=backbone, console=console)


def precompute(photos: Path, root: Path, monkeypatch: pytest.MonkeyPatch, part: str | None = None) -> dict[str, object]:
    monkeypatch.setenv("TLKIT_CACHE", str(root))
    return run(photos, part, views=VIEWS)


def test_parts_compute_the_rows_of_one_run_to_the_last_bit(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = precompute(photos, tmp_path / "whole", monkeypatch)
    parts = [precompute(photos, tmp_path / "parts", monkeypatch, f"{number}/3") for number in (1, 2, 3)]
    assert sum(int(str(part["images"])) for part in parts) == whole["images"] == 26
    assert sum(int(str(part["misses"])) for part in parts) == whole["misses"] == 18 * 2 + 8
    assert [part["part"] for part in (whole, *parts)] == [None, "1/3", "2/3", "3/3"]
    assert {(part["engine"], part["precision"]) for part in parts} == {("keras", "float32")}
    rows, numbers = read_rows(tmp_path / "parts")
    assert rows == read_rows(tmp_path / "whole")[0]
    assert set(numbers.values()) == {1}
    assert precompute(photos, tmp_path / "parts", monkeypatch)["misses"] == 0


def test_a_part_finds_the_rows_of_equal_files_that_another_part_has_computed(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = next(path for path in sorted(photos.glob("train/red/*")) if Part(1, 2).holds(path, photos))
    names = (original.with_name(f"copy_{number}.png") for number in range(50))
    shutil.copy(original, next(path for path in names if Part(2, 2).holds(path, photos)))
    parts = [precompute(photos, tmp_path / "parts", monkeypatch, f"{number}/2") for number in (1, 2)]
    assert [sum(int(str(part[name])) for part in parts) for name in ("images", "hits", "misses")] == [27, 2, 44]


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs a system whose processes can be killed")
def test_parts_killed_at_random_and_started_again_leave_the_cache_of_an_undisturbed_run(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    precompute(photos, tmp_path / "noted", monkeypatch)  # leaves the note on the trunk, so that no network is needed
    for root in ("whole", "parts"):
        shutil.copytree(tmp_path / "noted" / "trunks", tmp_path / root / "trunks")
    monkeypatch.setenv("TLKIT_CACHE", str(tmp_path / "whole"))
    with monkeypatch.context() as patch:
        patch.setattr("tlkit.features.ensure.FeatureRows.open_engine", None)
        patch.setattr("tlkit.features.writer._FIRST_SHARD_SECONDS", 0.0)
        precompute_slowly(photos, None, 0.0)

    def start(number: int) -> subprocess.Popen[bytes]:
        words = [sys.executable, "-m", "tests.commands.slow_part", str(photos), f"{number}/3", "0.1"]
        environment = {**os.environ, "TLKIT_CACHE": str(tmp_path / "parts")}
        return subprocess.Popen(words, env=environment, cwd=Path(__file__).parents[2])

    cache = tmp_path / "parts" / "features"
    num_killed = 0
    running = {number: start(number) for number in (1, 2, 3)}
    draw = random.Random(0)
    try:
        for _ in range(4):
            num_shards = len(list(cache.glob(f"*/{SHARD_PATTERN}")))
            deadline = time.monotonic() + 20
            while len(list(cache.glob(f"*/{SHARD_PATTERN}"))) == num_shards and time.monotonic() < deadline:
                if not any(process.poll() is None for process in running.values()):
                    break
                time.sleep(0.01)
            number = draw.choice(list(running))
            running[number].kill()
            num_killed += running[number].wait() == -signal.SIGKILL
            running[number] = start(number)
        assert [process.wait(60) for process in running.values()] == [0, 0, 0]
    finally:
        for process in running.values():
            process.kill()
            process.wait()
    assert num_killed >= 2
    assert read_rows(tmp_path / "parts")[0] == read_rows(tmp_path / "whole")[0]


def test_a_part_says_how_the_others_come_into_the_same_cache(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(photos, "1/2", backbone=dataclasses.replace(SETTINGS, engine="auto", precision="auto"), console=Console())
    output = capsys.readouterr().out
    assert (
        "Other parts belong to the same cache if they, too, are computed by keras in float32: on machines that differ, "
        "give all parts --engine keras --precision float32.\n"
    ) in output
    assert "Part 1/2: " in output
    run(photos, "1/2", console=Console())
    assert "Other parts" not in capsys.readouterr().out


def test_parts_do_not_choose_their_engine_by_its_time(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tlkit.features.engine_choice.MIN_ROWS_TO_TIME", 0)
    monkeypatch.setattr("tlkit.features.engine_choice.SECONDS_WORTH_A_TRIAL", 0.0)
    monkeypatch.setattr("tlkit.features.engine_choice.list_engines", lambda backbone: ["keras", "another"])
    timed = []

    def measure(*arguments: object, **more: object) -> float:
        timed.append(arguments)
        return 1.0

    monkeypatch.setattr("tlkit.features.engine_choice._measure_rate", measure)
    run(photos, "1/2")
    assert timed == []
    run(photos, None, boundary="conv1")
    assert timed


def test_a_part_does_not_calibrate_a_network_of_its_own(photos: Path, cache_root: Path) -> None:
    with pytest.raises(SettingError) as refusal:
        run(photos, "1/2", backbone=IN_INT8)
    assert str(refusal.value) == (
        "precision is int8, and --part is given: each part would calibrate a network of its own, with other features.\n"
        "  Expected: a cache in int8 that holds some of the part's images, whose calibrated network all parts then use\n"
        "  Fix: run the command once without --part and with --sample 0.01, or use another --precision."
    )
    assert not (cache_root / "features").exists()
    assert not (cache_root / "files.sqlite").exists()


@pytest.mark.usefixtures("openvino")
def test_parts_in_int8_continue_with_the_network_that_one_run_calibrated(photos: Path, cache_root: Path) -> None:
    run(photos, None, backbone=IN_INT8, sample=0.5)
    for part in ("1/2", "2/2"):
        run(photos, part, backbone=IN_INT8)
    (cache,) = list_caches(cache_root)
    assert cache.num_rows == 26
    assert set(read_rows(cache_root)[1].values()) == {1}
