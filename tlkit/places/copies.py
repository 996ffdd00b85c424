"""Which folders of this machine are copies of places: what users read and what runs store names the place.

Commands work on the copy. Wherever a path leaves the program, it passes through `show_path` or `show_text`; where one
comes back, through `find_path`. Without a place these cost a look at an empty table.
"""

from __future__ import annotations

import os
from pathlib import Path

_urls: dict[str, str] = {}
_failures: dict[str, dict[Path, str]] = {}


def remember_copy(folder: Path, url: str, failures: dict[Path, str] | None = None) -> None:
    """Note that a folder or a file is a copy.

    Args:
        folder: The copy, absolute.
        url: Its place, without secrets and without a final slash.
        failures: Where objects would lie that could not be copied, with the reasons.
    """
    _urls[str(folder)] = url
    _failures[str(folder)] = failures or {}


def forget_copies() -> None:
    """Forget all copies, as a new process does."""
    _urls.clear()
    _failures.clear()


def show_path(path: str | os.PathLike[str]) -> str:
    """Return the URL of a path in a copy; any other path as it is."""
    text = os.fspath(path)
    if text in _urls:
        return _urls[text]
    for folder, url in _urls.items():
        if text.startswith(folder + os.sep):
            return f"{url}/{text[len(folder) + 1 :].replace(os.sep, '/')}"
    return text


def show_text(text: str) -> str:
    """Return a text with the URL in place of every copy's path."""
    for folder, url in sorted(_urls.items(), key=lambda item: -len(item[0])):
        text = text.replace(folder, url)
    return text


def find_path(text: str) -> Path | None:
    """Return where this process has copied what a URL names; None if it has not."""
    text = text.rstrip("/")
    found = [
        Path(folder, *text[len(url) + 1 :].split("/"))
        for folder, url in sorted(_urls.items(), key=lambda item: -len(item[1]))
        if text == url or text.startswith(url + "/")
    ]
    return next((path for path in found if path.exists()), None)


def list_failures(path: Path) -> dict[Path, str]:
    """Return what could not be copied of a copy, or of the part of it below a path, with the reasons."""
    text = str(path.absolute()) if _failures else ""
    return {
        missing: reason
        for failures in _failures.values()
        for missing, reason in failures.items()
        if str(missing) == text or str(missing).startswith(text + os.sep)
    }
