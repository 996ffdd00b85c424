from __future__ import annotations

from pathlib import Path

import pytest

from tlkit.places.credentials import find_settings
from tlkit.places.place import parse_place


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "credentials").write_text(
        "[default]\naws_access_key_id = one\naws_secret_access_key = s%cret\n[other]\naws_access_key_id = two\n"
        "aws_secret_access_key = x\naws_session_token = t\n"
    )
    (tmp_path / "config").write_text("[default]\nregion = eu-west-1\n[profile other]\nregion = eu-west-2\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))


def test_the_files_of_the_aws_command_line_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    place = parse_place("s3://bucket")
    assert find_settings(place) == (
        {"access_key_id": "one", "secret_access_key": "s%cret", "region": "eu-west-1"},
        {},
    )
    monkeypatch.setenv("AWS_PROFILE", "other")
    assert find_settings(place)[0] == {
        "access_key_id": "two",
        "secret_access_key": "x",
        "session_token": "t",
        "region": "eu-west-2",
    }


def test_the_environment_comes_before_the_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "three")
    monkeypatch.setenv("AWS_REGION", "eu-central-1")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9000")
    assert find_settings(parse_place("s3://bucket")) == (
        {"endpoint": "http://127.0.0.1:9000", "region": "eu-central-1"},
        {"allow_http": True},
    )


def test_damaged_files_of_other_programs_are_passed_over(tmp_path: Path) -> None:
    (tmp_path / "credentials").write_bytes(b"\xff\xfe[default")
    (tmp_path / "config").write_text("no section\n")
    assert find_settings(parse_place("s3://bucket")) == ({}, {})
