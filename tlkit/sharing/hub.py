"""The connection to a model hub: the extra `hub`, names of repositories, and what its errors mean.

The token is that of the hub's own library, from its login or its environment variable; tlkit neither reads nor prints it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from tlkit.errors import HubError, SettingError
from tlkit.untrusted import shorten

if TYPE_CHECKING:
    from huggingface_hub import HfApi

Advance = Callable[[int], object]
_NAME = r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}"
FORBIDDEN, UNKNOWN = (401, 403), 404


def connect() -> HfApi:
    """Return the client of the hub.

    Raises:
        SettingError: The extra `hub` is not installed.
    """
    try:
        from huggingface_hub import HfApi
        from huggingface_hub.utils.tqdm import disable_progress_bars
    except ImportError as error:
        raise SettingError(
            f"The package {error.name} is not installed.",
            expected="the package of the extra hub",
            fix="install it with `pip install 'tlkit[hub]'`.",
        ) from error
    disable_progress_bars()
    return HfApi(library_name="tlkit")


class Meter:
    """Pass on how many bytes of a file have come, from the progress bar of the hub's library, which is not shown."""

    def __init__(self, advance: Advance) -> None:
        self._advance = advance
        self._num_bytes = 0

    def make_bar_class(self) -> type[Any]:
        """Return a class of progress bars that count for this meter."""
        from huggingface_hub.utils.tqdm import tqdm

        meter = self

        class Bar(tqdm):
            def update(self, n: float | None = 1) -> bool | None:
                meter.count(int(n or 0))
                result: bool | None = super().update(n)
                return result

        return Bar

    def count(self, num_bytes: int) -> None:
        """Count some bytes."""
        self._num_bytes += num_bytes
        self._advance(num_bytes)

    def finish(self, size: int) -> None:
        """Count the rest of a file, such as all of one that was there already."""
        self.count(max(0, size - self._num_bytes))


def check_repository(name: str) -> None:
    """Check that a name is that of a repository on a hub.

    Raises:
        SettingError: It is not.
    """
    if not re.fullmatch(f"{_NAME}/{_NAME}", name) or ".." in name or "--" in name or name.endswith((".", "-", ".git")):
        raise SettingError(
            f"{shorten(name)!r} is not the name of a repository.",
            expected="a user or an organization, a slash, and a name of letters, digits, -, _ and .",
            fix="name it like anna/clothing.",
        )


@contextmanager
def explained_errors(repository: str) -> Iterator[None]:
    """Turn errors of the hub's library within the block into a `HubError`."""
    from huggingface_hub import errors

    transport_error: type[Exception] = vars(errors)["HTTPError"]  # of the HTTP library, which is another by version
    unreachable = (
        *(transport_error, errors.LocalEntryNotFoundError, errors.OfflineModeIsEnabled),
        *(ConnectionError, TimeoutError),  # of hf_xet, by which large files go
    )
    try:
        yield
    except (errors.HfHubHTTPError, *unreachable, RuntimeError, ValueError) as error:
        cause = error.__cause__ if isinstance(error, RuntimeError) and error.__cause__ else error
        if isinstance(cause, errors.HfHubHTTPError):
            raise _explain_status(repository, cause.response.status_code, cause) from error
        if isinstance(cause, unreachable):
            raise HubError(
                f"{repository}: the hub cannot be reached ({type(cause).__name__}).",
                expected="a connection to the hub; the variable HF_ENDPOINT names another one",
                fix="check the connection and try again; the same command continues.",
            ) from error
        raise HubError(
            f"{repository}: the hub's library fails ({shorten(str(cause))}).",
            expected="files that the hub takes and gives",
            fix="try again later; with the variable HF_HUB_DISABLE_XET=1 large files take another way.",
        ) from error


def _explain_status(repository: str, status: int, error: Exception) -> HubError:
    from huggingface_hub.errors import RepositoryNotFoundError

    if status in FORBIDDEN or (status == UNKNOWN and isinstance(error, RepositoryNotFoundError)):
        return HubError(
            f"{repository}: the hub refuses access, or has no such repository (status {status}).",
            expected="a repository that exists, and the right to use it",
            fix="check its name; `hf auth login` logs in, and the variable HF_TOKEN does without a login.",
        )
    return HubError(
        f"{repository}: the hub answers with status {status}.",
        expected="a hub that answers",
        fix="try again later; the same command continues.",
    )
