"""Credentials of object stores, found by each cloud's own means; tlkit has no setting of its own and stores none.

obstore reads the environment, and what a machine in the cloud offers. Here is what it does not do: the files of the AWS
command line, and plain http where the endpoint says so.
"""

from __future__ import annotations

import configparser
import os
from pathlib import Path
from typing import Any

from tlkit.places.place import Place

_EXPECTED = {
    "s3": "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a profile in ~/.aws/credentials, or the role of the machine",
    "gs": "GOOGLE_APPLICATION_CREDENTIALS, `gcloud auth application-default login`, or the account of the machine",
    "az": "AZURE_STORAGE_ACCOUNT_NAME with AZURE_STORAGE_ACCOUNT_KEY or another Azure credential",
}
_ENDPOINTS = {
    "s3": ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT"),
    "gs": ("GOOGLE_BASE_URL",),
    "az": ("AZURE_STORAGE_ENDPOINT", "AZURE_ENDPOINT"),
}
_FROM_ELSEWHERE = ("AWS_ACCESS_KEY_ID", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
                   "AWS_CONTAINER_CREDENTIALS_FULL_URI")  # fmt: skip


def describe_credentials(scheme: str) -> str:
    """Return what credentials an object store takes, in words."""
    return _EXPECTED[scheme]


def find_settings(place: Place) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return settings of the store, and of its HTTP client, that obstore does not find in the environment by itself."""
    endpoint = next((os.environ[name] for name in _ENDPOINTS[place.scheme] if os.environ.get(name)), "")
    client: dict[str, Any] = {"allow_http": True} if endpoint.startswith("http://") else {}
    settings: dict[str, Any] = {}
    if place.scheme == "s3":
        if endpoint:
            settings["endpoint"] = endpoint
        if not any(os.environ.get(name) for name in _FROM_ELSEWHERE):
            settings |= _read_profile()
        if region := os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION"):
            settings["region"] = region
    return settings, client


def _read_profile() -> dict[str, str]:
    """Return the keys and the region of the profile that AWS_PROFILE names, or of the default one, from the AWS files."""
    profile = os.environ.get("AWS_PROFILE") or "default"
    found: dict[str, str] = {}
    for variable, name, section in (
        ("AWS_CONFIG_FILE", "config", profile if profile == "default" else f"profile {profile}"),
        ("AWS_SHARED_CREDENTIALS_FILE", "credentials", profile),
    ):
        parser = configparser.ConfigParser(interpolation=None)
        try:
            parser.read(os.environ.get(variable) or Path.home() / ".aws" / name, encoding="utf-8")
        except (configparser.Error, OSError, UnicodeDecodeError, RuntimeError):
            continue  # of another program; without it the store says what it lacks
        if parser.has_section(section):
            found |= dict(parser.items(section))
    keys = {
        "aws_access_key_id": "access_key_id",
        "aws_secret_access_key": "secret_access_key",
        "aws_session_token": "session_token",
        "region": "region",
    }
    return {ours: found[theirs] for theirs, ours in keys.items() if found.get(theirs)}
