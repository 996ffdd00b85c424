"""A file of rows that several processes continue, one after another."""

from __future__ import annotations

from pathlib import Path

import pytest

from tlkit.errors import RunError, SettingError
from tlkit.files import held_lock
from tlkit.reports.row_log import check_log_path, open_row_log

COLUMNS = ("path", "class_name")
NAMES = ("a.png", 'with "quotes", commas', "two\nlines", "line\u2028separator", "not UTF-8 \udce9")


@pytest.mark.parametrize("suffix", [".csv", ".jsonl"])
def test_a_second_process_goes_on_and_knows_every_path(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / "new" / f"rows{suffix}"
    for start in (0, 2):
        with open_row_log(path, COLUMNS) as log:
            assert log.paths == frozenset(NAMES[:start])
            for name in NAMES[start : start + 2 + start]:
                log.write({"path": name, "class_name": "red"})
    with open_row_log(path, COLUMNS) as log:
        assert log.paths == frozenset(NAMES)


@pytest.mark.parametrize("suffix", [".csv", ".jsonl"])
def test_a_line_that_was_cut_off_is_removed(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"rows{suffix}"
    with open_row_log(path, COLUMNS) as log:
        log.write({"path": "a", "class_name": "red"})
    whole = path.read_bytes()
    path.write_bytes(whole + whole.splitlines()[-1][:4])
    with open_row_log(path, COLUMNS) as log:
        assert log.paths == {"a"}
        log.write({"path": "b", "class_name": "red"})
    assert path.read_bytes().startswith(whole)
    assert len(path.read_bytes().splitlines()) == len(whole.splitlines()) + 1


@pytest.mark.parametrize(
    ("name", "content"), [("rows.csv", b"path,other\n"), ("rows.jsonl", b'{"path": "a"}\n'), ("rows.jsonl", b"a\n")]
)
def test_a_file_with_other_rows_is_refused_and_stays(tmp_path: Path, name: str, content: bytes) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(RunError) as caught, open_row_log(path, COLUMNS):
        pass
    assert str(caught.value) == (
        f"{path} has other rows than this command writes.\n"
        "  Expected: a file with the columns path, class_name, or a new one\n"
        "  Fix: use another --out."
    )
    assert path.read_bytes() == content


def test_two_processes_never_write_the_same_file(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    refused = pytest.raises(RunError, match=r"rows\.csv is being written by another process\.")
    with held_lock(path), refused, open_row_log(path, COLUMNS):
        pass


def test_a_format_that_cannot_grow_is_refused() -> None:
    with pytest.raises(SettingError) as caught:
        check_log_path(Path("rows.parquet"))
    assert str(caught.value) == (
        "--out rows.parquet: a file of this format cannot grow.\n"
        "  Expected: a file that ends in .csv or .jsonl\n"
        "  Fix: --out rows.csv"
    )


@pytest.mark.parametrize("suffix", [".csv", ".jsonl"])
def test_several_rows_of_an_image_are_written_in_one_step(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"rows{suffix}"
    with open_row_log(path, COLUMNS) as log:
        log.write({"path": "a", "class_name": "red"}, {"path": "a", "class_name": "blue"})
    assert path.read_text().count("\n") == 2 + (suffix == ".csv")
    with open_row_log(path, COLUMNS) as log:
        assert log.paths == {"a"}
