from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from tlkit.untrusted import is_clean_text, open_regular_file, parse_json, quote

JSON_EXPECTED = "UTF-8 JSON as tlkit writes it"


@pytest.mark.parametrize(
    "text", ["cat", "Ünïcode naïve 猫", "../../etc/passwd", "می‌خواهم", "👩‍🔬", "a b", "<script>", "$(reboot)"]
)
def test_names_in_any_script_and_names_that_look_like_code_are_clean(text: str) -> None:
    assert is_clean_text(text, max_length=20)


@pytest.mark.parametrize(
    "value",
    [
        "",
        "x" * 21,
        "\x1b[2J",
        "a\nb",
        "a\x00",
        "\x7f",
        "\x9b31m",
        "a\u2028b",
        "\ud800",
        "gpj\u202eexe",
        "a\u2066b",
        7,
        None,
        ["cat"],
    ],
)
def test_control_characters_broken_and_reversed_text_are_not_clean(value: Any) -> None:
    assert not is_clean_text(value, max_length=20)


def test_quoting_keeps_control_characters_from_the_terminal_and_the_message_short() -> None:
    assert quote("\x1b[2J\u202e") == r"'\x1b[2J\u202e'"
    assert quote("x" * 1000) == "'" + "x" * 76 + "..."


def test_json_is_parsed() -> None:
    assert parse_json('{"a": [1, 2.5, "ü"]}'.encode(), place="f", levels=2) == {"a": [1, 2.5, "ü"]}


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"[" * 500_000, "more than 2 levels deep"),
        (b'{"a":' * 200_000 + b"1" + b"}" * 200_000, "more than 2 levels deep"),
        (b'{"a": [{}]}', "more than 2 levels deep"),
        (b'{"a": 1, "b": 2, "a": 3}', "a key appears twice in one object"),
        (b"[NaN]", "NaN is not a JSON number"),
        (b"[-Infinity]", "-Infinity is not a JSON number"),
        (b"[" + b"9" * 5000 + b"]", "a number of 5000 digits"),
        (b"[" + b"9" * 400_000 + b"]", "a number of 400000 digits"),
        (b"\xff\xfe[1]", "not UTF-8 text"),
        (b"", "Expecting value: line 1 column 1 (char 0)"),
        (b"{", "Expecting property name enclosed in double quotes: line 1 column 2 (char 1)"),
    ],
)
def test_json_that_tlkit_never_writes_is_refused(refuses: Any, content: bytes, reason: str) -> None:
    with refuses(f"f is not JSON that tlkit reads: {reason}.", JSON_EXPECTED):
        parse_json(content, place="f", levels=2)


def test_a_link_is_not_followed_even_to_a_good_file(refuses: Any, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("x")
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "secret")
    with refuses(f"{link} is a symbolic link.", "a regular file of at most 10 bytes"):
        open_regular_file(link, max_bytes=10)


def test_a_link_that_appears_after_the_check_is_not_followed_either(
    refuses: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "secret").write_text("x")
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "secret")
    monkeypatch.setattr(Path, "is_symlink", lambda path: False)
    with refuses(f"{link} cannot be opened (Too many levels of symbolic links).", "a regular file of at most 10 bytes"):
        open_regular_file(link, max_bytes=10)


def test_a_pipe_does_not_block(refuses: Any, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with refuses(f"{tmp_path / 'pipe'} is not a regular file.", "a regular file of at most 10 bytes"):
        open_regular_file(tmp_path / "pipe", max_bytes=10)


def test_a_folder_a_missing_file_and_a_large_file_are_refused(refuses: Any, tmp_path: Path) -> None:
    expected = "a regular file of at most 1,000 bytes"
    with refuses(f"{tmp_path} is not a regular file.", expected):
        open_regular_file(tmp_path, max_bytes=1000)
    with refuses(f"{tmp_path / 'a'} cannot be opened (No such file or directory).", expected):
        open_regular_file(tmp_path / "a", max_bytes=1000)
    (tmp_path / "b").write_bytes(bytes(1001))
    with refuses(f"{tmp_path / 'b'} has 1,001 bytes.", expected):
        open_regular_file(tmp_path / "b", max_bytes=1000)
    with open_regular_file(tmp_path / "b", max_bytes=1001) as stream:
        assert len(stream.read()) == 1001
