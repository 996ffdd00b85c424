"""What goes when room is made, and what stays."""

from __future__ import annotations

import dataclasses
import json
import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from tests.features.test_upkeep import fill, ignore
from tlkit.errors import CacheError, SettingError
from tlkit.features.cache import FeatureCache
from tlkit.features.folder import claimed, note_use
from tlkit.features.pruning import PruneRules, prune
from tlkit.features.spec import CacheSpec
from tlkit.features.upkeep import list_caches, verify_cache

if TYPE_CHECKING:
    from tests.features.conftest import Rows


def test_pruning_removes_only_what_was_named(tmp_path: Path, spec: CacheSpec, rows: Rows) -> None:
    doomed = fill(tmp_path, spec, rows)
    kept = fill(tmp_path, dataclasses.replace(spec, fit="crop"), rows)
    num_bytes = list_caches(tmp_path)[1].num_bytes

    rehearsal = prune(tmp_path, PruneRules(keys=[doomed.name[:6]]), dry_run=True)
    assert (rehearsal.keys, rehearsal.num_bytes) == ((doomed.name,), num_bytes)
    assert doomed.exists()
    assert prune(tmp_path, PruneRules(keys=[doomed.name[:6]])) == rehearsal
    assert not doomed.exists()
    assert verify_cache(kept, advance=ignore).num_rows == 6


def test_pruning_by_age_goes_by_the_last_use(tmp_path: Path, spec: CacheSpec, rows: Rows) -> None:
    old = fill(tmp_path, spec, rows)
    fill(tmp_path, dataclasses.replace(spec, fit="crop"), rows)
    ten_days_ago = time.time() - 10 * 86_400
    os.utime(old / "cache.json", (ten_days_ago, ten_days_ago))
    assert prune(tmp_path, PruneRules(older_than_days=11)).keys == ()
    assert prune(tmp_path, PruneRules(older_than_days=9)).keys == (old.name,)


def test_pruning_everything_leaves_other_files_alone(tmp_path: Path, spec: CacheSpec, rows: Rows) -> None:
    folder = fill(tmp_path, spec, rows)
    own = [tmp_path / "notes.txt", folder / "notes.txt", tmp_path / "features" / "0123" / "shard-1.h5"]
    for path in own:
        path.parent.mkdir(exist_ok=True)
        path.write_text("mine")
    prune(tmp_path, PruneRules(everything=True))
    assert sorted(path for path in tmp_path.rglob("*") if path.is_file()) == sorted([*own, tmp_path / "CACHEDIR.TAG"])


