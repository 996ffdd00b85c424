"""Output never lands in the user's data or over foreign files."""

from __future__ import annotations

from pathlib import Path

import pytest

from tlkit.errors import RunError
from tlkit.reports.output_folder import (
    LOCK_FILE,
    check_output_folder,
    choose_output_folder,
    held_output_folder,
    make_output_folder,
    name_after,
)

MARKER = ".tlkit-output"


def check(folder: Path, *data_folders: Path, kind: str = "overlays") -> None:
    check_output_folder(folder, option="--overlay", kind=kind, marker=MARKER, data_folders=data_folders)


def test_new_empty_and_own_folders_are_fine(tmp_path: Path) -> None:
    check(tmp_path / "new" / "deep", tmp_path / "data")
    check(tmp_path)
    make_output_folder(tmp_path / "own", kind="overlays", marker=MARKER)
    (tmp_path / "own" / "x.jpg").touch()
    check(tmp_path / "own")
    assert (tmp_path / "own" / MARKER).read_text().splitlines()[0] == "overlays"
    assert not (tmp_path / "new").exists()


def test_what_a_killed_process_left_is_in_nobodys_way(tmp_path: Path) -> None:
    (tmp_path / ".0123456789abcdef.partial").write_bytes(b"over")
    (tmp_path / LOCK_FILE).touch()
    check(tmp_path)


@pytest.mark.parametrize("inside", [".", "sub/deep", "../data"])
def test_a_folder_in_the_data_is_refused(tmp_path: Path, inside: str) -> None:
    data = tmp_path / "data"
    data.mkdir()
    folder = data / inside
    with pytest.raises(RunError) as caught:
        check(folder, data)
    assert str(caught.value) == (
        f"--overlay {folder} is inside the data folder {data}.\n"
        "  Expected: a path outside the data, which tlkit never writes to\n"
        f"  Fix: use --overlay {Path('..') / folder.name}, or another path."
    )


def test_a_link_into_the_data_is_refused(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "data")
    with pytest.raises(RunError, match="is inside the data folder"):
        check(tmp_path / "link" / "out", tmp_path / "data")


@pytest.mark.parametrize("kind", [None, "sorted images"])
def test_a_folder_with_other_files_is_refused(tmp_path: Path, kind: str | None) -> None:
    if kind:
        make_output_folder(tmp_path, kind=kind, marker=MARKER)
    (tmp_path / "holiday.jpg").touch()
    with pytest.raises(RunError) as caught:
        check(tmp_path)
    assert str(caught.value) == (
        f"--overlay {tmp_path} contains other files.\n"
        "  Expected: a new or empty folder, or one with overlays written by tlkit\n"
        "  Fix: use --overlay with a new folder."
    )


def test_a_file_in_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x").touch()
    with pytest.raises(RunError) as caught:
        check(tmp_path / "x")
    assert str(caught.value) == (
        f"--overlay {tmp_path / 'x'} is a file.\n"
        "  Expected: a folder, or a new name\n"
        "  Fix: use --overlay with a new folder."
    )


def test_one_process_at_a_time_holds_a_folder_and_marks_it(tmp_path: Path) -> None:
    folder = tmp_path / "not" / "there" / "yet"
    with held_output_folder(folder, kind="run", marker=MARKER):
        assert (folder / MARKER).read_text().splitlines()[0] == "run"
        with pytest.raises(RunError) as caught, held_output_folder(folder, kind="run", marker=MARKER):
            pass
    assert str(caught.value) == (
        f"{folder}: another tlkit process is using this folder.\n"
        "  Expected: one process in a folder at a time\n"
        "  Fix: wait for it to finish, or use another folder."
    )
    with held_output_folder(folder, kind="run", marker=MARKER):
        pass


def test_a_folder_whose_last_holder_has_removed_its_mark_is_marked_again(tmp_path: Path) -> None:
    with held_output_folder(tmp_path, kind="run", marker=MARKER):
        (tmp_path / MARKER).unlink()
    with held_output_folder(tmp_path, kind="run", marker=MARKER):
        assert (tmp_path / MARKER).exists()


def test_a_name_is_a_folders_whole_name_a_files_without_its_suffix_and_a_patterns_folder(tmp_path: Path) -> None:
    (tmp_path / "photos.v1").mkdir()
    (tmp_path / "labels.v1.csv").touch()
    names = [name_after(tmp_path / each) for each in ("photos.v1", "labels.v1.csv", "photos.v1/*.jp*g", "not-there.v2")]
    assert names == ["photos.v1", "labels.v1", "photos.v1", "not-there.v2"]
    assert name_after("/") == "images"


def test_a_folder_about_the_same_is_used_again_and_one_about_something_else_is_left_alone(tmp_path: Path) -> None:
    def choose(about: str, kind: str = "audit") -> str:
        folder = choose_output_folder(tmp_path, "photos", about=about, kind=kind, marker=MARKER)
        with held_output_folder(folder, kind=kind, marker=MARKER, about=about):
            (folder / "page.html").touch()
        return folder.name

    assert [choose(about) for about in ("/a/photos", "/b\udcff/\n", "/b\udcff/\n", "/a/photos", "/c/photos")] == [
        "photos",
        "photos-2",
        "photos-2",
        "photos",
        "photos-3",
    ]
    assert choose("/a/photos", kind="drift") == "photos-4"


def test_a_folder_that_is_used_for_something_else_is_marked_anew(tmp_path: Path) -> None:
    for about in ("/a/photos", "/b/photos"):
        with held_output_folder(tmp_path / "out", kind="audit", marker=MARKER, about=about):
            pass
    assert (tmp_path / "out" / MARKER).read_text().splitlines()[2:] == ['About: "/b/photos"']
