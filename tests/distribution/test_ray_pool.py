"""Commands on a real Ray cluster of two nodes, each in a process of its own; and what is said without Ray."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import CliResult, draw_image_folder
from tlkit.distribution.ray_pool import check_ray
from tlkit.errors import SettingError
from tlkit.features.shards import map_shard, read_shard, read_shard_spec

ROOT = Path(__file__).parents[2]
TIMEOUT_SECONDS = 300

needs_ray = pytest.mark.skipif(
    importlib.util.find_spec("ray") is None or sys.platform != "linux",
    reason="Ray is not installed, or this is not Linux; `pip install 'tlkit[ray]'` on Linux lifts this",
)


def read_rows(cache_root: Path) -> dict[tuple[bytes, bytes], bytes]:
    """Return the bytes of every row by its key, and assert that there is one each."""
    rows: dict[tuple[bytes, bytes], bytes] = {}
    for path in cache_root.glob("features/*/*.h5"):
        shard = map_shard(read_shard(path, read_shard_spec(path)))
        for sha256, view, features in zip(shard.sha256, shard.view, shard.features, strict=True):
            key = (bytes(sha256), bytes(view))
            assert key not in rows
            rows[key] = features.tobytes()
    return rows


def run(
    *words: object, cache_root: Path, program: str = "tests.distribution.two_nodes"
) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "TLKIT_CACHE": str(cache_root), "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-m", program, *map(str, words)]
    return subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=TIMEOUT_SECONDS, check=False
    )


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    layout = {
        f"{split}/{name}": number for split, number in (("train", 60), ("test", 9)) for name in ("red", "striped")
    }
    folder = draw_image_folder(tmp_path_factory.mktemp("ray") / "photos", layout)
    (folder / "train" / "red" / "broken.png").write_bytes(b"not an image")
    return folder


@pytest.fixture(scope="module")
def computed(photos: Path) -> tuple[Path, dict[tuple[bytes, bytes], bytes]]:
    """A cache root without features, but with the network converted, and the features that one process computes."""
    cache_root = photos.parent / "cache"
    ended = run(*precompute(photos), cache_root=cache_root, program="tlkit")
    assert ended.returncode == 0, ended.stderr
    rows = read_rows(cache_root)
    shutil.rmtree(cache_root / "features")
    return cache_root, rows


def precompute(photos: Path) -> list[object]:
    return ["precompute", photos, "--backbone", "tiny", "--head", "linear", "--views", 12]


@needs_ray
def test_two_nodes_compute_the_same_bits_though_a_worker_is_killed(
    photos: Path, computed: tuple[Path, dict[tuple[bytes, bytes], bytes]]
) -> None:
    cache_root, rows = computed
    ended = run("--kill-worker", *precompute(photos), "--ray", "auto", "--json", cache_root=cache_root)
    assert ended.returncode == 0, ended.stderr
    payload = json.loads(ended.stdout)
    assert (payload["images"], payload["misses"], payload["skipped"]) == (138, 96 * 12 + 24 + 18, 1)
    assert "its work is done again." in ended.stderr
    assert read_rows(cache_root) == rows


@needs_ray
def test_predictions_and_scores_are_the_same_bits_and_in_order(photos: Path, tmp_path: Path) -> None:
    cache_root = tmp_path / "cache"
    training = ["finetune", photos, "--backbone", "tiny", "--epochs", 2, "--out", tmp_path / "run"]
    assert run(*training, cache_root=cache_root, program="tlkit").returncode == 0
    answers = []
    for program, *ray in (("tlkit",), ("tests.distribution.two_nodes", "--ray", "auto")):
        words = ["predict", tmp_path / "run", photos, "--out", tmp_path / f"{len(ray)}.csv", *ray]
        ended = run(*words, cache_root=cache_root, program=program)
        assert ended.returncode == 0, ended.stderr
        answers.append((tmp_path / f"{len(ray)}.csv").read_text("utf-8"))
    assert answers[0] == answers[1]
    assert "broken.png" in answers[0]
    scores = []
    for program, *ray in (("tlkit",), ("tests.distribution.two_nodes", "--ray", "auto")):
        words = ["evaluate", tmp_path / "run", "--out", tmp_path / "scores", "--json", *ray]
        ended = run(*words, cache_root=cache_root, program=program)
        assert ended.returncode == 0, ended.stderr
        payload = {name: value for name, value in json.loads(ended.stdout).items() if name != "seconds"}
        scores.append((payload, (tmp_path / "scores" / "predictions.csv").read_text("utf-8")))
    assert scores[0] == scores[1]


@pytest.mark.parametrize("words", ["precompute data", "audit data", "evaluate run", "predict run data"])
def test_without_ray_every_command_says_how_to_install_it(
    words: str, run_cli: Callable[..., CliResult], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tlkit.distribution.ray_pool.find_spec", lambda name: None)
    result = run_cli(*words.split(), "--ray", "auto")
    assert result.exit_code == 1
    assert result.stderr == (
        "Error: --ray auto: Ray is not installed.\n"
        "  Expected: the package ray, on this machine and on all nodes of the cluster\n"
        "  Fix: pip install 'tlkit[ray]'\n"
    )


@pytest.mark.parametrize("place", ["auto", "127.0.0.1:1"])
def test_a_cluster_that_is_not_there_is_an_error_at_once(
    place: str, run_cli: Callable[..., CliResult], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    monkeypatch.setattr("tlkit.distribution.ray_pool.find_spec", lambda name: name)
    result = run_cli("precompute", "data", "--ray", place)
    assert result.exit_code == 1
    assert result.stderr == (
        f"Error: --ray {place}: nothing answers at 127.0.0.1:1.\n"
        "  Expected: a running cluster, of which this machine is a node\n"
        "  Fix: start it with `ray start --head`, and `ray start --address=HEAD:6379` on the other nodes; or give --ray local.\n"
    )


def test_images_that_arrive_one_by_one_are_not_for_a_cluster(run_cli: Callable[..., CliResult]) -> None:
    result = run_cli("predict", "run", "-", "--ray", "local")
    assert result.stderr == (
        "Error: --ray local: images that arrive one by one are predicted at once, in this process.\n"
        "  Expected: --ray only with folders, patterns or files\n"
        "  Fix: leave out --ray.\n"
    )


def test_a_place_that_is_none_is_refused() -> None:
    with pytest.raises(SettingError) as refusal:
        check_ray("everywhere")
    assert str(refusal.value) == (
        "--ray everywhere: not a place of a Ray cluster.\n"
        "  Expected: auto, which finds a running cluster; local, which starts one on this machine; or HOST:PORT\n"
        "  Fix: --ray auto"
    )
    with pytest.raises(SettingError) as refusal:
        check_ray("ray://head:10001")
    assert str(refusal.value) == (
        "--ray ray://head:10001: Ray Client cannot do this work.\n"
        "  Expected: HOST:PORT of the cluster's head, on a machine that is one of its nodes\n"
        "  Fix: run the command on a node, such as with `ray job submit`, with --ray auto."
    )
