"""A place: what a URL such as s3://bucket/photos names, parsed without any library.

Names and passwords in a URL, and its query, are used for requests only. Nothing else ever shows or stores them.
"""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePath
from urllib.parse import unquote, urlsplit

from tlkit.errors import SettingError, name_fix

BUCKETS = {"s3": "S3", "gs": "Google Cloud Storage", "az": "Azure Blob Storage"}
"""Schemes of object stores, which can be written to, with their names."""
WEB = ("http", "https")
SCHEMES = (*BUCKETS, *WEB)
EXPECTED = "s3://BUCKET/KEY, gs://BUCKET/KEY, az://CONTAINER/KEY, or http(s)://HOST/PATH"
_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://")
_COLLAPSED = re.compile(r"(s3|gs|az|https?):/(?!/)")
_SECRET = re.compile(
    r"(?P<scheme>\b[A-Za-z][A-Za-z0-9+.-]+://)(?P<user>[^\s/?#@'\"]*@)?(?P<rest>[^\s?'\"]*)(?P<query>\?[^\s'\"]*)?"
)


@dataclass(frozen=True)
class Place:
    """A bucket, a folder or an object in one; or a page or file of a web server.

    Attributes:
        scheme: One of SCHEMES.
        bucket: The bucket or container; for the web, the host with its port.
        key: Path below it, decoded, without slashes around it; empty for the whole bucket.
        is_folder: Whether the URL ends with a slash, or names a whole bucket.
    """

    scheme: str
    bucket: str
    key: str = ""
    is_folder: bool = False
    user: str = field(default="", repr=False)
    """Name and password of a web server, NAME:PASSWORD; empty if there are none."""
    query: str = field(default="", repr=False)
    """Query of a web address, which may be a signature."""

    @property
    def url(self) -> str:
        """The URL without secrets and without a final slash."""
        return f"{self.scheme}://{self.bucket}/{self.key}".rstrip("/")

    @property
    def name(self) -> str:
        """The last part of the key, or the bucket."""
        return self.key.rpartition("/")[2] or self.bucket.partition(":")[0]

    @property
    def is_web(self) -> bool:
        """Whether a web server is asked, which cannot be written to."""
        return self.scheme in WEB

    @property
    def identity(self) -> str:
        """Hash of all that decides what is found there, secret query included: 16 hexadecimal digits."""
        return hashlib.sha256(f"{self}\0{self.query}".encode(errors="surrogateescape")).hexdigest()[:16]

    def below(self, relative: str) -> Place:
        """Return the folder at a path with slashes below this one."""
        key = "/".join(part for part in (self.key, relative.strip("/")) if part)
        return replace(self, key=key, is_folder=True)

    @property
    def root(self) -> Place:
        """The whole bucket or server."""
        return replace(self, key="", is_folder=True)

    @property
    def folder(self) -> Place:
        """The same place as a folder."""
        return replace(self, is_folder=True)

    def __str__(self) -> str:
        return self.url + "/" * self.is_folder


def place_text(value: str | PurePath) -> str | None:
    """Return a URL as it was meant, or None for a path.

    `Path("s3://bucket")` has lost a slash; it is given back unless there is such a folder.
    """
    text = os.fspath(value)
    if _URL.match(text):
        return text
    if isinstance(value, PurePath):
        text = value.as_posix()
        if _COLLAPSED.match(text) and not Path(value).exists():
            return text.replace(":/", "://", 1)
    return None


def is_place(value: str | PurePath | None) -> bool:
    """Return whether a value is a URL rather than a path."""
    return value is not None and place_text(value) is not None


def names_bucket(text: str) -> bool:
    """Return whether a text is the URL of something in an object store."""
    return is_place(text) and text.partition("://")[0].lower() in BUCKETS


def parse_place(value: str | PurePath) -> Place:
    """Return the place that a URL names.

    Raises:
        SettingError: The URL is of another kind, or holds credentials that belong elsewhere.
    """
    text = place_text(value) or ""
    scheme = text.partition("://")[0].lower()
    shown = without_secrets(text) or os.fspath(value)
    if scheme not in SCHEMES:
        fix = "leave out file://." if scheme == "file" else name_fix(scheme, SCHEMES)
        raise SettingError(
            f"{shown}: {scheme or 'this'} is no kind of place that tlkit reads.", expected=EXPECTED, fix=fix
        )
    place = _parse_web(text, scheme) if scheme in WEB else _parse_bucket(text, scheme)
    if not place.bucket:
        missing = "host" if scheme in WEB else "bucket"
        raise SettingError(
            f"{shown} names no {missing}.", expected=EXPECTED, fix=f"write the {missing} after {scheme}://."
        )
    return place


def _parse_web(text: str, scheme: str) -> Place:
    parts = urlsplit(text)
    user, _, host = parts.netloc.rpartition("@")
    path = unquote(parts.path, errors="surrogateescape")
    return Place(scheme, host.lower(), path.strip("/"), path.endswith("/") or not path, unquote(user), parts.query)


def _parse_bucket(text: str, scheme: str) -> Place:
    """Parse a bucket's URL: its key is text as it stands, with any `?`, `#` and `%`."""
    bucket, _, key = text.partition("://")[2].partition("/")
    if "@" in bucket:
        raise SettingError(
            f"{scheme}://…@{bucket.rpartition('@')[2]}: there is a name or a password before the bucket.",
            expected=f"credentials by the means of {BUCKETS[scheme]}, such as environment variables",
            fix="take them out of the URL, and see the guide's section on object storage.",
        )
    return Place(scheme, bucket, key.strip("/"), key.endswith("/") or not key)


def without_secrets(text: str) -> str:
    """Return a text in which no URL has a name, a password or a query."""
    if "://" not in text:
        return text
    return _SECRET.sub(_drop_secrets, text)


def _drop_secrets(match: re.Match[str]) -> str:
    scheme, query = match["scheme"], match["query"] or ""
    is_web = scheme.lower().startswith("http")
    return scheme + match["rest"] + ("" if is_web else query)
