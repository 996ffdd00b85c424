"""Copies of places: nothing is lost, nothing is doubled, however the server behaves."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.places.conftest import Heard
from tests.s3_server import Faults, S3Server
from tlkit.errors import PlaceError, SettingError
from tlkit.places import copying, stores
from tlkit.places.copies import list_failures, show_path
from tlkit.places.copying import copy_place
from tlkit.places.downloads import download_all
from tlkit.places.folders import list_copies
from tlkit.places.place import parse_place
from tlkit.places.retries import MAX_TRIES


def copy(url: str, root: Path, heard: Heard) -> Path:
    return copy_place(parse_place(url), root, heard)


def read_all(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def photos(s3: S3Server) -> dict[str, bytes]:
    objects = {
        f"class{number % 3}/{number:03d}.jpg": f"photo {number}".encode() * (number + 1) for number in range(250)
    }
    s3.buckets["bucket"] |= {f"photos/{key}": content for key, content in objects.items()}
    s3.buckets["bucket"] |= {"photos2/other.jpg": b"other", "photos/": b"", "photos/class0/": b""}
    return objects


def test_a_folder_is_copied_once_and_then_brought_up_to_date(
    s3: S3Server, photos: dict[str, bytes], tmp_path: Path, heard: Heard
) -> None:
    folder = copy("s3://bucket/photos/", tmp_path, heard)
    assert folder.name == "photos"
    assert read_all(folder) == photos
    assert heard.said == ["s3://bucket/photos/: 250 files, 250 copied now, 0 here already."]
    assert heard.steps["Copying 250 files from s3://bucket/photos/"] == sum(map(len, photos.values()))
    assert show_path(folder / "class0" / "000.jpg") == "s3://bucket/photos/class0/000.jpg"

    s3.requests.clear()
    assert copy("s3://bucket/photos/", tmp_path, heard) == folder
    assert s3.requests == {"GET": 3}, "three pages of the list, and no object"

    objects = s3.buckets["bucket"]
    objects["photos/class0/000.jpg"] = b"changed"
    objects["photos/class9/new.jpg"] = b"new"
    for key in [key for key in objects if key.startswith("photos/class2/")]:
        del objects[key]
    copy("s3://bucket/photos/", tmp_path, heard)
    assert read_all(folder) == {
        key.removeprefix("photos/"): each for key, each in objects.items() if key.endswith(".jpg") and "photos/" in key
    }
    assert not (folder / "class2").exists()
    assert heard.said[-1] == "s3://bucket/photos/: 168 files, 2 copied now, 166 here already, 83 removed that are gone."


def test_what_is_not_wanted_is_not_copied_and_copies_of_it_stay(
    s3: S3Server, photos: dict[str, bytes], tmp_path: Path, heard: Heard
) -> None:
    def want(key: str) -> bool:
        return key.startswith("class1/")

    place = parse_place("s3://bucket/photos")
    chosen = {key: content for key, content in photos.items() if want(key)}
    folder = copy_place(place, tmp_path, heard, want)
    assert read_all(folder) == chosen
    assert heard.said[-1] == f"s3://bucket/photos/: {len(chosen)} files, {len(chosen)} copied now, 0 here already."

    copy("s3://bucket/photos", tmp_path, heard)
    assert (
        heard.said[-1] == f"s3://bucket/photos/: 250 files, {250 - len(chosen)} copied now, {len(chosen)} here already."
    )
    for key in ("photos/class1/001.jpg", "photos/class2/002.jpg"):
        del s3.buckets["bucket"][key]
    copy_place(place, tmp_path, heard, want)
    assert read_all(folder).keys() == photos.keys() - {"class1/001.jpg"}
    s3.requests.clear()
    copy("s3://bucket/photos/", tmp_path, heard)
    assert s3.requests == {"GET": 3}, "nothing is copied again"
    assert read_all(folder).keys() == photos.keys() - {"class1/001.jpg", "class2/002.jpg"}

    assert copy_place(place, tmp_path / "none", heard, lambda key: False).name == "photos"


def test_a_url_without_a_slash_is_an_object_or_a_folder(
    s3: S3Server, photos: dict[str, bytes], tmp_path: Path, heard: Heard
) -> None:
    s3.buckets["bucket"]["photos/list.csv"] = b"path,label\n"
    assert read_all(copy("s3://bucket/photos", tmp_path, heard)) == {**photos, "list.csv": b"path,label\n"}
    table = copy("s3://bucket/photos/list.csv", tmp_path, heard)
    assert (table.name, table.read_bytes()) == ("list.csv", b"path,label\n")
    assert show_path(table) == "s3://bucket/photos/list.csv"
    s3.buckets["bucket"]["photos/list.csv"] = b"image,label\n"
    assert copy("s3://bucket/photos/list.csv", tmp_path, heard).read_bytes() == b"image,label\n"


def test_a_server_that_fails_and_cuts_connections_loses_nothing(
    s3: S3Server, photos: dict[str, bytes], tmp_path: Path, heard: Heard
) -> None:
    s3.fail(Faults(errors=0.05, cuts=0.05, slow=0.02, seed=3))
    assert read_all(copy("s3://bucket/photos", tmp_path, heard)) == photos
    assert s3.num_faults > 15
    assert max(s3.tries.values()) <= MAX_TRIES
    assert sum(s3.tries.values()) <= len(photos) + s3.num_faults + 2
    assert heard.warned == []


def test_large_objects_arrive_in_parts_each_of_which_is_tried_again(
    s3: S3Server, tmp_path: Path, heard: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stores, "RANGE_BYTES", 1000)
    content = bytes(range(256)) * 100
    s3.buckets["bucket"]["large.tif"] = content
    s3.fail(Faults(errors=0.1, cuts=0.1, seed=1))
    assert copy("s3://bucket/large.tif", tmp_path, heard).read_bytes() == content
    assert s3.num_faults > 0


def test_few_objects_that_fail_are_named_and_tried_again_the_next_time(
    s3: S3Server, photos: dict[str, bytes], tmp_path: Path, heard: Heard
) -> None:
    s3.fail(Faults(broken={"photos/class0/000.jpg": 403, "photos/class1/001.jpg": 500}))
    folder = copy("s3://bucket/photos", tmp_path, heard)
    assert read_all(folder).keys() == photos.keys() - {"class0/000.jpg", "class1/001.jpg"}
    assert list_failures(folder)[folder / "class0" / "000.jpg"] == "access denied"
    assert s3.tries["photos/class0/000.jpg"] == 1
    assert s3.tries["photos/class1/001.jpg"] == MAX_TRIES
    (warning,) = heard.warned
    assert warning.startswith("2 of 250 files of s3://bucket/photos/ could not be copied, and are not used: ")
    assert "class0/000.jpg (access denied)" in warning
    s3.fail(Faults())
    assert read_all(copy("s3://bucket/photos", tmp_path, heard)) == photos
    assert list_failures(folder) == {}


def test_many_objects_that_fail_end_the_copying_and_what_is_copied_is_kept(
    s3: S3Server, photos: dict[str, bytes], tmp_path: Path, heard: Heard
) -> None:
    s3.fail(Faults(broken={f"photos/{key}": 403 for key in list(photos)[100:]}))
    with pytest.raises(PlaceError) as caught:
        copy("s3://bucket/photos", tmp_path, heard)
    assert str(caught.value).startswith("s3://bucket/photos/: 6 of 250 files could not be copied: ")
    assert str(caught.value).endswith(
        "\n  Expected: at most 5 files that fail, or one in a thousand\n"
        "  Fix: check the place and the network, then run the command again; what is copied is kept."
    )
    s3.fail(Faults())
    s3.requests.clear()
    assert read_all(copy("s3://bucket/photos", tmp_path, heard)) == photos
    assert s3.requests["GET"] < 3 + len(photos)


def test_names_that_lead_out_of_the_folder_are_left_out_and_named(s3: S3Server, tmp_path: Path, heard: Heard) -> None:
    s3.buckets["bucket"] |= {"p/a.jpg": b"a", "p/b\\..\\c.jpg": b"b", "p/.hidden.jpg": b"h"}
    folder = copy("s3://bucket/p", tmp_path, heard)
    assert read_all(folder) == {"a.jpg": b"a"}
    assert heard.warned[-1] == (
        "Not copied from s3://bucket/p/: b\\..\\c.jpg (a backslash or a null character in its name)."
    )


def test_a_key_that_is_a_file_and_a_folder_costs_one_of_both(s3: S3Server, tmp_path: Path, heard: Heard) -> None:
    s3.buckets["bucket"] |= {"p/a": b"file", "p/a/b.jpg": b"below", "p/c.jpg": b"c"}
    folder = copy("s3://bucket/p/", tmp_path, heard)
    assert len(read_all(folder)) == 2
    assert heard.warned[0].startswith("1 of 3 files of s3://bucket/p/ could not be copied, and are not used: a")


def test_a_copy_that_was_interrupted_goes_on_with_what_is_missing(
    s3: S3Server, photos: dict[str, bytes], tmp_path: Path, heard: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop_halfway(*arguments: object, **options: object) -> object:
        for number, done in enumerate(download_all(*arguments, **options)):  # type: ignore[arg-type]
            if number == 100:
                raise KeyboardInterrupt
            yield done

    monkeypatch.setattr(copying, "download_all", stop_halfway)
    with pytest.raises(KeyboardInterrupt):
        copy("s3://bucket/photos", tmp_path, heard)
    monkeypatch.setattr(copying, "download_all", download_all)
    s3.requests.clear()
    folder = copy("s3://bucket/photos", tmp_path, heard)
    assert read_all(folder) == photos
    assert s3.requests["GET"] <= 3 + 150
    assert not any((folder.parent / "aside").iterdir())


def test_files_that_were_changed_or_removed_here_are_copied_again(
    s3: S3Server, photos: dict[str, bytes], tmp_path: Path, heard: Heard
) -> None:
    folder = copy("s3://bucket/photos", tmp_path, heard)
    (folder / "class0" / "000.jpg").unlink()
    (folder / "class1" / "001.jpg").write_bytes(b"")
    assert read_all(copy("s3://bucket/photos", tmp_path, heard)) == photos


def test_a_copy_whose_index_is_damaged_is_made_anew(
    s3: S3Server, photos: dict[str, bytes], tmp_path: Path, heard: Heard
) -> None:
    folder = copy("s3://bucket/photos", tmp_path, heard)
    (folder.parent / "objects.sqlite").write_bytes(b"no database" * 1000)
    assert read_all(copy("s3://bucket/photos", tmp_path, heard)) == photos
    (folder.parent / "objects.sqlite").unlink()
    (folder / "stray.jpg").write_bytes(b"of nobody")
    assert read_all(copy("s3://bucket/photos", tmp_path, heard)) == photos


def test_two_processes_that_copy_at_once_wait_for_each_other(
    s3: S3Server, photos: dict[str, bytes], tmp_path: Path
) -> None:
    s3.fail(Faults(slow=0.1))
    tellers = [Heard(), Heard()]
    threads = [threading.Thread(target=copy, args=("s3://bucket/photos", tmp_path, each)) for each in tellers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    said = sorted(teller.said[-1] for teller in tellers)
    assert said == [
        "s3://bucket/photos/: 250 files, 0 copied now, 250 here already.",
        "s3://bucket/photos/: 250 files, 250 copied now, 0 here already.",
    ]


def test_a_disk_that_is_too_small_is_found_before_anything_is_copied(
    s3: S3Server, photos: dict[str, bytes], tmp_path: Path, heard: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=2**28))
    with pytest.raises(PlaceError) as caught:
        copy("s3://bucket/photos", tmp_path, heard)
    (folder,) = (tmp_path / "places").iterdir()
    assert str(caught.value) == (
        f"s3://bucket/photos/: 250 files of 0.00 GB are to be copied to {folder}, where 0.27 GB are free.\n"
        "  Expected: 0.00 GB more, so that 0.27 GB stay free\n"
        "  Fix: make room, `tlkit cache prune --max-size SIZE` for instance, or set TLKIT_CACHE to a folder on a larger disk."
    )
    assert not any(folder.rglob("*.jpg"))


def test_copies_are_listed_with_their_places(
    s3: S3Server, photos: dict[str, bytes], tmp_path: Path, heard: Heard
) -> None:
    copy("s3://bucket/photos", tmp_path, heard)
    (summary,) = list_copies(tmp_path)
    assert (summary.url, summary.num_files) == ("s3://bucket/photos/", 250)
    assert summary.num_bytes > sum(map(len, photos.values()))


def test_a_name_that_obstore_cannot_list_is_an_error(s3: S3Server, tmp_path: Path, heard: Heard) -> None:
    s3.buckets["bucket"] |= {"p/a.jpg": b"a", "p/b//c.jpg": b"b"}
    with pytest.raises(PlaceError) as caught:
        copy("s3://bucket/p", tmp_path, heard)
    assert str(caught.value) == (
        "s3://bucket/p/: an object there has a name that obstore cannot list: p/b//c.jpg.\n"
        "  Expected: keys without empty parts, . or .. between slashes, and without control characters\n"
        "  Fix: rename or remove that object, or name a folder beside it."
    )


CREDENTIALS = "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a profile in ~/.aws/credentials, or the role of the machine"


@pytest.mark.parametrize(
    ("url", "message"),
    [
        (
            "s3://other/photos/",
            "s3://other/photos/: there is no bucket other.\n"
            "  Expected: a bucket that exists, at the endpoint and in the region that the environment names\n"
            "  Fix: check the name, and AWS_ENDPOINT_URL and AWS_REGION or their like.",
        ),
        (
            "s3://bucket/photso",
            "s3://bucket/photso/: nothing there.\n"
            "  Expected: an object, or objects whose keys begin with this one and a slash\n"
            "  Fix: check the URL.",
        ),
    ],
)
def test_a_place_that_does_not_exist_is_an_error(
    s3: S3Server, tmp_path: Path, heard: Heard, url: str, message: str
) -> None:
    with pytest.raises(PlaceError) as caught:
        copy(url, tmp_path, heard)
    assert str(caught.value) == message


@pytest.mark.parametrize("url", ["s3://bucket/photos/", "s3://bucket/photos"])
def test_a_place_that_denies_access_is_an_error_without_secrets(
    s3: S3Server, tmp_path: Path, heard: Heard, url: str
) -> None:
    s3.denied = True
    with pytest.raises(PlaceError) as caught:
        copy(url, tmp_path, heard)
    assert str(caught.value) == (
        "s3://bucket/photos/: S3 denies access.\n"
        f"  Expected: {CREDENTIALS}\n"
        "  Fix: check the credentials, and that they may list and read the bucket."
    )


def test_a_server_that_never_answers_is_an_error(s3: S3Server, tmp_path: Path, heard: Heard) -> None:
    s3.fail(Faults(errors=1.0))
    with pytest.raises(PlaceError) as caught:
        copy("s3://bucket/photos/", tmp_path, heard)
    assert caught.value.found.startswith("s3://bucket/photos/ does not answer: ")
    assert "a-secret-key" not in str(caught.value)
    assert s3.requests["GET"] == MAX_TRIES


def test_without_obstore_the_command_that_installs_it_is_named(
    s3: S3Server, tmp_path: Path, heard: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "obstore.store", None)
    with pytest.raises(SettingError) as caught:
        copy("gs://bucket/photos", tmp_path, heard)
    assert str(caught.value) == (
        "gs://bucket/: obstore is not installed, which reads Google Cloud Storage.\n"
        "  Expected: the extra `cloud`\n"
        "  Fix: pip install 'tlkit[cloud]'"
    )


KILLED = """
import sys
from contextlib import nullcontext
from pathlib import Path
from tlkit.places.copying import copy_place
from tlkit.places.place import parse_place

class Teller:
    def say(self, text): pass
    warn = say
    def progress(self, *arguments): return nullcontext(lambda count: None)

copy_place(parse_place("s3://bucket/photos"), Path(sys.argv[1]), Teller())
"""


def test_a_killed_process_loses_little_and_leaves_nothing_half_written(
    s3: S3Server, photos: dict[str, bytes], tmp_path: Path, heard: Heard
) -> None:
    s3.fail(Faults(slow=1.0, slow_seconds=0.1))
    process = subprocess.Popen([sys.executable, "-c", KILLED, str(tmp_path)])
    while s3.requests["GET"] < 150 and process.poll() is None:
        time.sleep(0.01)
    process.kill()
    process.wait()
    assert process.returncode == -signal.SIGKILL
    s3.fail(Faults())
    folder = copy("s3://bucket/photos", tmp_path, heard)
    assert read_all(folder) == photos
    assert not any((folder.parent / "aside").iterdir())
    copied = int(heard.said[-1].split("files, ")[1].split(" copied")[0])
    assert copied < 250, "what was copied is not copied again"