def test_pruning_removes_half_written_files_of_ended_processes(
    tmp_path: Path, spec: CacheSpec, rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = fill(tmp_path, spec, rows)
    monkeypatch.setattr("socket.gethostname", lambda: "this-host")
    monkeypatch.setattr("tlkit.features.shards._is_running", lambda process: process != 41)
    for process in (41, 42):
        (folder / f"partial-this-host-{process}-0123abcd.h5").write_bytes(b"1234")
    report = prune(tmp_path, PruneRules())
    assert (report.keys, report.num_bytes) == ((), 4)
    assert [path.name for path in folder.glob("partial-*")] == ["partial-this-host-42-0123abcd.h5"]


def test_an_unknown_key_is_named_with_the_nearest_one(tmp_path: Path, spec: CacheSpec, rows: Rows) -> None:
    with pytest.raises(CacheError) as refusal:
        prune(tmp_path, PruneRules(keys=["abc"]))
    assert str(refusal.value) == (
        f"No feature cache under {tmp_path} has the key 'abc'.\n"
        "  Expected: a cache; there is none yet\n"
        "  Fix: make one with `tlkit precompute`."
    )
    key = fill(tmp_path, spec, rows).name
    with pytest.raises(CacheError) as refusal:
        prune(tmp_path, PruneRules(keys=["x" + key[1:]]))
    assert str(refusal.value) == (
        f"No feature cache under {tmp_path} has the key 'x{key[1:]}'.\n"
        f"  Expected: one of {key}\n"
        f"  Fix: did you mean '{key}'?"
    )


def make_trunk(root: Path, name: str, *, days: float, weights: str = "") -> Path:
    """Make the folder of a converted trunk that was last read some days ago."""
    folder = root / "engines" / name
    folder.mkdir(parents=True)
    (folder / "trunk.json").write_text(json.dumps({"description": {"weights_sha256": weights}, "sha256": {}}))
    for file in ("trunk.xml", "trunk.bin"):
        (folder / file).write_bytes(b"12345")
    used = time.time() - days * 86_400
    os.utime(folder, (used, used))
    return folder


def test_converted_trunks_and_notes_go_with_the_last_cache_of_their_weights(
    tmp_path: Path, spec: CacheSpec, rows: Rows
) -> None:
    folder = fill(tmp_path, spec, rows)
    needed = make_trunk(tmp_path, "0" * 16, days=2, weights=spec.weights_sha256)
    lone = make_trunk(tmp_path, "1" * 16, days=0, weights="another")
    being_written = make_trunk(tmp_path, f"{'2' * 16}.{'a' * 32}", days=0.5)
    half = make_trunk(tmp_path, f"{'3' * 16}.{'a' * 32}", days=2)
    foreign = make_trunk(tmp_path, "holidays", days=400)
    notes = tmp_path / "trunks"
    notes.mkdir()
    for name, weights in (("4" * 16, spec.weights_sha256), ("5" * 16, "another")):
        (notes / f"{name}.json").write_text(json.dumps({"weights_sha256": weights}))
    for name in ("6" * 16 + ".json", "mine.json"):
        (notes / name).write_text("[[")

    report = prune(tmp_path, PruneRules())
    assert (report.keys, report.trunks, report.notes) == (
        (),
        (lone, half),
        (notes / f"{'5' * 16}.json", notes / f"{'6' * 16}.json"),
    )
    assert not lone.exists()
    assert not half.exists()
    assert being_written.exists()
    assert prune(tmp_path, PruneRules(older_than_days=1)).trunks == (needed,)
    prune(tmp_path, PruneRules(everything=True))
    assert not folder.exists()
    assert [path.name for path in notes.iterdir()] == ["mine.json"]
    assert list((tmp_path / "engines").iterdir()) == [foreign]


def test_the_comparison_of_the_engine_goes_with_its_cache(tmp_path: Path, spec: CacheSpec, rows: Rows) -> None:
    folder = fill(tmp_path, spec, rows)
    (folder / "agreement.json").write_text("{}")
    prune(tmp_path, PruneRules(everything=True))
    assert not folder.exists()


def make_three(root: Path, spec: CacheSpec, rows: Rows) -> dict[str, Path]:
    """Make three caches of one size, used 3, 2 and 1 days ago; the last is of weights that were trained in a run."""
    folders = {}
    for days, name in ((3, "old"), (2, "new"), (1, "one-off")):
        folders[name] = fill(root, dataclasses.replace(spec, weights_sha256=name), rows)
        note_use(folders[name], root, is_one_off=name == "one-off")
        used = time.time() - days * 86_400
        os.utime(folders[name] / "cache.json", (used, used))
    return folders


def test_a_size_is_kept_by_removing_one_off_weights_first_and_then_the_oldest(
    tmp_path: Path, spec: CacheSpec, rows: Rows
) -> None:
    folders = make_three(tmp_path, spec, rows)
    total = sum(summary.num_bytes for summary in list_caches(tmp_path))
    assert prune(tmp_path, PruneRules(max_bytes=total)).keys == ()
    report = prune(tmp_path, PruneRules(max_bytes=total - 1), dry_run=True)
    assert report.keys == (folders["one-off"].name,)
    report = prune(tmp_path, PruneRules(max_bytes=total // 2))
    assert report.keys == (folders["one-off"].name, folders["old"].name)
    assert report.num_bytes + report.bytes_left == total
    assert list_caches(tmp_path)[0].folder == folders["new"]


@pytest.mark.parametrize("rules", [PruneRules(max_bytes=0), PruneRules(everything=True), PruneRules(older_than_days=0)])
def test_a_cache_in_use_stays(tmp_path: Path, spec: CacheSpec, rows: Rows, rules: PruneRules) -> None:
    folders = make_three(tmp_path, spec, rows)
    user = FeatureCache.open(tmp_path, dataclasses.replace(spec, weights_sha256="old"))
    report = prune(tmp_path, rules)
    assert report.in_use == (folders["old"].name,)
    assert sorted(report.keys) == sorted(folders[name].name for name in ("new", "one-off"))
    assert np.array_equal(user.read(user.find(rows.keys(6))), rows.features(rows.keys(6)))
    del user
    assert prune(tmp_path, rules).keys == (folders["old"].name,)


def test_who_opens_a_cache_that_is_being_removed_waits_and_makes_it_anew(
    tmp_path: Path, spec: CacheSpec, rows: Rows
) -> None:
    folder = fill(tmp_path, spec, rows)
    with ThreadPoolExecutor(1) as pool:
        with claimed(folder) as is_free:
            assert is_free
            opening = pool.submit(FeatureCache.open, tmp_path, spec)
            time.sleep(0.05)
            assert not opening.done()
            for path in folder.iterdir():
                path.unlink()
        cache = opening.result()
    assert len(cache) == 0
    assert prune(tmp_path, PruneRules(everything=True)).in_use == (folder.name,)


def test_what_cannot_be_removed_is_named(tmp_path: Path, spec: CacheSpec, rows: Rows) -> None:
    folder = fill(tmp_path, spec, rows)
    (folder / "agreement.json").mkdir()
    with pytest.raises(CacheError) as refusal:
        prune(tmp_path, PruneRules(everything=True))
    assert str(refusal.value) == (
        f"{folder / 'agreement.json'} cannot be removed: Is a directory.\n"
        "  Expected: a file that tlkit made and this user may remove\n"
        "  Fix: remove it by hand, then run the command again."
    )


def test_a_link_in_a_circle_in_place_of_a_file_is_removed(tmp_path: Path, spec: CacheSpec, rows: Rows) -> None:
    folder = fill(tmp_path, spec, rows)
    for path in (folder / "cache.json", min(folder.glob("shard-*.h5"))):
        path.unlink()
        path.symlink_to(path.name)
    prune(tmp_path, PruneRules(everything=True))
    assert not folder.exists()


def test_rules_that_exclude_each_other_are_refused() -> None:
    with pytest.raises(SettingError) as problem:
        PruneRules(everything=True, older_than_days=0)
    assert problem.value.expected == "no other rule beside --all"
    with pytest.raises(SettingError) as problem:
        PruneRules(keys=["ab"], max_bytes=0)
    assert problem.value.expected == "neither --key nor --older-than beside --max-size"
