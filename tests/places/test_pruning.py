"""Copies of places are listed and removed with the caches."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.places.conftest import Heard
from tests.s3_server import S3Server
from tlkit.errors import PlaceError
from tlkit.places import folders
from tlkit.places.copying import copy_place
from tlkit.places.folders import list_copies
from tlkit.places.place import parse_place
from tlkit.places.pruning import match_copies, prune_copies


@pytest.fixture
def copies(s3: S3Server, cache_root: Path, heard: Heard) -> dict[str, Path]:
    """Three copies of about 100, 200 and 300 kB, the first used first, that no process uses any more."""
    found = {}
    for number, name in enumerate(("one", "two", "three"), start=1):
        s3.buckets["bucket"][f"{name}/a.jpg"] = b"x" * 100_000 * number
        found[name] = copy_place(parse_place(f"s3://bucket/{name}/"), cache_root, heard).parent
        folders._users.close()
    return found


def test_the_list_names_places_files_and_sizes(
    copies: dict[str, Path], run_cli: Callable[..., Any], cache_root: Path
) -> None:
    listed = run_cli("cache", "list", "--json").json()["copies"]
    assert [(each["place"], each["files"]) for each in listed] == [
        ("s3://bucket/three/", 1),
        ("s3://bucket/two/", 1),
        ("s3://bucket/one/", 1),
    ]
    lines = [line.split() for line in run_cli("cache", "list").stdout.splitlines()]
    assert ["key", "place", "files", "MB", "last", "used"] in lines
    assert [copies["one"].name, "s3://bucket/one/", "1", "0.1"] in [line[:4] for line in lines]


def test_the_least_recently_used_copies_make_room(
    copies: dict[str, Path], run_cli: Callable[..., Any], cache_root: Path
) -> None:
    dry = run_cli("cache", "prune", "--max-size", "550KB", "--dry-run", "--json").json()
    assert dry["copies"] == [copies["one"].name]
    assert copies["one"].exists()
    assert run_cli("cache", "prune", "--max-size", "550KB", "--json").json()["copies"] == [copies["one"].name]
    assert not copies["one"].exists()
    assert [summary.url for summary in list_copies(cache_root)] == ["s3://bucket/three/", "s3://bucket/two/"]


def test_a_copy_is_removed_by_its_key(copies: dict[str, Path], run_cli: Callable[..., Any], cache_root: Path) -> None:
    assert match_copies(cache_root, ["two-", "none"]) == ["two-"]
    payload = run_cli("cache", "prune", "--key", copies["two"].name[:8], "--json").json()
    assert payload["copies"] == [copies["two"].name]
    assert sorted(path.name for path in (cache_root / "places").iterdir()) == sorted(
        [copies["one"].name, copies["three"].name]
    )


def test_all_copies_are_removed_and_files_of_others_stay(copies: dict[str, Path], cache_root: Path) -> None:
    (copies["one"] / "notes.txt").write_text("of the user")
    assert len(prune_copies(cache_root, everything=True).keys) == 3
    assert [path.name for path in (cache_root / "places").iterdir()] == [copies["one"].name]
    assert [path.name for path in copies["one"].iterdir()] == ["notes.txt"]


def test_a_copy_that_another_process_uses_is_kept(copies: dict[str, Path], cache_root: Path) -> None:
    program = (
        "import sys\nfrom pathlib import Path\nfrom tlkit.files import held_lock\n"
        f"with held_lock(Path({str(copies['one'])!r}) / 'lock', shared=True):\n"
        "    print('held', flush=True)\n    sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        pruned = prune_copies(cache_root, everything=True)
        other.communicate()
    assert pruned.in_use == (copies["one"].name,)
    assert copies["one"].exists()


def test_a_copy_that_cannot_be_removed_is_an_error(
    copies: dict[str, Path], cache_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(folder: Path) -> None:
        raise PermissionError(13, "Permission denied", str(folder / "a.jpg"))

    monkeypatch.setattr("tlkit.places.pruning.remove_copy", refuse)
    with pytest.raises(PlaceError) as caught:
        prune_copies(cache_root, keys=["one-"])
    assert str(caught.value) == (
        f"{copies['one'] / 'a.jpg'} cannot be removed: Permission denied.\n"
        "  Expected: files that tlkit made and this user may remove\n"
        "  Fix: remove the folder by hand, then run the command again."
    )
